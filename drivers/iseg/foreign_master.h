// Notices another master that talks to this driver's device.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"

namespace canhub::iseg {

// On the actor's thread. The daemon's own frames never come back to a driver, so a read request,
// and a frame on the write identifier that answers nothing that was asked, are somebody else's.
class ForeignMaster {
 public:
  ForeignMaster(const Clock& clock, Timers& timers, AlarmSink& alarms, DeviceLog& log);
  void Saw(const CanFrame& frame, std::string_view what);
  uint64_t count() const { return count_; }

  static constexpr char kAlarm[] = "foreign_master";
  // After so long without such a frame the other master is taken to be gone.
  static constexpr Duration kGoneAfter = std::chrono::seconds(60);

 private:
  void Look();

  const Clock& clock_;
  AlarmSink& alarms_;
  DeviceLog& log_;
  TimerScope timers_;
  uint64_t count_ = 0;
  MonoTime last_{};
  bool raised_ = false;
};

}  // namespace canhub::iseg
