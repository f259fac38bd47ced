// What the device said last, frame by frame, and its items.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/ystech-pcs/frames.h"
#include "drivers/ystech-pcs/modes.h"
#include "drivers/ystech-pcs/settings.h"
#include "drivers/ystech-pcs/states.h"

namespace canhub::ystech_pcs {

class DeviceImage {
 public:
  DeviceImage(const Settings& settings, const Clock& clock, StatePublisher& state)
      : settings_(settings), clock_(clock), state_(state) {}

  // A frame from the device: sets its items, GOOD for its period and some.
  void Apply(const Message& message, MonoTime time);
  // Everything is history: the link is lost, or the device may be another one.
  void ForgetAll();

  // nullopt: it never came, or too long ago.
  std::optional<Message> Latest(Pf pf) const;
  // When it came last; nullopt: never.
  std::optional<MonoTime> LastTime(Pf pf) const;

  // Of a status frame that is still believed; nullopt otherwise.
  std::optional<int> state() const;
  std::optional<int> fault() const;
  StateClass state_class() const;  // kUnknown without a state
  // "SOFT_START, no fault"; for texts.
  std::string StateText() const;
  // The mode that was read back; nullptr: not known, or not of this protocol.
  const ModeSpec* mode() const;

  // Values that the device does not tell, as they were sent. GOOD without end; or STALE: remembered
  // from before a restart.
  void SetSent(ItemId item, Value value);
  void SetRemembered(ItemId item, Value value);

 private:
  struct Received {
    Message message;
    MonoTime time{}, good_until{};
  };
  Duration GoodFor(Pf pf) const;
  void SetDerived(const Message& message, MonoTime time, Duration good_for);
  void SetParameters(const Message& message, size_t first, MonoTime time, Duration good_for);

  const Settings& settings_;
  const Clock& clock_;
  StatePublisher& state_;
  std::array<std::optional<Received>, kFrameCount + 1> received_;
  const ModeSpec* last_mode_ = nullptr;
};

}  // namespace canhub::ystech_pcs
