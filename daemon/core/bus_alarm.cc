#include "daemon/core/bus_alarm.h"

#include <utility>

namespace canhub {

class BusAlarms::Sink final : public FrameSink {
 public:
  Sink(AlarmBook* alarms, std::string bus_id, CanBus* bus)
      : alarms_(alarms), bus_id_(std::move(bus_id)), bus_(bus) {}
  void Attach() { port_ = bus_->Attach({}, this); }

  void OnRx(const RxFrame&) override {}
  void OnTxReport(const TxReport&) override {}
  // On the bus's thread; the book writes to the disk on its own.
  void OnBusState(BusState state) override {
    if (state == BusState::kActive) {
      alarms_->Clear(bus_id_, kBusStateAlarm);
    } else if (!CanTransmit(state)) {
      alarms_->Raise(bus_id_, kBusStateAlarm, AlarmSeverity::kCritical,
                     "bus " + bus_id_ + " is " + std::string(ToString(state)) +
                         ": its devices can be neither read nor commanded");
    }
  }

 private:
  AlarmBook* const alarms_;
  const std::string bus_id_;
  CanBus* const bus_;
  std::unique_ptr<BusPort> port_;
};

BusAlarms::BusAlarms(AlarmBook* alarms) : alarms_(alarms) {}
BusAlarms::~BusAlarms() = default;

void BusAlarms::Add(std::string bus_id, CanBus* bus) {
  sinks_.push_back(std::make_unique<Sink>(alarms_, std::move(bus_id), bus));
}

MonoTime BusAlarms::RunUntil(MonoTime) {
  if (!std::exchange(attached_, true)) {
    for (const std::unique_ptr<Sink>& sink : sinks_) sink->Attach();
  }
  return kNever;
}

}  // namespace canhub
