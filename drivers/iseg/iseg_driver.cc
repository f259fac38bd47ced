#include "drivers/iseg/iseg_driver.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
namespace hvc = high_voltage::channel;
namespace hvm = high_voltage::module;
namespace action = high_voltage::action;

// H repeats the frame so often while the mode is on (section 9.2).
constexpr Duration kLiveInsertionPeriod = seconds(150);
// From the end of the NMT restart to the first word to a single device: about 1100 ms after its
// first frame (section 8).
constexpr Duration kScanPause = milliseconds(900);
// Longer than the answers to a multiple read take on the slowest line.
constexpr Duration kOldAnswers = seconds(2);
// A module before it has told what it is: the 16-bit registers, no ramps of channels.
constexpr Features kUnknownFeatures =
    feature::kNarrow | feature::kModuleVoltageRampOnly | feature::kModuleLimits;

std::shared_ptr<const DeviceItems> FirstItems(const Settings& settings) {
  return settings.address.crate ? SharedCrateItems()
                                : SharedModuleItems(settings.channels, kUnknownFeatures);
}

std::string FormatPeriod(Duration period) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", std::chrono::duration<double>(period).count());
  return text;
}

}  // namespace

IsegDriver::IsegDriver(DriverContext context)
    : context_(std::move(context)),
      settings_(ParseSettings(context_.config)),
      timers_(context_.timers),
      image_(context_.clock, context_.state, FirstItems(settings_)),
      queue_(settings_.address, context_.clock, context_.timers, context_.bus, context_.log,
             {.idle = [this] { poller_.OnIdle(); },
              .unanswered = [this](int consecutive) { session_.OnUnanswered(consecutive); }}),
      derived_(settings_, context_.clock, context_.state, image_),
      alarms_(settings_, context_.alarms, image_),
      foreign_(context_.clock, context_.timers, context_.alarms, context_.log),
      session_(settings_, context_.clock, context_.timers, queue_, context_.log,
               {.link = [this](LinkState state, const std::string& text) { OnLink(state, text); },
                .online = [this](const Identified& found) { OnOnline(found); },
                .offline = [this](bool restarted,
                                  const std::string& why) { OnOffline(restarted, why); }}),
      poller_(
          settings_, context_.bus_info, context_.clock, context_.timers, queue_, image_,
          [this](uint16_t data_id) { OnRead(data_id); }, [this] { OnPolled(); }),
      planner_(settings_, context_.config, image_),
      engine_({.settings = settings_,
               .clock = context_.clock,
               .reporter = context_.commands,
               .log = context_.log,
               .queue = queue_,
               .poller = poller_,
               .image = image_,
               .planner = planner_,
               .alarms = alarms_,
               .session = session_,
               .confirmed = [this](const Command& command) { OnConfirmed(command); }},
              context_.timers) {}

IsegDriver::~IsegDriver() {
  const LinkState link = session_.state();
  if (!started_ || (link != LinkState::kOnline && link != LinkState::kIdentifying)) return;
  // Without log-on the device announces itself again; that it was not taken changes nothing.
  context_.bus.Send({.frame = LogOffFrame(settings_.address), .urgency = Urgency::kHeartbeat})
      .IgnoreError();
}

void IsegDriver::Start() {
  started_ = true;
  no_foreigners_before_ = context_.clock.Now() + kOldAnswers;
  context_.state.SetIdentity(hvm::kClass, settings_.address.crate ? "crate" : "module");
  if (CanTransmit(bus_state_)) {
    session_.OnBusUp();
  } else {
    session_.OnBusDown(bus_state_);
  }
}

void IsegDriver::OnBusState(BusState state) {
  const bool could = CanTransmit(bus_state_);
  bus_state_ = state;
  if (!started_) return;
  if (CanTransmit(state)) {
    if (!could) {
      no_foreigners_before_ = context_.clock.Now() + kOldAnswers;
      session_.OnBusUp();
    }
    return;
  }
  // S02: nothing that was commanded before survives; on return the device is only read.
  ForgetDevice(
      MakeError(absl::StatusCode::kUnavailable, "BUS_DOWN",
                context_.config.id + ": the bus is " + std::string(ToString(state)),
                {{"device_id", context_.config.id}, {"bus_state", std::string(ToString(state))}}));
  session_.OnBusDown(state);
}

void IsegDriver::ForgetDevice(const absl::Status& why) {
  engine_.AbortAll(why);
  poller_.Stop(why);
  queue_.Flush(why);
  if (live_insertion_timer_ != 0) {
    SetLiveInsertion(false);
    context_.log.Log(LogLevel::kWarning, "live-insertion mode is not repeated any more");
  }
  image_.ForgetAll();
  derived_.OnOffline();
  context_.state.SetPolled(false);
}

