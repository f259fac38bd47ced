#include "drivers/studer/unit_driver.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub::studer {
namespace {

using absl::StatusCode;

// Question and answer of an info, with stuff bits at their worst.
constexpr double kExchangeBits = 260;
constexpr int kProbeTries = 1;
constexpr int kReadTries = 2;

// The gateway's device asks these infos, at the unit's address and as the same client: whether
// anybody answers, and who.
bool IsGatewaysQuestion(const Answer& answer) {
  if (answer.service != Service::kReadInfo) return false;
  for (const Family family :
       {Family::kXtender, Family::kVarioTrack, Family::kVarioString, Family::kBsp, Family::kBms}) {
    if (answer.object == ProbeInfo(family)) return true;
  }
  return false;
}

// Section 3.3: pairs of infos, the high word first; 0: none.
struct IdentityPairs {
  uint16_t firmware, serial;
};
IdentityPairs PairsOf(Family family) {
  switch (family) {
    case Family::kXtender:
      return {3130, 3156};
    case Family::kBsp:
      return {7037, 7048};
    case Family::kVarioTrack:
      return {11050, 11067};
    case Family::kVarioString:
      return {15077, 15102};
    default:
      return {};
  }
}

// Section 3.3: X in bits 31 … 24, Y in 15 … 8, Z in 7 … 0.
std::string FirmwareText(uint32_t word) {
  return std::to_string(word >> 24) + "." + std::to_string(word >> 8 & 0xFF) + "." +
         std::to_string(word & 0xFF);
}

}  // namespace

// What one Refresh waits for.
struct UnitDriver::FreshRead {
  size_t open = 1;  // one for the loop that asks
  absl::Status status;
  std::string missing;  // objects that the unit does not have
  std::function<void(absl::Status)> done;
  void Ended(const absl::Status& result) {
    if (status.ok()) status = result;
    if (--open > 0) return;
    if (status.ok() && !missing.empty()) {
      // The item service knows this reason: everything else was read.
      status = MakeError(StatusCode::kNotFound, "ITEM_NOT_AVAILABLE",
                         "the unit has no object " + missing, {{"objects", missing}});
    }
    Finish();
  }
  void Finish() {
    if (done) std::exchange(done, nullptr)(status);
  }
};

UnitDriver::UnitDriver(const DriverContext& context)
    : context_(context),
      settings_(ParseSettings(context.config)),
      probe_(ProbeInfo(*settings_.unit.family)),
      items_(UnitItems::Of(settings_.unit.family)),
      poll_spacing_(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
          kExchangeBits / context.bus_info.bitrate / context.bus_info.poll_share))),
      timers_(context.timers),
      queue_({.device_id = context.config.id,
              .client = settings_.client,
              .timeout = settings_.timeout},
             context.clock, context.timers, context.bus, context.turn, context.log),
      wear_(context, settings_, items_),
      messages_(context, settings_, items_),
      image_(context, settings_, items_),
      writes_(context, settings_, items_,
              {.queue = queue_, .wear = wear_, .image = image_, .online = [this] {
                 return Online();
               }}) {}

void UnitDriver::Start() {
  started_ = true;
  context_.state.SetItems(items_.table());
  context_.state.SetIdentity(kIdentityUnit, settings_.unit.ToString());
  context_.state.SetIdentity(
      "poll_period",
      Value::Number(std::chrono::duration<double>(settings_.poll).count()).ToString());
  context_.state.SetIdentity("address", std::to_string(settings_.unit.address()));
  image_.Start();
  wear_.Start();
  timers_.Every(settings_.poll, [this] { StartRound(); });
  if (phase_ == Phase::kBusDown) {
    context_.state.SetLink(LinkState::kBusDown, "the bus does not carry frames");
  } else {
    Search();
  }
}

// ---------------------------------------------------------------- from the bus

void UnitDriver::OnFrame(const RxFrame& rx) {
  const absl::StatusOr<Answer> answer = DecodeAnswer(rx.frame);
  if (!answer.ok()) {
    return context_.log.CountBadFrame(BadFrameReason(answer.status()),
                                      std::string(answer.status().message()));
  }
  if (answer->kind == Answer::Kind::kMessage) {
    // It restarted: what was only in RAM is gone.
    if (Messages::TellsOfRestart(answer->object)) image_.OnUnitRestarted();
    return messages_.OnMessage(answer->object, answer->message_value, rx.time);
  }
  if (!queue_.OnAnswer(*answer, rx.time) && !IsGatewaysQuestion(*answer)) {
    context_.log.CountBadFrame("unexpected_answer",
                               FormatFrame(rx.frame) + ": late, or to nobody's question");
  }
}

