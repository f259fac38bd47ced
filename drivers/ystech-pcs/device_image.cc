#include "drivers/ystech-pcs/device_image.h"

#include <string>

#include "drivers/api/power_converter.h"
#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/items.h"

namespace canhub::ystech_pcs {
namespace {

namespace item = power_converter::item;

// Two reads may be missed.
constexpr int kMissedReads = 3;

ItemId ParameterItem(size_t index) {
  return IdOf(item::kParameterPrefix + std::to_string(index + 1));
}

bool IsSlow(Pf pf) {
  switch (pf) {
    case Pf::kWorkingModeReply:
    case Pf::kModeParams12Reply:
    case Pf::kModeParams34Reply:
    case Pf::kIoAndAd:
      return false;
    default:
      return true;
  }
}

}  // namespace

Duration DeviceImage::GoodFor(Pf pf) const {
  if (FrameOf(pf).sent == Sent::kPeriodic) return settings_.lost_after;
  return (IsSlow(pf) ? settings_.slow_poll : settings_.poll) * kMissedReads +
         settings_.reply_timeout;
}

void DeviceImage::Apply(const Message& message, MonoTime time) {
  const Duration good_for = GoodFor(message.pf);
  received_[static_cast<size_t>(message.pf)] = Received{message, time, time + good_for};
  for (const size_t row : RowsOf(message.pf)) {
    const ItemRow& item = ItemRows()[row];
    state_.Set(static_cast<ItemId>(row), ToValue(item, message.values[item.field]), time, good_for);
  }
  SetDerived(message, time, good_for);
}

void DeviceImage::SetDerived(const Message& message, MonoTime time, Duration good_for) {
  switch (message.pf) {
    case Pf::kStatus: {
      const auto status = As<Status>(message);
      const StateClass kind = ClassOf(status.running_state);
      state_.Set(IdOf(item::kIsRunning),
                 Value::Flag(kind == StateClass::kRunning || kind == StateClass::kStarting), time,
                 good_for);
      state_.Set(IdOf(item::kIsFaulty),
                 Value::Flag(kind == StateClass::kFault || status.fault_code != kNoFault), time,
                 good_for);
      return;
    }
    case Pf::kWorkingModeReply:
      // Parameters that are known belong to the mode before, until they are read again.
      if (const ModeSpec* now = mode(); now != last_mode_ || now == nullptr) {
        last_mode_ = now;
        for (size_t i = 0; i < kMaxModeParameters; ++i) {
          state_.Invalidate(ParameterItem(i), Quality::kStale);
        }
        for (const char* name : SetPointNames()) state_.Invalidate(IdOf(name), Quality::kStale);
      }
      return;
    case Pf::kModeParams12Reply:
      return SetParameters(message, 0, time, good_for);
    case Pf::kModeParams34Reply:
      return SetParameters(message, 2, time, good_for);
    default:
      return;
  }
}

void DeviceImage::SetParameters(const Message& message, size_t first, MonoTime time,
                                Duration good_for) {
  const ModeSpec* spec = mode();
  if (spec == nullptr) return;
  for (size_t i = first; i < first + 2 && i < spec->parameters.size(); ++i) {
    const auto counts = static_cast<int32_t>(message.values[i - first]);
    const Value value = Value::Number(FromCounts(*spec, i, counts));
    state_.Set(ParameterItem(i), value, time, good_for);
    if (const std::optional<ItemId> item = SetPointOf(spec->parameters[i].name)) {
      state_.Set(*item, value, time, good_for);
    }
  }
}

void DeviceImage::ForgetAll() {
  received_.fill(std::nullopt);
  last_mode_ = nullptr;
  // What was sent and cannot be read back has not become wrong by silence, but by a power-off.
  state_.InvalidateAll(Quality::kStale);
}

std::optional<Message> DeviceImage::Latest(Pf pf) const {
  const auto& received = received_[static_cast<size_t>(pf)];
  if (!received || clock_.Now() >= received->good_until) return std::nullopt;
  return received->message;
}

std::optional<MonoTime> DeviceImage::LastTime(Pf pf) const {
  const auto& received = received_[static_cast<size_t>(pf)];
  if (!received) return std::nullopt;
  return received->time;
}

std::optional<int> DeviceImage::state() const {
  const std::optional<Message> status = Latest(Pf::kStatus);
  if (!status) return std::nullopt;
  return As<Status>(*status).running_state;
}

std::optional<int> DeviceImage::fault() const {
  const std::optional<Message> status = Latest(Pf::kStatus);
  if (!status) return std::nullopt;
  return As<Status>(*status).fault_code;
}

StateClass DeviceImage::state_class() const {
  const std::optional<int> now = state();
  return now ? ClassOf(*now) : StateClass::kUnknown;
}

std::string DeviceImage::StateText() const {
  const std::optional<int> now = state();
  if (!now) return "its state is not known";
  return "its state is " + StateName(*now) + ", " + FaultText(*fault());
}

const ModeSpec* DeviceImage::mode() const {
  const std::optional<Message> reply = Latest(Pf::kWorkingModeReply);
  return reply ? FindMode(As<WorkingMode>(*reply).mode) : nullptr;
}

void DeviceImage::SetSent(ItemId id, Value value) {
  state_.Set(id, std::move(value), clock_.Now(), Duration::max());
}

void DeviceImage::SetRemembered(ItemId id, Value value) {
  SetSent(id, std::move(value));
  state_.Invalidate(id, Quality::kStale);
}

}  // namespace canhub::ystech_pcs
