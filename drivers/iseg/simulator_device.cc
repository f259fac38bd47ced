#include "drivers/iseg/simulator_device.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "drivers/iseg/simulator.h"

namespace canhub::iseg {
namespace {

Duration Seconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

constexpr std::array<uint8_t, 4> kNan = {0x7F, 0xC0, 0x00, 0x00};

}  // namespace

SimulatedDevice::SimulatedDevice(SimulatorContext context, DeviceAddress address, int device_class)
    : context_(context),
      address_(address),
      device_class_(static_cast<uint8_t>(device_class)),
      answer_delay_(Seconds(context.config.Parameter("sim_answer_delay").AsNumber())),
      random_(context.seed),
      faults_(Faults()) {}

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
  if (stopped_ || !faults_.Receives(random_)) return;
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
  if (!powered_ || !faults_.Receives(random_)) return;
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
  MonoTime due = Now() + answer_delay_ + faults_.delay();
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
  return faults_.Distort(frame, random_);
}

bool SimulatedDevice::FaultActive(std::string_view fault) const { return faults_.Active(fault); }

bool SimulatedDevice::FaultActive(std::string_view fault, int channel) const {
  return faults_.Active(fault, "channel", channel);
}

absl::Status SimulatedDevice::InjectFault(std::string_view fault, const Arguments& parameters) {
  if (absl::Status status = faults_.Check(fault, parameters); !status.ok()) return status;
  const absl::StatusOr<bool> once = OnFault(fault, parameters);
  if (!once.ok()) return once.status();
  if (fault == "reboot") Restart(false);
  if (*once || fault == "reboot") return absl::OkStatus();
  faults_.Add(fault, parameters, "channel");
  UpdatePower();
  OnFaultsChanged();
  return absl::OkStatus();
}

absl::StatusOr<int> SimulatedDevice::ClearFaults(std::string_view fault) {
  const absl::StatusOr<int> removed = faults_.Clear(fault);
  if (!removed.ok()) return removed;
  UpdatePower();
  OnFaultsChanged();
  return removed;
}

std::vector<std::pair<std::string, Arguments>> SimulatedDevice::ActiveFaults() const {
  return faults_.active();
}

}  // namespace canhub::iseg