void UnitDriver::OnTxReport(const TxReport& report) { queue_.OnTxReport(report); }

void UnitDriver::OnTurn() { queue_.OnTurn(); }

void UnitDriver::OnBusState(BusState state) {
  const bool was_up = phase_ != Phase::kBusDown;
  if (!CanTransmit(state)) {
    ++life_;
    phase_ = Phase::kBusDown;
    polling_ = false;
    if (!started_) return;
    EndAll(MakeError(StatusCode::kUnavailable, "BUS_DOWN",
                     context_.config.id + ": the bus is " + std::string(ToString(state)) +
                         "; nothing is sent later for this",
                     {{"device_id", context_.config.id}}),
           /*bus_is_down=*/true);
    if (was_up) {
      context_.state.SetLink(LinkState::kBusDown, "the bus is " + std::string(ToString(state)));
    }
    return;
  }
  if (was_up) return;
  phase_ = Phase::kSearching;
  pause_ = kFirstPause;
  if (started_) Search();
}

// What is under way, and what is known of the unit.
void UnitDriver::EndAll(const absl::Status& why, bool bus_is_down) {
  if (bus_is_down) {
    writes_.AbortAll(why);
    queue_.Clear();
  } else {
    // A safe action is tried whatever is known of the unit.
    writes_.AbortOrdinary(why);
    queue_.Drop(0);
  }
  for (const std::weak_ptr<FreshRead>& open : std::exchange(reads_, {})) {
    if (const std::shared_ptr<FreshRead> read = open.lock()) {
      read->status = why;
      read->Finish();
    }
  }
  image_.OnUnitLost();
  context_.state.InvalidateAll(Quality::kStale);
  wear_.Publish();
  messages_.Publish();
  context_.state.SetPolled(false);
}

// ---------------------------------------------------------------- finding the unit

absl::Status UnitDriver::Online() const {
  if (phase_ == Phase::kOnline || phase_ == Phase::kIdentifying) return absl::OkStatus();
  return MakeError(
      StatusCode::kUnavailable, "UNIT_SILENT",
      context_.config.id + ": " + settings_.unit.ToString() + " does not answer; nothing was sent",
      {{"device_id", context_.config.id}, {"unit", settings_.unit.ToString()}});
}

void UnitDriver::Search() {
  if (!can_be_asked()) {
    phase_ = Phase::kOnline;
    context_.state.SetLink(LinkState::kOnline, "only heard: it cannot be asked on CAN");
    return context_.state.SetPolled(true);
  }
  context_.state.SetLink(LinkState::kSearching, "asks for " + settings_.unit.ToString() +
                                                    " at address " +
                                                    std::to_string(settings_.unit.address()));
  AskFor(*Catalogue::Get().Find(*settings_.unit.family, probe_), Part::kFlash, Rank::kPoll,
         kProbeTries, [this](const Outcome& outcome) { OnProbe(outcome); });
}

void UnitDriver::OnProbe(const Outcome& outcome) {
  if (phase_ != Phase::kSearching) return;
  const Reaction reaction = ReactionTo(outcome.error_code);
  const bool there =
      outcome.answered() && reaction != Reaction::kAbsent && reaction != Reaction::kRetryLater;
  // At 601 a battery monitor or an Xcom-CAN in battery mode: each has an info that the other does
  // not (section 10).
  const bool other_kind =
      there && (reaction == Reaction::kNoSuchObject ||
                (settings_.unit.family == Family::kBms && !std::isfinite(outcome.value)));
  if (there && !other_kind) return Identify();
  context_.state.SetLink(
      other_kind ? LinkState::kUnsupported : LinkState::kSearching,
      other_kind ? "what answers is no " + settings_.unit.ToString()
                 : "no answer from " + settings_.unit.ToString() +
                       (outcome.error_code == 0 ? "" : ": " + ErrorText(outcome.error_code)));
  const uint64_t life = life_;
  timers_.At(context_.clock.Now() + pause_, [this, life] {
    if (life == life_ && phase_ == Phase::kSearching) Search();
  });
  pause_ = std::min(2 * pause_, kLongestPause);
}

void UnitDriver::Identify() {
  phase_ = Phase::kIdentifying;
  misses_ = 0;
  context_.state.SetLink(LinkState::kIdentifying, "reads version and serial number");
  const IdentityPairs pairs = PairsOf(*settings_.unit.family);
  open_identities_ = 1;
  if (pairs.firmware != 0) {
    ReadPair(pairs.firmware, [this](uint32_t word) {
      context_.state.SetIdentity("firmware_version", FirmwareText(word));
    });
    ReadPair(pairs.serial, [this](uint32_t word) {
      context_.state.SetIdentity("serial_number", std::to_string(word));
    });
  }
  if (--open_identities_ == 0) GoOnline();
}

