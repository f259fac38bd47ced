// A bus without a line: what is sent is kept and reported at once, what is received a test says.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "drivers/api/bus.h"

namespace canhub {

// Thread-safe. Outlives its ports.
class FakeBus final : public CanBus {
 public:
  explicit FakeBus(const Clock* clock) : clock_(clock) {}

  // ---- what a test does

  // Delivers to every sink with a matching filter, as the bus's thread would.
  void Receive(const CanFrame& frame) {
    const std::lock_guard delivering(delivering_);
    for (Port* port : Ports()) {
      if (port->Wants(frame)) port->sink->OnRx({frame, clock_->Now()});
    }
  }
  void SetState(BusState state) {
    const std::lock_guard delivering(delivering_);
    {
      const std::lock_guard lock(mutex_);
      state_ = state;
    }
    for (Port* port : Ports()) port->sink->OnBusState(state);
  }
  // Off: reports come with ReportAll.
  void ReportAtOnce(bool at_once) {
    const std::lock_guard lock(mutex_);
    report_at_once_ = at_once;
  }
  void ReportAll(TxOutcome outcome) {
    const std::lock_guard delivering(delivering_);
    std::vector<std::pair<Port*, uint64_t>> waiting;
    {
      const std::lock_guard lock(mutex_);
      waiting.swap(unreported_);
    }
    for (const auto& [port, tag] : waiting) {
      port->sink->OnTxReport({tag, outcome, clock_->Now()});
    }
  }
  std::vector<TxFrame> sent() const {
    const std::lock_guard lock(mutex_);
    return sent_;
  }
  std::vector<TxFrame> TakeTransmitted() {
    const std::lock_guard lock(mutex_);
    return std::exchange(sent_, {});
  }
  std::vector<CanFrame> TakeSent() {
    std::vector<CanFrame> frames;
    for (const TxFrame& tx : TakeTransmitted()) frames.push_back(tx.frame);
    return frames;
  }

  // ---- CanBus

  std::unique_ptr<BusPort> Attach(std::vector<CanFilter> filters, FrameSink* sink) override {
    const std::lock_guard delivering(delivering_);
    auto port = std::make_unique<Port>(this, std::move(filters), sink);
    {
      const std::lock_guard lock(mutex_);
      ports_.push_back(port.get());
    }
    sink->OnBusState(Status().state);
    return port;
  }
  void AddTap(FrameTap*) override {}
  void RemoveTap(FrameTap*) override {}
  BusStatus Status() const override {
    const std::lock_guard lock(mutex_);
    return {.state = state_, .type = "fake", .bitrate = 125000};
  }

 private:
  struct Port final : BusPort {
    Port(FakeBus* b, std::vector<CanFilter> f, FrameSink* s)
        : bus(b), filters(std::move(f)), sink(s) {}
    ~Port() override { bus->Detach(this); }
    bool Wants(const CanFrame& frame) const {
      for (const CanFilter& filter : filters) {
        if (filter.Matches(frame)) return true;
      }
      return false;
    }
    absl::Status Send(TxFrame frame) override { return bus->SendFrom(this, std::move(frame)); }
    FakeBus* const bus;
    const std::vector<CanFilter> filters;
    FrameSink* const sink;
  };

  std::vector<Port*> Ports() const {
    const std::lock_guard lock(mutex_);
    return ports_;
  }
  void Detach(Port* port) {
    // No call into the sink is under way once this has been had.
    const std::lock_guard delivering(delivering_);
    const std::lock_guard lock(mutex_);
    std::erase(ports_, port);
    std::erase_if(unreported_, [port](const auto& waiting) { return waiting.first == port; });
  }
  absl::Status SendFrom(Port* port, TxFrame frame) {
    const uint64_t tag = frame.tag;
    {
      const std::lock_guard lock(mutex_);
      if (!CanTransmit(state_)) return absl::UnavailableError("the fake bus cannot transmit");
      sent_.push_back(std::move(frame));
      if (tag == 0) return absl::OkStatus();
      if (!report_at_once_) {
        unreported_.emplace_back(port, tag);
        return absl::OkStatus();
      }
    }
    // To the sender itself, whose call keeps the port alive.
    port->sink->OnTxReport({tag, TxOutcome::kOnWire, clock_->Now()});
    return absl::OkStatus();
  }

  const Clock* const clock_;
  std::recursive_mutex delivering_;  // held while sinks are called; a sink may send
  mutable std::mutex mutex_;
  BusState state_ = BusState::kActive;
  bool report_at_once_ = true;
  std::vector<Port*> ports_;
  std::vector<TxFrame> sent_;
  std::vector<std::pair<Port*, uint64_t>> unreported_;
};

}  // namespace canhub
