// "<bus>/bus_state": the alarm of a bus that cannot carry frames.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/core/alarm_book.h"
#include "drivers/api/bus.h"
#include "drivers/api/step.h"

namespace canhub {

inline constexpr char kBusStateAlarm[] = "bus_state";

// Listens to the state of buses, to no frames. Raised when a bus goes off, down or is unplugged;
// cleared when it is active again.
class BusAlarms final : public Steppable {
 public:
  explicit BusAlarms(AlarmBook* alarms);
  ~BusAlarms() override;
  // Before the first step, in which it attaches to the bus.
  void Add(std::string bus_id, CanBus* bus);
  MonoTime RunUntil(MonoTime now) override;

 private:
  class Sink;
  AlarmBook* const alarms_;
  std::vector<std::unique_ptr<Sink>> sinks_;
  bool attached_ = false;
};

}  // namespace canhub
