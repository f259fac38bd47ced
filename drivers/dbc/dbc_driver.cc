#include "drivers/dbc/dbc_driver.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub::dbc_device {
namespace {

// How often it is looked whether the device has fallen silent.
constexpr Duration kLinkCheck = std::chrono::seconds(1);

bool AllOnes(const dbc::Signal& signal, dbc::Bits bits) {
  const dbc::Bits mask = signal.length == 64 ? ~dbc::Bits{0} : (dbc::Bits{1} << signal.length) - 1;
  return signal.length > 1 && (bits & mask) == mask;
}

}  // namespace

DbcDriver::DbcDriver(DriverContext context, Settings settings)
    : context_(std::move(context)),
      settings_(std::move(settings)),
      map_(settings_),
      timers_(context_.timers),
      awaited_(context_.timers) {
  for (const MappedMessage& mapped : map_.messages()) {
    states_.push_back(
        {.known = std::vector<std::optional<dbc::Bits>>(mapped.message->signals.size())});
  }
  context_.state.SetItems(map_.table());
}

void DbcDriver::Start() {
  started_ = true;
  context_.state.SetIdentity("dbc", settings_.database->file);
  if (!settings_.database->version.empty()) {
    context_.state.SetIdentity("dbc_version", settings_.database->version);
  }
  timers_.Every(kLinkCheck, [this] { UpdateLink(); });
  UpdateLink();
}

absl::Status DbcDriver::Error(absl::StatusCode code, const char* reason,
                              const std::string& text) const {
  return MakeError(code, reason, context_.config.id + ": " + text,
                   {{"device_id", context_.config.id}});
}

absl::Status DbcDriver::BusAway() const {
  return Error(absl::StatusCode::kUnavailable, "BUS_DOWN",
               "the bus is " + std::string(ToString(bus_state_)));
}

void DbcDriver::OnBusState(BusState state) {
  const bool could = CanTransmit(bus_state_);
  bus_state_ = state;
  if (!started_) return;
  if (!CanTransmit(state) && could) {
    // S02: nothing that was written before is sent on the bus that comes back.
    StopSending();
    AbortAll(BusAway());
    awaited_.EndAll(BusAway());
    for (State& s : states_) {
      s.received = {};
      std::fill(s.known.begin(), s.known.end(), std::nullopt);
    }
    context_.state.InvalidateAll(Quality::kStale);
    context_.state.SetPolled(polled_ = false);
  }
  UpdateLink();
}

void DbcDriver::UpdateLink() {
  const MonoTime now = context_.clock.Now();
  bool any = false, readable = false, all = true;
  for (size_t i = 0; i < states_.size(); ++i) {
    const MappedMessage& mapped = map_.messages()[i];
    if (mapped.writable) continue;
    readable = true;
    const bool fresh = states_[i].received != MonoTime{} &&
                       now - states_[i].received < GoodFor(static_cast<int>(i));
    any |= fresh;
    // One that has no period comes when it comes.
    all = all && (fresh || mapped.message->cycle == Duration(0));
  }
  const bool ever = link_ == LinkState::kOnline || link_ == LinkState::kLost;
  LinkState state = LinkState::kOnline;
  const char* text = "";
  if (!CanTransmit(bus_state_)) {
    state = LinkState::kBusDown;
    text = "the bus is away";
  } else if (readable && !any) {
    state = ever ? LinkState::kLost : LinkState::kSearching;
    text = ever ? "none of its messages comes any more" : "none of its messages has come yet";
  }
  if (state != link_) context_.state.SetLink(link_ = state, text);
  if (!polled_ && state == LinkState::kOnline && all) context_.state.SetPolled(polled_ = true);
}

// ---------------------------------------------------------------- what comes

Duration DbcDriver::GoodFor(int index) const {
  return settings_.stale_periods * map_.messages()[static_cast<size_t>(index)].period;
}

void DbcDriver::OnFrame(const RxFrame& frame) {
  if (!started_) return;
  const int index = map_.Find(frame.frame);
  if (index < 0) return;
  const MappedMessage& mapped = map_.messages()[static_cast<size_t>(index)];
  const dbc::Message& message = *mapped.message;
  const std::span<const uint8_t> bytes = frame.frame.payload();
  if (bytes.size() < static_cast<size_t>(message.length)) {
    context_.log.CountBadFrame("short_frame", FormatFrame(frame.frame) + ": expected " +
                                                  std::to_string(message.length) + " bytes, as " +
                                                  message.name + " has");
    return;
  }
  State& state = states_[static_cast<size_t>(index)];
  const int unknown = message.ForEach(dbc::Payload(bytes), [&](int signal, dbc::Bits bits) {
    state.known[static_cast<size_t>(signal)] = bits;
    Publish(index, signal, bits, frame.time);
  });
  if (unknown >= 0) {
    context_.log.CountBadFrame("unknown_page",
                               FormatFrame(frame.frame) + ": " + message.name + "." +
                                   message.signals[static_cast<size_t>(unknown)].name +
                                   " shows a page that the DBC does not describe");
  }
  state.received = frame.time;
  if (link_ != LinkState::kOnline || !polled_) UpdateLink();
  if (!awaited_.empty()) awaited_.Arrived(index);
}