void IsegDriver::OnLink(LinkState state, const std::string& text) {
  context_.state.SetLink(state, text);
  if (state == LinkState::kUnsupported) alarms_.OnUnsupported(text);
}

void IsegDriver::OnOffline(bool restarted, const std::string& why) {
  alarms_.OnOffline(restarted, why);
  ForgetDevice(MakeError(absl::StatusCode::kUnavailable,
                         restarted ? "DEVICE_RESTARTED" : "DEVICE_LOST",
                         context_.config.id + ": " + why, {{"device_id", context_.config.id}}));
}

void IsegDriver::OnOnline(const Identified& found) {
  const bool changed =
      !built_ || found.channels != image_.channels() || found.features != image_.items().features();
  if (changed) {
    image_.Rebuild(settings_.address.crate ? SharedCrateItems()
                                           : SharedModuleItems(found.channels, found.features));
    derived_.Rebuild();
    alarms_.Rebuild();
    built_ = true;
  }
  StatePublisher& state = context_.state;
  const ModuleIdentity& identity = found.identity;
  state.SetIdentity(hvm::kSerialNumber, std::to_string(identity.serial_number));
  state.SetIdentity(hvm::kFirmwareName, identity.firmware_name);
  state.SetIdentity(hvm::kFirmwareRelease, found.firmware_release);
  if (!identity.article.empty()) state.SetIdentity(hvm::kArticle, identity.article);
  if (!settings_.address.crate) {
    state.SetIdentity(hvm::kChannels, std::to_string(found.channels));
  }
  if (identity.device_class >= 0) {
    state.SetIdentity("device_class", std::to_string(identity.device_class));
  }
  if (found.bit_rate) state.SetIdentity("bit_rate", std::to_string(*found.bit_rate));
  std::string quirks;
  for (const std::string& quirk : found.quirks) quirks += (quirks.empty() ? "" : ",") + quirk;
  state.SetIdentity(hvm::kQuirks, quirks);
  alarms_.OnOnline();
  context_.log.Log(
      LogLevel::kInfo,
      "online: " + identity.firmware_name + " " + found.firmware_release + ", serial number " +
          std::to_string(identity.serial_number) +
          (settings_.address.crate ? std::string()
                                   : ", " + std::to_string(found.channels) + " channels"));
  poller_.Start();
  PublishPlan();
}

void IsegDriver::PublishPlan() {
  const PollPlan& plan = poller_.plan();
  context_.state.SetIdentity("poll_period", FormatPeriod(plan.period(PollRate::kFast)));
  context_.state.SetIdentity("slow_poll_period", FormatPeriod(plan.period(PollRate::kSlow)));
  context_.state.SetIdentity("verify_poll_period", FormatPeriod(plan.period(PollRate::kRare)));
  char load[32];
  std::snprintf(load, sizeof load, "%.1f %%", 100 * plan.load);
  context_.state.SetIdentity("poll_load", load);
}

void IsegDriver::OnRead(uint16_t data_id) {
  image_.EndText(data_id);
  derived_.OnRead(data_id, poller_.plan().period(PollRate::kFast));
  alarms_.OnRead(data_id);
}

void IsegDriver::OnPolled() {
  derived_.PublishStatics(poller_.plan().period(PollRate::kFast));
  context_.state.SetPolled(true);
}

void IsegDriver::CountBad(const absl::Status& status, const CanFrame& frame) {
  const std::string reason = BadFrameReason(status);
  context_.log.CountBadFrame(reason.empty() ? "bad_frame" : reason,
                             FormatFrame(frame) + ": " + std::string(status.message()));
}

void IsegDriver::OnFrame(const RxFrame& frame) {
  if (!started_) return;
  const absl::StatusOr<Answer> answer = ParseAnswer(frame.frame);
  if (!answer.ok()) {
    if (BadFrameReason(answer.status()) == "foreign_master") {
      foreign_.Saw(frame.frame, "a read request");
    } else {
      CountBad(answer.status(), frame.frame);
    }
    return;
  }
  if (answer->from != settings_.address) return;
  switch (answer->kind) {
    case Answer::Kind::kAnnouncement:
      return session_.OnAnnouncement(*answer);
    case Answer::Kind::kBootLoader:
      return session_.OnBootLoader(*answer);
    default:
      break;
  }
  switch (queue_.Classify(*answer)) {
    case TransactionQueue::Match::kWanted:
      return OnWanted(frame, *answer);
    case TransactionQueue::Match::kRepeated:
      context_.log.CountBadFrame("unexpected_answer",
                                 FormatFrame(frame.frame) + ": late, or answered already");
      return;
    case TransactionQueue::Match::kUnasked:
      if (context_.clock.Now() < no_foreigners_before_) {
        context_.log.CountBadFrame("unexpected_answer",
                                   FormatFrame(frame.frame) + ": asked before the start");
        return;
      }
      foreign_.Saw(frame.frame, "a write, or an answer to a question of somebody else");
      return;
  }
}