// Two floats that hold 16 bits each. What cannot be read stays unknown.
void UnitDriver::ReadPair(uint16_t high_id, std::function<void(uint32_t)> store) {
  ++open_identities_;
  auto high = std::make_shared<float>(NAN);
  const auto word_of = [](float value) -> std::optional<uint32_t> {
    if (!(value >= 0 && value <= 65535)) return std::nullopt;
    return static_cast<uint32_t>(std::lround(value));
  };
  const auto entry = [&](uint16_t id) -> const Entry& {
    return *Catalogue::Get().Find(*settings_.unit.family, id);
  };
  AskFor(entry(high_id), Part::kFlash, Rank::kPoll, kReadTries,
         [this, high](const Outcome& outcome) {
           Watch(outcome);
           if (outcome.status.ok()) *high = outcome.value;
         });
  AskFor(entry(static_cast<uint16_t>(high_id + 1)), Part::kFlash, Rank::kPoll, kReadTries,
         [this, high, word_of, store = std::move(store)](const Outcome& outcome) {
           Watch(outcome);
           if (phase_ != Phase::kIdentifying) return;
           const std::optional<uint32_t> high_word = word_of(*high);
           const std::optional<uint32_t> low_word =
               outcome.status.ok() ? word_of(outcome.value) : std::nullopt;
           if (high_word && low_word) store(*high_word << 16 | *low_word);
           if (--open_identities_ == 0) GoOnline();
         });
}

void UnitDriver::GoOnline() {
  phase_ = Phase::kOnline;
  pause_ = kFirstPause;
  missing_.clear();
  context_.state.SetLink(LinkState::kOnline, settings_.unit.ToString() + " answers");
  StartRound();
}

void UnitDriver::GoLost(const std::string& why) {
  ++life_;
  phase_ = Phase::kSearching;
  polling_ = false;
  EndAll(MakeError(StatusCode::kUnavailable, "UNIT_SILENT", context_.config.id + ": " + why,
                   {{"device_id", context_.config.id}}),
         /*bus_is_down=*/false);
  context_.state.SetLink(LinkState::kLost, why);
  const uint64_t life = life_;
  timers_.At(context_.clock.Now() + pause_, [this, life] {
    if (life == life_ && phase_ == Phase::kSearching) Search();
  });
}

void UnitDriver::Watch(const Outcome& outcome) {
  if (phase_ != Phase::kOnline && phase_ != Phase::kIdentifying) return;
  const Reaction reaction = ReactionTo(outcome.error_code);
  if (outcome.answered() && reaction == Reaction::kAbsent) {
    return GoLost("the gateway says: " + ErrorText(outcome.error_code));
  }
  const bool silent = outcome.answered() ? outcome.error_code == 0x03 : outcome.timed_out;
  if (!silent) {
    if (outcome.answered()) misses_ = 0;
    return;
  }
  if (++misses_ >= kMostMisses) GoLost(settings_.unit.ToString() + " does not answer any more");
}

// ---------------------------------------------------------------- reading

void UnitDriver::AskFor(const Entry& entry, Part part, Rank rank, int tries,
                        std::function<void(const Outcome&)> done) {
  queue_.Add({.unit = settings_.unit.address(),
              .service = entry.parameter ? Service::kReadParameter : Service::kReadInfo,
              .object = entry.id,
              .part = part,
              .rank = rank,
              .tries = tries,
              .done = [this, life = life_, done = std::move(done)](const Outcome& outcome) {
                if (life == life_) done(outcome);
              }});
}

void UnitDriver::Store(const Entry& entry, Part part, const Outcome& outcome) {
  if (ReactionTo(outcome.error_code) == Reaction::kNoSuchObject) {
    // U13: as if it had no value.
    missing_.insert(&entry);
    return image_.OnNoValue(entry);
  }
  if (!outcome.status.ok()) return;
  if (!entry.parameter) return image_.OnInfo(entry, outcome.value, outcome.time);
  if (part == Part::kFlash) image_.OnFlashRead(entry, outcome.value, outcome.time);
}

void UnitDriver::StartRound() {
  if (phase_ != Phase::kOnline || polling_ || !can_be_asked()) return;
  if (++rounds_ % kRoundsOfMissing == 0) missing_.clear();
  polled_.clear();
  for (const auto* list : {&settings_.infos, &settings_.parameters}) {
    for (const Entry* entry : *list) {
      if (!missing_.contains(entry)) polled_.push_back(entry);
    }
  }
  // With nothing to poll the link is still watched.
  if (polled_.empty()) {
    polled_.push_back(Catalogue::Get().Find(*settings_.unit.family, probe_));
  }
  polling_ = true;
  next_poll_ = 0;
  round_started_ = context_.clock.Now();
  PollNext();
}