void DbcDriver::Publish(int index, int number, dbc::Bits bits, MonoTime time) {
  const MappedMessage& mapped = map_.messages()[static_cast<size_t>(index)];
  const dbc::Signal& signal = mapped.message->signals[static_cast<size_t>(number)];
  const ItemId item = map_.Item(mapped, number);
  const double physical = signal.Physical(bits);
  const bool named = signal.NameOf(bits) != nullptr;
  const bool outside = settings_.check_range && !named &&
                       ((signal.minimum && physical < *signal.minimum) ||
                        (signal.maximum && physical > *signal.maximum));
  const bool ones = settings_.all_ones_is_bad && !named && AllOnes(signal, bits);
  if (!std::isfinite(physical) || outside || ones) {
    return context_.state.Invalidate(item, Quality::kBad);
  }
  if (signal.integral) {
    const std::optional<int64_t> whole = signal.PhysicalInteger(bits);
    if (!whole) return context_.state.Invalidate(item, Quality::kBad);
    return context_.state.Set(item, Value::Integer(*whole), time, GoodFor(index));
  }
  context_.state.Set(item, Value::Number(physical), time, GoodFor(index));
}

void DbcDriver::Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) {
  if (!CanTransmit(bus_state_)) return done(BusAway());
  std::set<int> awaited;
  Duration longest{0};
  for (const ItemId item : items) {
    if (item >= map_.table()->size()) continue;
    const int index = map_.table()->Locate(item).block;
    awaited.insert(index);
    longest = std::max(longest, GoodFor(index));
  }
  if (awaited.empty()) return done(absl::OkStatus());
  awaited_.Add(std::move(awaited), context_.clock.Now() + longest,
               Error(absl::StatusCode::kUnavailable, "NO_ANSWER",
                     "the message did not come; nobody can ask for it"),
               std::move(done));
}

// ---------------------------------------------------------------- what goes

absl::StatusOr<CanFrame> DbcDriver::Encode(const dbc::Message& message,
                                           const std::vector<std::optional<dbc::Bits>>& values,
                                           const std::vector<bool>& written) const {
  CanFrame frame{
      .id = message.id, .extended = message.extended, .dlc = static_cast<uint8_t>(message.length)};
  const std::span<uint8_t> bytes(frame.data.data(), frame.dlc);
  std::vector<bool> here(message.signals.size());
  std::string missing, hidden;
  for (const int index : message.order) {
    const auto at = static_cast<size_t>(index);
    const dbc::Signal& signal = message.signals[at];
    here[at] = signal.selected_by < 0;
    if (signal.selected_by >= 0 && here[static_cast<size_t>(signal.selected_by)]) {
      const auto page = static_cast<int64_t>(
          values[static_cast<size_t>(signal.selected_by)].value_or(dbc::Bits{0}));
      for (const dbc::PageRange& range : signal.pages) {
        here[at] = here[at] || (range.first <= page && page <= range.last);
      }
    }
    if (!here[at]) {
      if (written[at]) hidden += (hidden.empty() ? "" : ", ") + signal.name;
      continue;
    }
    if (!values[at]) {
      missing += (missing.empty() ? "" : ", ") + signal.name;
      continue;
    }
    dbc::InsertBits(signal, *values[at], bytes);
  }
  if (!missing.empty()) {
    return Error(absl::StatusCode::kFailedPrecondition, "SIGNALS_NEVER_SET",
                 message.name + " needs " + missing +
                     ", which nobody has sent or set yet; set them in the same command");
  }
  if (!hidden.empty()) {
    return Error(absl::StatusCode::kInvalidArgument, "SIGNAL_ON_OTHER_PAGE",
                 message.name + ": " + hidden +
                     " is on another page than its selector shows; set "
                     "the selector in the same command");
  }
  return frame;
}

