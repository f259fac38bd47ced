#include "drivers/iseg/simulator_device.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "drivers/api/errors.h"
#include "drivers/iseg/simulator.h"

namespace canhub::iseg {
namespace {

Duration Seconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

constexpr std::array<uint8_t, 4> kNan = {0x7F, 0xC0, 0x00, 0x00};

}  // namespace

absl::StatusOr<std::optional<double>> NumberArgument(const Arguments& arguments,
                                                     std::string_view name) {
  const Value* value = FindArgument(arguments, name);
  if (value == nullptr) return std::optional<double>();
  if (value->type() == ValueType::kText || !value->has_value()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "FAULT_ARGUMENT_TYPE",
        "found " + std::string(name) + " = \"" + value->ToString() + "\", expected a number",
        {{"argument", std::string(name)}, {"found", value->ToString()}});
  }
  return std::optional<double>(value->AsNumber());
}

SimulatedDevice::SimulatedDevice(SimulatorContext context, DeviceAddress address, int device_class)
    : context_(context),
      address_(address),
      device_class_(static_cast<uint8_t>(device_class)),
      answer_delay_(Seconds(context.config.Parameter("sim_answer_delay").AsNumber())),
      random_(context.seed) {}

SimulatedDevice::~SimulatedDevice() {
  if (announcement_timer_ != 0) context_.timers.Cancel(announcement_timer_);
  if (answer_timer_ != 0) context_.timers.Cancel(answer_timer_);
}

void SimulatedDevice::Start() { SetSupply(true); }

void SimulatedDevice::SetSupply(bool on) {
  supply_ = on;
  UpdatePower();
}

void SimulatedDevice::UpdatePower() {
  const bool on = supply_ && !FaultActive("power_off");
  if (on == powered_) return;
  powered_ = on;
  if (on) {
    Restart(true);
    return;
  }
  waiting_.clear();
  logged_on_ = false;
}

void SimulatedDevice::Restart(bool cold) {
  waiting_.clear();
  stopped_ = false;
  anti_collision_ = false;
  Reset(cold);
  LogOff();
}

void SimulatedDevice::LogOff() {
  logged_on_ = false;
  ScheduleAnnouncement(Now() + kFirstAnnouncement + address_.number * kAnnouncementStep);
}

void SimulatedDevice::ScheduleAnnouncement(MonoTime when) {
  if (announcement_timer_ != 0) context_.timers.Cancel(announcement_timer_);
  announcement_timer_ = context_.timers.At(when, [this] {
    announcement_timer_ = 0;
    OnAnnouncementTimer();
  });
}

void SimulatedDevice::OnAnnouncementTimer() {
  if (!powered_) return;
  const MonoTime lifetime_end = last_access_ + kLogOnLifetime;
  if (logged_on_ && Now() < lifetime_end) return ScheduleAnnouncement(lifetime_end);
  logged_on_ = false;
  ScheduleAnnouncement(Now() + kAnnouncementPeriod);
  if (stopped_ || FaultActive("silence") || Lost()) return;
  // A full queue of the line loses it; the next one comes anyway.
  (void)context_.bus.Send({AnnouncementFrame(address_, GeneralStatus(), device_class_)});
}

void SimulatedDevice::OnFrame(const RxFrame& rx) {
  const std::optional<Identifier> identifier = ParseIdentifier(rx.frame);
  if (!identifier.has_value() || identifier->device.line != address_.line) return;
  const std::span<const uint8_t> payload = rx.frame.payload();
  if (payload.empty()) return;
  const bool mine = !identifier->nmt && identifier->device == address_;
  if (!mine && !identifier->nmt) return OnForeignFrame(rx.frame);
  if (!powered_ || FaultActive("silence") || Lost()) return;
  if (identifier->nmt) return OnNmt(payload);
  last_access_ = Now();
  if (payload[0] & 0x80) {
    // The two lowest bits are a group number of old modules (section 9.1).
    if (!identifier->read && (payload[0] & 0xFC) == kDcpLogOn && payload.size() == 2) {
      if (payload[1] == 1) {
        logged_on_ = true;
        ScheduleAnnouncement(last_access_ + kLogOnLifetime);
      } else if (payload[1] == 0) {
        LogOff();
      }
    } else if (identifier->read && payload.size() == 1) {
      OnDcpRead(payload[0]);
    }
    return;
  }
  if (payload.size() < 2) return;
  if (identifier->read) return OnRead(payload);
  OnWrite(payload);
}

