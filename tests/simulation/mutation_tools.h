// What mutations are made of.
#pragma once

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "drivers/api/bus.h"
#include "tests/simulation/mutations.h"
#include "tests/simulation/simulation.h"

namespace canhub::simulation {

// What a double of a bus may change. One for each bus; it outlives the daemon, as a bus does.
class BusChange {
 public:
  virtual ~BusChange() = default;
  virtual absl::Status Send(BusPort& port, TxFrame frame) { return port.Send(std::move(frame)); }
  virtual RxFrame Receive(RxFrame frame) { return frame; }
  virtual void OnState(BusState /*state*/, BusPort& /*port*/) {}
  virtual void OnAttached(BusPort& /*port*/) {}
};

class ChangedBus final : public CanBus {
 public:
  ChangedBus(std::shared_ptr<CanBus> bus, std::shared_ptr<BusChange> change)
      : bus_(std::move(bus)), change_(std::move(change)) {}
  std::unique_ptr<BusPort> Attach(std::vector<CanFilter> filters, FrameSink* sink) override {
    return std::make_unique<Port>(*bus_, std::move(filters), sink, change_);
  }
  void AddTap(FrameTap* tap) override { bus_->AddTap(tap); }
  void RemoveTap(FrameTap* tap) override { bus_->RemoveTap(tap); }
  BusStatus Status() const override { return bus_->Status(); }

 private:
  class Port final : public BusPort, private FrameSink {
   public:
    Port(CanBus& bus, std::vector<CanFilter> filters, FrameSink* sink,
         std::shared_ptr<BusChange> change)
        : sink_(sink), change_(std::move(change)) {
      port_ = bus.Attach(std::move(filters), this);
      change_->OnAttached(*port_);
    }
    ~Port() override { port_.reset(); }
    absl::Status Send(TxFrame frame) override { return change_->Send(*port_, std::move(frame)); }

   private:
    void OnRx(const RxFrame& frame) override { sink_->OnRx(change_->Receive(frame)); }
    void OnTxReport(const TxReport& report) override { sink_->OnTxReport(report); }
    void OnBusState(BusState state) override {
      sink_->OnBusState(state);
      if (port_) change_->OnState(state, *port_);
    }
    FrameSink* const sink_;
    const std::shared_ptr<BusChange> change_;
    std::unique_ptr<BusPort> port_;
  };
  const std::shared_ptr<CanBus> bus_;
  const std::shared_ptr<BusChange> change_;
};

template <typename Change>
void ChangeBus(RunOptions& options) {
  options.doubles.bus = [](std::shared_ptr<CanBus> bus, const Clock*) -> std::shared_ptr<CanBus> {
    return std::make_shared<ChangedBus>(std::move(bus), std::make_shared<Change>());
  };
}

// A lively lab, looked at as often as a real one, with nothing but what shows the mutation.
inline void Lively(RunOptions& options, const Family& family, Weights weights) {
  options.families = {&family};
  options.poll = std::chrono::milliseconds(500);
  options.idle = std::chrono::seconds(20);
  options.length = std::chrono::minutes(10);
  options.real_store = false;
  options.weights = weights;
}
inline constexpr Weights kQuiet = {.set = 8,
                                   .act = 2,
                                   .forbidden = 0,
                                   .nonsense = 0,
                                   .read = 4,
                                   .watch = 0,
                                   .stalled_watch = 0,
                                   .lease = 0,
                                   .release = 0,
                                   .fall_silent = 0,
                                   .emergency = 0,
                                   .burst = 0,
                                   .raw = 0,
                                   .fault = 0,
                                   .weather = 0,
                                   .bus = 0,
                                   .wall_jump = 0,
                                   .pause = 0,
                                   .disk = 0,
                                   .kill = 0,
                                   .restart = 0,
                                   .reload = 0,
                                   .acknowledge = 0,
                                   .recover = 1,
                                   .refresh = 0};

}  // namespace canhub::simulation
