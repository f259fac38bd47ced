#include "drivers/ystech-pcs/pcs_driver.h"

#include <iterator>
#include <utility>

#include "drivers/api/bad_frame.h"
#include "drivers/api/errors.h"
#include "drivers/api/power_converter.h"
#include "drivers/ystech-pcs/items.h"
#include "drivers/ystech-pcs/mode_setting.h"

namespace canhub::ystech_pcs {
namespace {

namespace item = power_converter::item;
namespace identity = power_converter::identity;

// Smaller than the tags of the exchange.
constexpr uint64_t kHeartbeatTag = 1;
constexpr int kBeatsPerReport = 5;
// A heartbeat reading is good until two have been missed.
constexpr Duration kHeartbeatGoodFor = PcsDriver::kHeartbeatPeriod * 3;
// A frame that comes by itself is waited for so long by a fresh read.
constexpr Duration kRefreshTime = std::chrono::seconds(1);

std::string VersionText(int a, int b, int c) {
  return std::to_string(a) + "." + std::to_string(b) + "." + std::to_string(c);
}

// The other device starts when this one does: for so long its item may be missing or not read yet.
constexpr Duration kFirstExternal = std::chrono::seconds(5);

bool NeverRead(const ReadingSource& readings, const std::string& name) {
  if (name.empty()) return false;
  const std::optional<OtherReading> reading = readings.Read(name);
  return !reading || reading->quality == Quality::kNeverRead;
}

// The configured item's value; the problem in words otherwise.
std::optional<double> ReadExternal(const ReadingSource& readings, const std::string& name,
                                   const char* unit, std::string* problem) {
  const std::optional<OtherReading> reading = readings.Read(name);
  if (!reading) {
    *problem = name + ": there is no such item (now)";
  } else if (reading->unit != unit) {
    *problem = name + ": found the unit \"" + reading->unit + "\", expected " + unit;
  } else if (reading->quality != Quality::kGood) {
    *problem = name + " is " + std::string(ToString(reading->quality));
  } else if (reading->value.type() == ValueType::kText) {
    *problem = name + " is no number";
  } else {
    return reading->value.AsNumber();
  }
  return std::nullopt;
}

}  // namespace

PcsDriver::PcsDriver(DriverContext context)
    : context_(std::move(context)),
      settings_(ParseSettings(context_.config)),
      timers_(context_.timers),
      image_(settings_, context_.clock, context_.state),
      alarms_(context_.clock, context_.timers, context_.alarms),
      exchange_(context_.config.id, context_.clock, context_.timers, context_.bus, context_.log),
      poller_(
          settings_, context_.clock, context_.timers, exchange_,
          [this] { return engine_.leaves_line(); }, [this] { context_.state.SetPolled(true); }),
      engine_({.config = context_.config,
               .settings = settings_,
               .clock = context_.clock,
               .reporter = context_.commands,
               .log = context_.log,
               .memory = context_.memory,
               .exchange = exchange_,
               .poller = poller_,
               .image = image_,
               .alarms = alarms_},
              context_.timers) {}

void PcsDriver::Start() {
  started_ = true;
  started_at_ = context_.clock.Now();
  context_.state.SetItems(Items());
  engine_.Start();
  if (CanTransmit(bus_state_)) {
    SetLink(LinkState::kSearching, "no frame of it yet");
  } else {
    SetLink(LinkState::kBusDown, "the bus is " + std::string(ToString(bus_state_)));
  }
  // From here on, whatever else happens: without it the device stops after 5 s (S04).
  Beat();
}

// ---------------------------------------------------------------- heartbeat

std::optional<Heartbeat> PcsDriver::Measured() {
  std::string problem;
  Heartbeat measured;
  const bool wanted = !settings_.external_voltage.empty() || !settings_.external_current.empty();
  if (!settings_.external_voltage.empty()) {
    const std::optional<double> voltage =
        ReadExternal(context_.readings, settings_.external_voltage, "V", &problem);
    if (voltage) measured.voltage_v = *voltage;
  }
  if (problem.empty() && !settings_.external_current.empty()) {
    const std::optional<double> current =
        ReadExternal(context_.readings, settings_.external_current, "A", &problem);
    if (current) measured.current_a = settings_.invert_external_current ? -*current : *current;
  }
  if (wanted && problem.empty()) {
    const absl::Status fits = EncodeAs(settings_.address, measured, settings_.codec).status();
    if (!fits.ok()) problem = std::string(fits.message());
  }
  const bool early = context_.clock.Now() < started_at_ + kFirstExternal &&
                     (NeverRead(context_.readings, settings_.external_voltage) ||
                      NeverRead(context_.readings, settings_.external_current));
  alarms_.OnExternal(early ? "" : problem);
  if (!wanted || !problem.empty()) return std::nullopt;
  return measured;
}

void PcsDriver::Beat() {
  const MonoTime next = NextBeat();
  timers_.At(next, [this] { Beat(); });
  SendHeartbeat(next);
  CheckLink();
}

MonoTime PcsDriver::NextBeat() const {
  constexpr auto kSlots = kHeartbeatPeriod / kHeartbeatSlot;
  const Duration slot = settings_.address % kSlots * kHeartbeatSlot;
  const Duration now = context_.clock.Now().time_since_epoch();
  return MonoTime(slot + (now + kHeartbeatPeriod - slot) / kHeartbeatPeriod * kHeartbeatPeriod);
}

void PcsDriver::SendHeartbeat(MonoTime next) {
  const MonoTime now = context_.clock.Now();
  const std::optional<Heartbeat> measured = Measured();
  const Heartbeat heartbeat = measured.value_or(Heartbeat{});
  context_.state.Set(IdOf(item::kHeartbeatVoltage), Value::Number(heartbeat.voltage_v), now,
                     kHeartbeatGoodFor);
  context_.state.Set(IdOf(item::kHeartbeatCurrent), Value::Number(heartbeat.current_a), now,
                     kHeartbeatGoodFor);
  context_.state.Set(IdOf(item::kHeartbeatMeasured), Value::Flag(measured.has_value()), now,
                     kHeartbeatGoodFor);
  if (!CanTransmit(bus_state_)) return;
  // Each report wakes the actor up again: one a second tells as much.
  const bool report = beats_ == 0;
  beats_ = (beats_ + 1) % kBeatsPerReport;
  // An old one is worth nothing when the next is due.
  context_.bus
      .Send({.frame = EncodeAs(settings_.address, heartbeat, settings_.codec).value(),
             .urgency = Urgency::kHeartbeat,
             .deadline = next,
             .tag = report ? kHeartbeatTag : 0})
      .IgnoreError();
}

void PcsDriver::OnTxReport(const TxReport& report) {
  if (report.tag == kHeartbeatTag) {
    if (report.outcome == TxOutcome::kOnWire || report.outcome == TxOutcome::kSent) {
      alarms_.OnHeartbeat(report.time);
    }
    return;
  }
  exchange_.OnTxReport(report);
}

// ---------------------------------------------------------------- link

void PcsDriver::SetLink(LinkState link, const std::string& text) {
  link_ = link;
  context_.state.SetLink(link, text);
}

absl::Status PcsDriver::Offline(std::string_view reason, const std::string& text) const {
  return MakeError(absl::StatusCode::kUnavailable, reason, context_.config.id + ": " + text,
                   {{"device_id", context_.config.id}});
}

void PcsDriver::OnOnline() {
  SetLink(LinkState::kOnline, "");
  alarms_.OnFound();
  poller_.Start();
}

void PcsDriver::OnOffline(LinkState link, const std::string& text, const absl::Status& why) {
  const bool was_online = online();
  SetLink(link, text);
  if (link == LinkState::kBusDown) {
    engine_.AbortAll(why);
  } else {
    engine_.OnLost(why);
  }
  EndRefreshes(why);
  poller_.Stop();
  if (!was_online) return;
  image_.ForgetAll();
  context_.state.SetPolled(false);
  alarms_.OnLost(ran_, ran_ ? text + "; it was running when it was heard last"
                            : text + "; it was not running when it was heard last");
}

void PcsDriver::CheckLink() {
  if (!online()) return;
  const std::optional<MonoTime> last = image_.LastTime(Pf::kStatus);
  if (last && context_.clock.Now() - *last < settings_.lost_after) return;
  const std::string text =
      "no status frame for " +
      Value::Number(std::chrono::duration<double>(settings_.lost_after).count()).ToString() + " s";
  OnOffline(LinkState::kLost, text, Offline("DEVICE_LOST", text));
}

void PcsDriver::OnBusState(BusState state) {
  const bool could = CanTransmit(bus_state_);
  bus_state_ = state;
  if (!started_) return;
  if (CanTransmit(state)) {
    if (!could) SetLink(LinkState::kSearching, "the bus is back");
    return;
  }
  const std::string text = "the bus is " + std::string(ToString(state));
  OnOffline(LinkState::kBusDown, text, Offline("BUS_DOWN", text));
  exchange_.Reset();
}

// ---------------------------------------------------------------- frames

void PcsDriver::OnFrame(const RxFrame& frame) {
  if (!started_) return;
  const absl::StatusOr<Message> message = Decode(frame.frame, settings_.codec);
  if (!message.ok()) {
    const std::string reason = BadFrameReason(message.status());
    context_.log.CountBadFrame(
        reason.empty() ? "bad_frame" : reason,
        FormatFrame(frame.frame) + ": " + std::string(message.status().message()));
    return;
  }
  if (message->address != settings_.address && message->address != kBroadcastAddress) return;
  if (FrameOf(message->pf).direction == Direction::kToPcs) {
    alarms_.OnSecondController(frame.frame);
    return;
  }
  image_.Apply(*message, frame.time);
  if (message->pf == Pf::kStatus) {
    const auto status = As<Status>(*message);
    const StateClass kind = ClassOf(status.running_state);
    ran_ = kind == StateClass::kRunning || kind == StateClass::kStarting;
    alarms_.OnStatus(status);
    if (!online() && CanTransmit(bus_state_)) OnOnline();
  } else if (message->pf == Pf::kProtectionParams1Reply ||
             message->pf == Pf::kProtectionParams2Reply) {
    CompareLimits();
  } else if (message->pf == Pf::kArmVersion || message->pf == Pf::kDspVersion) {
    const auto version = As<Version>(*message);
    const bool arm = message->pf == Pf::kArmVersion;
    context_.state.SetIdentity(
        arm ? identity::kArmHardware : identity::kDspHardware,
        VersionText(version.hardware_v, version.hardware_b, version.hardware_d));
    context_.state.SetIdentity(
        arm ? identity::kArmSoftware : identity::kDspSoftware,
        VersionText(version.software_v, version.software_b, version.software_d));
  }
  const bool answer = exchange_.OnMessage(*message);
  if (!answer && (IsType<PlainReply>(message->pf) || IsType<SelectedReply>(message->pf))) {
    context_.log.CountBadFrame("unexpected_answer",
                               FormatFrame(frame.frame) + ": late, or nobody asked");
  }
  if (message->pf == Pf::kStatus) engine_.OnStatus();
  OnRead(message->pf);
}

void PcsDriver::CompareLimits() {
  std::optional<ProtectionParams1> one;
  std::optional<ProtectionParams2> two;
  if (const auto read = image_.Latest(Pf::kProtectionParams1Reply)) {
    one = As<ProtectionParams1>(*read);
  }
  if (const auto read = image_.Latest(Pf::kProtectionParams2Reply)) {
    two = As<ProtectionParams2>(*read);
  }
  alarms_.OnProtection(WiderThanLimits(context_.config, one, two));
}

// ---------------------------------------------------------------- commands, fresh reads

void PcsDriver::Execute(Command command) { engine_.Execute(std::move(command), online()); }

void PcsDriver::Cancel(CommandId id, absl::Status why) { engine_.Cancel(id, why); }

void PcsDriver::Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) {
  if (!online()) return done(Offline("DEVICE_OFFLINE", "it does not report; nothing can be read"));
  Waiting waiting;
  std::set<Pf> reads;
  for (const ItemId id : items) {
    const ItemRow& row = ItemRows()[id];
    std::optional<Pf> pf = row.pf;
    const std::string_view name = row.spec.name;
    if (name == item::kIsRunning || name == item::kIsFaulty) pf = Pf::kStatus;
    if (name.starts_with(item::kParameterPrefix) || SetPointOf(name)) pf = Pf::kModeParams34Reply;
    if (!pf) continue;  // what was sent stands as it is
    waiting.frames.insert(*pf);
    if (FrameOf(*pf).sent == Sent::kReply) reads.insert(*pf);
  }
  if (waiting.frames.empty()) return done(absl::OkStatus());
  waiting.done = std::move(done);
  const Duration time = kRefreshTime + settings_.reply_timeout * static_cast<int>(reads.size());
  const uint64_t id = ++last_waiting_;
  waiting.timer = timers_.At(context_.clock.Now() + time, [this, id] {
    const auto late = waiting_.extract(id);
    late.mapped().done(MakeError(absl::StatusCode::kDeadlineExceeded, "NO_REPLY",
                                 context_.config.id + ": it did not send what was asked for",
                                 {{"device_id", context_.config.id}}));
  });
  waiting_.emplace(id, std::move(waiting));
  for (const Pf pf : reads) poller_.Hurry(pf);
}

void PcsDriver::OnRead(Pf pf) {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    Waiting& waiting = (it++)->second;
    waiting.frames.erase(pf);
    if (!waiting.frames.empty()) continue;
    timers_.Cancel(waiting.timer);
    waiting_.extract(std::prev(it)).mapped().done(absl::OkStatus());
  }
}

void PcsDriver::EndRefreshes(const absl::Status& why) {
  for (const auto& [id, waiting] : std::exchange(waiting_, {})) {
    timers_.Cancel(waiting.timer);
    waiting.done(why);
  }
}

}  // namespace canhub::ystech_pcs