void SimulatedDevice::OnNmt(std::span<const uint8_t> payload) {
  switch (static_cast<Nmt>(payload[0])) {
    case Nmt::kStart:
      stopped_ = false;
      break;
    case Nmt::kStop:
      stopped_ = true;
      waiting_.clear();
      break;
    case Nmt::kResetCan:
      stopped_ = false;
      waiting_.clear();
      anti_collision_ = false;
      LogOff();
      break;
    case Nmt::kHardwareReset:
      Restart(false);
      break;
    case Nmt::kLiveInsertion:
      if (payload.size() == 2) OnLiveInsertion(payload[1] == kLiveInsertionOnByte);
      break;
    case Nmt::kBroadcastWrite:
      if (payload.size() > 4 && payload[1] == 0) OnBroadcast(payload.subspan(2));
      break;
    case Nmt::kConfigure:
      if (payload.size() == 3 && payload[1] == 0 && payload[2] == 1) LogOff();
      break;
  }
}

void SimulatedDevice::Answer(std::span<const uint8_t> payload) {
  Enqueue(DcpWriteFrame(address_, payload[0], payload.subspan(1)));
}

void SimulatedDevice::AnswerModule(uint16_t data_id, const WireBytes& value) {
  Enqueue(WriteModuleFrame(address_, data_id, value));
}

void SimulatedDevice::AnswerIndexed(uint16_t data_id, int index, const WireBytes& value) {
  Enqueue(WriteChannelFrame(address_, data_id, index, value));
}

void SimulatedDevice::AnswerText(uint16_t data_id, std::string_view text) {
  constexpr size_t kPieceLength = 5;
  for (size_t piece = 0; piece * kPieceLength <= text.size(); ++piece) {
    WireBytes bytes;
    for (const char c : text.substr(piece * kPieceLength, kPieceLength)) {
      bytes.data[bytes.size++] = static_cast<uint8_t>(c);
    }
    AnswerIndexed(data_id, static_cast<int>(piece), bytes);
  }
}

void SimulatedDevice::Enqueue(CanFrame frame) {
  if (stopped_ || waiting_.size() >= kMaxWaitingAnswers) return;
  if (anti_collision_) frame.id |= kAntiCollisionBit;
  MonoTime due = Now() + answer_delay_ + Seconds(FaultNumber("delay", "milliseconds", 0) / 1000);
  if (!waiting_.empty()) due = std::max(due, waiting_.back().due + kBetweenAnswers);
  waiting_.push_back({due, frame});
  ArmAnswerTimer();
}

void SimulatedDevice::ArmAnswerTimer() {
  if (answer_timer_ != 0 || waiting_.empty()) return;
  answer_timer_ = context_.timers.At(waiting_.front().due, [this] {
    answer_timer_ = 0;
    SendWaiting();
  });
}

void SimulatedDevice::SendWaiting() {
  const MonoTime now = Now();
  while (!waiting_.empty() && waiting_.front().due <= now) {
    CanFrame frame = waiting_.front().frame;
    waiting_.pop_front();
    // A full queue of the line loses the answer, as a full controller would.
    if (Distort(&frame)) (void)context_.bus.Send({frame});
  }
  ArmAnswerTimer();
}

bool SimulatedDevice::Distort(CanFrame* frame) {
  if (FaultActive("silence") || Lost()) return false;
  const uint16_t data_id = static_cast<uint16_t>(frame->data[0] << 8 | frame->data[1]);
  const Register* row = FindRegister(data_id);
  if (FaultActive("nan") && row != nullptr) {
    const size_t head = ClassOf(data_id) == AccessClass::kModule ? 2 : 3;
    const bool is_r4 = row->type == WireType::kR4 || row->type == WireType::kIndexedR4 ||
                       row->type == WireType::kR4Range;
    if (is_r4 && frame->dlc >= head + kNan.size()) {
      std::copy(kNan.begin(), kNan.end(), frame->data.begin() + head);
    }
  }
  if (FaultActive("wrong_length") && frame->dlc > 0) --frame->dlc;
  if (FaultActive("garbled") &&
      std::bernoulli_distribution(FaultNumber("garbled", "probability", 1))(random_)) {
    for (uint8_t i = 0; i < frame->dlc; ++i) frame->data[i] = static_cast<uint8_t>(random_());
  }
  return true;
}