absl::StatusOr<std::vector<DbcDriver::Outgoing>> DbcDriver::Plan(
    const std::vector<ItemWrite>& writes) const {
  std::vector<Outgoing> frames;
  std::vector<std::vector<bool>> written;
  for (const ItemWrite& write : writes) {
    const ItemTable::Place place = map_.table()->Locate(write.item);
    const dbc::Message& message = *map_.messages()[static_cast<size_t>(place.block)].message;
    const auto at = static_cast<size_t>(place.spec);
    const dbc::Signal& signal = message.signals[at];
    auto outgoing = std::find_if(frames.begin(), frames.end(),
                                 [&](const Outgoing& o) { return o.message == place.block; });
    if (outgoing == frames.end()) {
      Outgoing fresh{.message = place.block,
                     .values = states_[static_cast<size_t>(place.block)].known};
      for (size_t i = 0; i < fresh.values.size(); ++i) {
        const dbc::Signal& other = message.signals[i];
        if (fresh.values[i] || !other.start_value || other.is_float) continue;
        if (const auto bits = other.FromRaw(*other.start_value); bits.ok()) fresh.values[i] = *bits;
      }
      frames.push_back(std::move(fresh));
      written.emplace_back(message.signals.size());
      outgoing = frames.end() - 1;
    }
    // Whole numbers beyond what a double holds stay exact.
    const bool plain = signal.integral && signal.factor == 1 && signal.offset == 0 &&
                       write.value.type() == ValueType::kInteger;
    const absl::StatusOr<dbc::Bits> bits =
        plain ? signal.FromRaw(write.value.integer()) : signal.FromPhysical(write.value.AsNumber());
    if (!bits.ok()) {
      return MakeError(absl::StatusCode::kOutOfRange, "VALUE_DOES_NOT_FIT",
                       context_.config.id + ": " + message.name + "." + signal.name + ": " +
                           std::string(bits.status().message()) + "; nothing was sent",
                       {{"device_id", context_.config.id},
                        {"item", message.name + "." + signal.name},
                        {"requested", write.value.ToString()}});
    }
    outgoing->values[at] = *bits;
    written[static_cast<size_t>(outgoing - frames.begin())][at] = true;
  }
  for (size_t i = 0; i < frames.size(); ++i) {
    const dbc::Message& message = *map_.messages()[static_cast<size_t>(frames[i].message)].message;
    absl::StatusOr<CanFrame> frame = Encode(message, frames[i].values, written[i]);
    if (!frame.ok()) return frame.status();
    frames[i].frame = *frame;
  }
  return frames;
}

void DbcDriver::Execute(Command command) {
  const CommandId id = command.id;
  const auto refuse = [&](absl::Status why) {
    context_.commands.Finish(id, std::move(why), {}, {});
  };
  if (const auto* call = std::get_if<ActionCall>(&command.what)) {
    if (call->name != kStopSending) {
      return refuse(
          Error(absl::StatusCode::kUnimplemented, "ACTION_UNKNOWN", "has no action " + call->name));
    }
    // S10: what is under way is overtaken.
    AbortAll(Error(absl::StatusCode::kAborted, "OVERTAKEN", "overtaken by stop_sending"));
    StopSending();
    const MonoTime now = context_.clock.Now();
    for (const Stage stage : {Stage::kSent, Stage::kOnWire, Stage::kConfirmed, Stage::kSettled}) {
      context_.commands.Reached(id, stage, now);
    }
    return context_.commands.Finish(id, absl::OkStatus(), {}, {});
  }
  if (!CanTransmit(bus_state_)) return refuse(BusAway());
  const auto& writes = std::get<std::vector<ItemWrite>>(command.what);
  absl::StatusOr<std::vector<Outgoing>> frames = Plan(writes);
  if (!frames.ok()) return refuse(frames.status());
  Job job{.id = id,
          .guard = std::make_shared<CommandGuard>(command.guard),
          .frames = *std::move(frames),
          .first_tag = last_tag_ + 1};
  for (const ItemWrite& write : writes) job.items.push_back(write.item);
  last_tag_ += job.frames.size();
  const Urgency urgency = command.urgency;
  job.command = std::move(command);
  const std::shared_ptr<CommandGuard> guard = job.guard;
  const uint64_t first_tag = job.first_tag;
  std::vector<CanFrame> wire;
  for (const Outgoing& outgoing : job.frames) wire.push_back(outgoing.frame);
  jobs_.push_back(std::move(job));
  for (size_t i = 0; i < wire.size(); ++i) {
    const absl::Status sent = context_.bus.Send({.frame = wire[i],
                                                 .urgency = urgency,
                                                 .deadline = guard->deadline(),
                                                 .guard = guard,
                                                 .tag = first_tag + i});
    const auto still =
        std::find_if(jobs_.begin(), jobs_.end(), [id](const Job& other) { return other.id == id; });
    if (still == jobs_.end()) return;  // a bus that reports from within Send has ended it
    if (!sent.ok()) {
      guard->Revoke();
      return Finish(static_cast<size_t>(still - jobs_.begin()),
                    Annotate(sent, context_.config.id + ": "));
    }
  }
}

