// Sinks and taps that write down what they are given. For tests only.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "drivers/api/bus.h"

namespace canhub {

// Thread-safe.
class RecordingSink final : public FrameSink {
 public:
  void OnRx(const RxFrame& frame) override {
    std::lock_guard lock(mu_);
    rx_.push_back(frame);
    changed_.notify_all();
  }
  void OnTxReport(const TxReport& report) override {
    std::lock_guard lock(mu_);
    reports_.push_back(report);
    changed_.notify_all();
  }
  void OnBusState(BusState state) override {
    std::lock_guard lock(mu_);
    states_.push_back(state);
    changed_.notify_all();
  }
  std::vector<RxFrame> rx() const {
    std::lock_guard lock(mu_);
    return rx_;
  }
  std::vector<TxReport> reports() const {
    std::lock_guard lock(mu_);
    return reports_;
  }
  std::vector<BusState> states() const {
    std::lock_guard lock(mu_);
    return states_;
  }
  // Waits for another thread's work; false after ten seconds, which no good run needs.
  template <typename Predicate>
  bool WaitFor(Predicate done) {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return done(*this); });
  }
  // Only inside WaitFor's predicate.
  const std::vector<RxFrame>& raw_rx() const { return rx_; }
  const std::vector<TxReport>& raw_reports() const { return reports_; }
  const std::vector<BusState>& raw_states() const { return states_; }

 private:
  mutable std::mutex mu_;
  std::condition_variable changed_;
  std::vector<RxFrame> rx_;
  std::vector<TxReport> reports_;
  std::vector<BusState> states_;
};

// Thread-safe.
class RecordingTap final : public FrameTap {
 public:
  void OnFrame(const TappedFrame& frame) override {
    std::lock_guard lock(mu_);
    frames_.push_back(frame);
  }
  std::vector<TappedFrame> frames() const {
    std::lock_guard lock(mu_);
    return frames_;
  }

 private:
  mutable std::mutex mu_;
  std::vector<TappedFrame> frames_;
};

inline CanFilter AllStandard() { return {0, 0, false}; }
inline CanFilter AllExtended() { return {0, 0, true}; }

}  // namespace canhub