bool SimulatedDevice::Lost() {
  if (!FaultActive("lost_frames")) return false;
  return std::bernoulli_distribution(FaultNumber("lost_frames", "probability", 1))(random_);
}

bool SimulatedDevice::FaultActive(std::string_view fault) const {
  return std::any_of(faults_.begin(), faults_.end(),
                     [fault](const Fault& f) { return f.name == fault; });
}

bool SimulatedDevice::FaultActive(std::string_view fault, int channel) const {
  return std::any_of(faults_.begin(), faults_.end(), [fault, channel](const Fault& f) {
    if (f.name != fault) return false;
    const Value* value = FindArgument(f.arguments, "channel");
    return value != nullptr && value->AsNumber() == channel;
  });
}

double SimulatedDevice::FaultNumber(std::string_view fault, std::string_view argument,
                                    double otherwise) const {
  for (const Fault& f : faults_) {
    if (f.name != fault) continue;
    const Value* value = FindArgument(f.arguments, argument);
    if (value != nullptr) return value->AsNumber();
  }
  return otherwise;
}

absl::Status SimulatedDevice::InjectFault(std::string_view fault, const Arguments& parameters) {
  const std::vector<FaultSpec>& specs = Faults();
  const auto spec = std::find_if(specs.begin(), specs.end(),
                                 [fault](const FaultSpec& s) { return fault == s.name; });
  if (spec == specs.end()) {
    return MakeError(absl::StatusCode::kNotFound, "UNKNOWN_FAULT",
                     "no fault is named \"" + std::string(fault) + "\"",
                     {{"fault", std::string(fault)}});
  }
  for (const auto& [name, value] : parameters) {
    const bool known = std::any_of(spec->parameters.begin(), spec->parameters.end(),
                                   [&name = name](const auto& p) { return name == p.first; });
    if (!known) {
      return MakeError(absl::StatusCode::kInvalidArgument, "UNKNOWN_FAULT_ARGUMENT",
                       "the fault \"" + std::string(fault) + "\" has no argument \"" + name + "\"",
                       {{"fault", std::string(fault)}, {"argument", name}});
    }
    const absl::StatusOr<std::optional<double>> number = NumberArgument(parameters, name);
    if (!number.ok()) return number.status();
    const double high = name == "probability" ? 1 : 1e9;
    if (**number < 0 || **number > high) {
      return MakeError(absl::StatusCode::kOutOfRange, "FAULT_ARGUMENT_RANGE",
                       "found " + name + " = " + value.ToString() + ", expected 0 to " +
                           Value::Number(high).ToString(),
                       {{"argument", name}, {"found", value.ToString()}});
    }
  }
  const absl::StatusOr<bool> once = OnFault(fault, parameters);
  if (!once.ok()) return once.status();
  if (fault == "reboot") Restart(false);
  if (*once || fault == "reboot") return absl::OkStatus();
  const Value* channel = FindArgument(parameters, "channel");
  std::erase_if(faults_, [&](const Fault& f) {
    if (f.name != fault) return false;
    const Value* other = FindArgument(f.arguments, "channel");
    return channel == nullptr || other == nullptr || other->AsNumber() == channel->AsNumber();
  });
  faults_.push_back({std::string(fault), parameters});
  UpdatePower();
  OnFaultsChanged();
  return absl::OkStatus();
}

absl::StatusOr<int> SimulatedDevice::ClearFaults(std::string_view fault) {
  const std::vector<FaultSpec>& specs = Faults();
  if (!fault.empty() && std::none_of(specs.begin(), specs.end(),
                                     [fault](const FaultSpec& s) { return fault == s.name; })) {
    return MakeError(absl::StatusCode::kNotFound, "UNKNOWN_FAULT",
                     "no fault is named \"" + std::string(fault) + "\"",
                     {{"fault", std::string(fault)}});
  }
  const auto removed =
      std::erase_if(faults_, [fault](const Fault& f) { return fault.empty() || f.name == fault; });
  UpdatePower();
  OnFaultsChanged();
  return static_cast<int>(removed);
}

std::vector<std::pair<std::string, Arguments>> SimulatedDevice::ActiveFaults() const {
  std::vector<std::pair<std::string, Arguments>> active;
  for (const Fault& fault : faults_) active.emplace_back(fault.name, fault.arguments);
  return active;
}

}  // namespace canhub::iseg