void DbcDriver::OnTxReport(const TxReport& report) {
  for (size_t j = 0; j < jobs_.size(); ++j) {
    Job& job = jobs_[j];
    if (report.tag < job.first_tag || report.tag >= job.first_tag + job.frames.size()) continue;
    Outgoing& outgoing = job.frames[report.tag - job.first_tag];
    ++job.reported;
    if (report.outcome != TxOutcome::kOnWire && report.outcome != TxOutcome::kSent) {
      job.guard->Revoke();
      const bool expired = report.outcome == TxOutcome::kExpired;
      return Finish(
          j, Error(expired ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kUnavailable,
                   expired ? "DEADLINE" : "NOT_SENT",
                   expired ? "the command's time was over before its frames went out"
                           : "the bus did not take the command's frames"));
    }
    job.echo = job.echo && report.outcome == TxOutcome::kOnWire;
    OnOut(job, outgoing, report.time);
    if (job.reported < job.frames.size()) return;
    context_.commands.Reached(job.id, Stage::kSent, report.time);
    if (job.echo) context_.commands.Reached(job.id, Stage::kOnWire, report.time);
    // A DBC knows no answer: that the bus has acknowledged the frame is all the proof there is.
    context_.commands.Reached(job.id, Stage::kConfirmed, report.time);
    context_.commands.Reached(job.id, Stage::kSettled, report.time);
    return Finish(j, absl::OkStatus());
  }
}

void DbcDriver::OnOut(Job&, Outgoing& outgoing, MonoTime time) {
  outgoing.out = true;
  State& state = states_[static_cast<size_t>(outgoing.message)];
  state.known = outgoing.values;
  const MappedMessage& mapped = map_.messages()[static_cast<size_t>(outgoing.message)];
  mapped.message->ForEach(dbc::Payload(outgoing.frame.payload()), [&](int signal, dbc::Bits bits) {
    Publish(outgoing.message, signal, bits, time);
  });
  if (!settings_.periodic) return;
  timers_.Cancel(state.sending);
  state.sending =
      timers_.Every(mapped.period, [this, index = outgoing.message] { SendAgain(index); });
}

void DbcDriver::SendAgain(int index) {
  const MappedMessage& mapped = map_.messages()[static_cast<size_t>(index)];
  const State& state = states_[static_cast<size_t>(index)];
  const absl::StatusOr<CanFrame> frame = Encode(
      *mapped.message, state.known, std::vector<bool>(mapped.message->signals.size(), false));
  if (!frame.ok()) return;  // known once, always known until the bus goes
  const MonoTime now = context_.clock.Now();
  const absl::Status sent = context_.bus.Send(
      {.frame = *frame, .urgency = Urgency::kHeartbeat, .deadline = now + mapped.period});
  if (!sent.ok()) return;  // the next one follows
  mapped.message->ForEach(dbc::Payload(frame->payload()),
                          [&](int signal, dbc::Bits bits) { Publish(index, signal, bits, now); });
}

void DbcDriver::StopSending() {
  for (State& state : states_) {
    timers_.Cancel(state.sending);
    state.sending = 0;
  }
}

void DbcDriver::AbortAll(const absl::Status& why) {
  while (!jobs_.empty()) {
    jobs_.front().guard->Revoke();
    Finish(0, why);
  }
}

void DbcDriver::Cancel(CommandId id, absl::Status why) {
  for (size_t j = 0; j < jobs_.size(); ++j) {
    if (jobs_[j].id != id) continue;
    jobs_[j].guard->Revoke();
    return Finish(j, std::move(why));
  }
}

void DbcDriver::Finish(size_t index, absl::Status status) {
  Job job = std::move(jobs_[index]);
  jobs_.erase(jobs_.begin() + static_cast<ptrdiff_t>(index));
  if (!status.ok()) {
    std::string done;
    for (const Outgoing& outgoing : job.frames) {
      if (outgoing.out) done += (done.empty() ? "" : ", ") + FormatFrame(outgoing.frame);
    }
    if (!done.empty()) {
      const ErrorInfo info = GetErrorInfo(status);
      status = MakeError(status.code(), info.reason,
                         std::string(status.message()) + "; done: sent " + done, info.fields);
    }
  }
  context_.commands.Finish(job.id, std::move(status), std::move(job.items), {});
}

}  // namespace canhub::dbc_device