// One at a time, so that others of the same rank come between.
void UnitDriver::PollNext() {
  if (next_poll_ == polled_.size()) {
    polling_ = false;
    const MonoTime now = context_.clock.Now();
    context_.state.Set(
        items_.Status(StatusItem::kPollTime),
        Value::Number(
            std::round(std::chrono::duration<double>(now - round_started_).count() * 1e3) / 1e3),
        now, image_.good_for());
    return context_.state.SetPolled(true);
  }
  const Entry& entry = *polled_[next_poll_++];
  // One that came late, because of others' turns or a late wake-up, is made up for by the next.
  last_poll_ = std::max(last_poll_ + poll_spacing_, context_.clock.Now() - poll_spacing_);
  AskFor(entry, Part::kFlash, Rank::kPoll, 1,
         [this, &entry](const Outcome& outcome) { Polled(entry, outcome); });
}

void UnitDriver::Polled(const Entry& entry, const Outcome& outcome) {
  Store(entry, Part::kFlash, outcome);
  const uint64_t life = life_;
  Watch(outcome);
  if (life != life_) return;
  const MonoTime next = last_poll_ + poll_spacing_;
  if (next <= context_.clock.Now()) return PollNext();
  timers_.At(next, [this, life] {
    if (life == life_) PollNext();
  });
}

void UnitDriver::Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) {
  std::vector<const Entry*> entries;
  for (const ItemId item : items) {
    const UnitItems::Meaning meaning = items_.MeaningOf(item);
    if (meaning.entry == nullptr || meaning.entry->format == Format::kSignal) continue;
    if (std::find(entries.begin(), entries.end(), meaning.entry) == entries.end()) {
      entries.push_back(meaning.entry);
    }
  }
  if (entries.size() > kMostFresh) {
    const std::string count = std::to_string(entries.size());
    const std::string most = std::to_string(kMostFresh);
    return done(
        MakeError(StatusCode::kResourceExhausted, "TOO_MANY_FRESH_READS",
                  context_.config.id + ": found " + count +
                      " objects to read from the unit at once, expected at most " + most,
                  {{"device_id", context_.config.id}, {"found", count}, {"maximum", most}}));
  }
  if (!entries.empty()) {
    if (absl::Status online = Online(); !online.ok()) return done(online);
  }
  auto read = std::make_shared<FreshRead>();
  read->done = std::move(done);
  std::erase_if(reads_, [](const auto& old) { return old.expired(); });
  reads_.push_back(read);
  for (const Entry* entry : entries) {
    ++read->open;
    AskFresh(*entry, read);
  }
  read->Ended(absl::OkStatus());
}

void UnitDriver::AskFresh(const Entry& entry, const std::shared_ptr<FreshRead>& read) {
  AskFor(
      entry, Part::kFlash, Rank::kFresh, kReadTries, [this, &entry, read](const Outcome& outcome) {
        Store(entry, Part::kFlash, outcome);
        if (ReactionTo(outcome.error_code) == Reaction::kNoSuchObject) {
          read->missing += (read->missing.empty() ? "" : ", ") + entry.id_text;
          return read->Ended(absl::OkStatus());
        }
        if (!outcome.status.ok() || !entry.parameter || entry.format != Format::kNumber) {
          read->Ended(outcome.status);
          return Watch(outcome);
        }
        // Of a parameter its bounds too.
        AskFor(
            entry, Part::kMinimum, Rank::kFresh, kReadTries,
            [this, &entry, read](const Outcome& minimum) {
              if (!minimum.status.ok()) {
                read->Ended(minimum.status);
                return Watch(minimum);
              }
              AskFor(
                  entry, Part::kMaximum, Rank::kFresh, kReadTries,
                  [this, &entry, read, low = minimum.value](const Outcome& maximum) {
                    if (maximum.status.ok() && std::isfinite(low) && std::isfinite(maximum.value)) {
                      image_.OnBounds(entry, ShortestDecimal(low), ShortestDecimal(maximum.value));
                    }
                    read->Ended(maximum.status);
                    Watch(maximum);
                  });
            });
        Watch(outcome);
      });
}

// ---------------------------------------------------------------- commands

void UnitDriver::Execute(Command command) { writes_.Execute(std::move(command)); }

void UnitDriver::Cancel(CommandId id, absl::Status why) { writes_.Cancel(id, why); }

}  // namespace canhub::studer