void IsegDriver::OnWanted(const RxFrame& frame, const Answer& answer) {
  if (!Store(frame, answer)) return;
  const bool text_complete = !session_.online() && session_.OnAnswer(answer);
  queue_.Accept(answer);
  if (text_complete) queue_.EndOutstanding();
}

bool IsegDriver::Store(const RxFrame& frame, const Answer& answer) {
  if (answer.kind == Answer::Kind::kDcp) return true;
  const Register* row = FindRegister(answer.data_id);
  const bool piece = row != nullptr && row->type == WireType::kTextPiece;
  if (answer.kind == Answer::Kind::kValue && row != nullptr && !piece) {
    const absl::StatusOr<WireValue> value = DecodeAnswer(answer);
    if (!value.ok()) {
      CountBad(value.status(), frame.frame);
      return false;
    }
  }
  if (!session_.online()) return true;
  if (piece) {
    const absl::StatusOr<bool> complete = image_.ApplyPiece(answer, frame.time);
    if (!complete.ok()) {
      CountBad(complete.status(), frame.frame);
      return false;
    }
    if (*complete) {
      queue_.Accept(answer);
      queue_.EndOutstanding();
      return false;  // it is taken already
    }
    return true;
  }
  const absl::Status status = image_.Apply(answer, frame.time);
  // A raw exchange may ask for what no item stands for.
  if (status.ok() || BadFrameReason(status) == "unknown_data_id") return true;
  CountBad(status, frame.frame);
  return false;
}

void IsegDriver::OnTxReport(const TxReport& report) { queue_.OnTxReport(report); }

void IsegDriver::Execute(Command command) { engine_.Execute(std::move(command)); }

void IsegDriver::Cancel(CommandId id, absl::Status why) { engine_.Cancel(id, why); }

void IsegDriver::Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) {
  if (!session_.online()) {
    done(MakeError(absl::StatusCode::kUnavailable, "DEVICE_OFFLINE",
                   context_.config.id + ": the device is " +
                       std::string(ToString(session_.state())) + "; nothing can be read",
                   {{"device_id", context_.config.id}}));
    return;
  }
  for (const ItemId item : items) {
    if (item >= image_.items().table()->size()) {
      done(MakeError(absl::StatusCode::kNotFound, "NO_SUCH_ITEM",
                     context_.config.id + ": item number " + std::to_string(item) +
                         " does not exist (any more)",
                     {{"device_id", context_.config.id}}));
      return;
    }
  }
  poller_.Refresh(std::move(items), std::move(done));
}

void IsegDriver::OnConfirmed(const Command& command) {
  const auto* call = std::get_if<ActionCall>(&command.what);
  if (call == nullptr) {
    poller_.Hurry(id::kModuleStatus);
    return;
  }
  if (call->name == action::kClearEvents) {
    const Value* channel = FindArgument(call->arguments, "channel");
    derived_.ClearLatches(channel != nullptr && channel->type() == ValueType::kInteger
                              ? static_cast<int>(channel->integer())
                              : DeviceImage::kDevice);
  } else if (call->name == action::kLiveInsertionOn) {
    SetLiveInsertion(true);
  } else if (call->name == action::kLiveInsertionOff) {
    SetLiveInsertion(false);
  } else if (call->name == action::kRestartScan) {
    // Not before the command has ended: this ends all others.
    timers_.At(context_.clock.Now(), [this] {
      ForgetDevice(MakeError(absl::StatusCode::kUnavailable, "LINE_RESTARTED",
                             context_.config.id + ": the line is being scanned again",
                             {{"device_id", context_.config.id}}));
      session_.Restart(kScanPause);
    });
    return;
  }
  poller_.Hurry(id::kModuleStatus);
}

void IsegDriver::SetLiveInsertion(bool on) {
  timers_.Cancel(live_insertion_timer_);
  live_insertion_timer_ = 0;
  if (!on) return;
  live_insertion_timer_ = timers_.Every(kLiveInsertionPeriod, [this] {
    queue_.Write({.frame = LiveInsertionFrame(settings_.address.line, true),
                  .priority = Priority::kCommand});
  });
}

}  // namespace canhub::iseg
