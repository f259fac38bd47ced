// For tests: a driver and a simulator on one line, on a virtual clock. Frames take their wire time,
// the more urgent of waiting ones goes first, guards are asked before a frame goes out.
#pragma once

#include <algorithm>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/testing/driver_harness.h"

namespace canhub {

class TestLine {
 public:
  enum class From { kDriver, kSimulator };
  struct Sent {
    From from;
    CanFrame frame;
    MonoTime time;  // when it had gone over the wire
    Urgency urgency;
  };

  TestLine(DriverHarness& harness, const DriverInfo& driver) : h_(harness), info_(driver) {}

  FrameSender& port(From from) { return from == From::kDriver ? driver_port_ : simulator_port_; }
  void Connect(Driver* driver, Simulator* simulator) {
    driver_ = driver;
    simulator_ = simulator;
  }
  // True: the frame is lost on its way (it is sent all the same).
  std::function<bool(From, const CanFrame&)> lose;
  // May change a frame before it is delivered.
  std::function<void(From, CanFrame&)> garble;

  const std::vector<Sent>& log() const { return log_; }
  void ClearLog() { log_.clear(); }
  // Whether a frame of the driver does anything but read or keep a device on the line.
  std::function<bool(const CanFrame&)> is_setting;
  // Such frames of the driver, as text.
  std::vector<std::string> SettingFrames() const {
    std::vector<std::string> found;
    for (const Sent& sent : log_) {
      if (sent.from == From::kDriver && is_setting(sent.frame)) {
        found.push_back(FormatFrame(sent.frame));
      }
    }
    return found;
  }
  void SetBus(BusState state) {
    state_ = state;
    if (!CanTransmit(state)) {
      for (Waiting& w : std::exchange(waiting_, {})) Report(w, TxOutcome::kPurged);
    }
    driver_->OnBusState(state);
  }
  size_t waiting() const { return waiting_.size(); }
  double busy_seconds() const { return std::chrono::duration<double>(busy_).count(); }

 private:
  // The filters that the bus would apply.
  bool Passes(const CanFrame& frame) {
    if (filters_.empty()) filters_ = info_.filters(h_.config);
    return std::any_of(filters_.begin(), filters_.end(),
                       [&frame](const CanFilter& filter) { return filter.Matches(frame); });
  }

  struct Waiting {
    From from;
    TxFrame tx;
  };
  class Port final : public FrameSender {
   public:
    Port(TestLine& line, From from) : line_(line), from_(from) {}
    absl::Status Send(TxFrame frame) override {
      if (!CanTransmit(line_.state_)) return absl::UnavailableError("bus down");
      line_.waiting_.push_back({from_, std::move(frame)});
      line_.Next();
      return absl::OkStatus();
    }

   private:
    TestLine& line_;
    const From from_;
  };

  void Report(const Waiting& waiting, TxOutcome outcome) {
    if (waiting.tx.tag == 0 || waiting.from != From::kDriver || driver_ == nullptr) return;
    const uint64_t tag = waiting.tx.tag;
    h_.timers.At(h_.clock.Now(), [this, tag, outcome] {
      driver_->OnTxReport({tag, outcome, h_.clock.Now()});
    });
  }

  void Next() {
    if (sending_) return;
    while (!waiting_.empty()) {
      const auto next = std::min_element(
          waiting_.begin(), waiting_.end(),
          [](const Waiting& a, const Waiting& b) { return a.tx.urgency < b.tx.urgency; });
      Waiting frame = std::move(*next);
      waiting_.erase(next);
      const MonoTime now = h_.clock.Now();
      if (now >= frame.tx.deadline || (frame.tx.guard && !frame.tx.guard->MaySend(now))) {
        Report(frame, TxOutcome::kExpired);
        continue;
      }
      sending_ = true;
      const Duration time(int64_t{WireBits(frame.tx.frame)} * 1'000'000'000 / h_.bus_info.bitrate);
      busy_ += time;
      h_.timers.At(now + time, [this, frame = std::move(frame)] { Arrive(frame); });
      return;
    }
  }

  void Arrive(const Waiting& w) {
    sending_ = false;
    if (!CanTransmit(state_)) {
      Report(w, TxOutcome::kPurged);
      return;
    }
    log_.push_back({w.from, w.tx.frame, h_.clock.Now(), w.tx.urgency});
    Report(w, TxOutcome::kOnWire);
    CanFrame frame = w.tx.frame;
    if (!lose || !lose(w.from, frame)) {
      if (garble) garble(w.from, frame);
      if (w.from == From::kDriver) {
        if (simulator_ != nullptr) simulator_->OnFrame({frame, h_.clock.Now()});
      } else if (driver_ != nullptr && Passes(frame)) {
        driver_->OnFrame({frame, h_.clock.Now()});
      }
    }
    Next();
  }

  DriverHarness& h_;
  const DriverInfo& info_;
  Port driver_port_{*this, From::kDriver};
  Port simulator_port_{*this, From::kSimulator};
  Driver* driver_ = nullptr;
  Simulator* simulator_ = nullptr;
  BusState state_ = BusState::kActive;
  std::list<Waiting> waiting_;
  bool sending_ = false;
  Duration busy_{};
  std::vector<CanFilter> filters_;
  std::vector<Sent> log_;
};

// A driver and its simulator, connected.
struct TestBench {
  TestBench(const DriverInfo& driver_info, DeviceConfig config, BusInfo bus)
      : info(driver_info), h(std::move(config), std::move(bus)), line(h, info) {
    simulator = info.create_simulator(
        {h.config, h.clock, h.timers, line.port(TestLine::From::kSimulator), 1});
    driver = info.create(h.Context(line.port(TestLine::From::kDriver)));
    line.Connect(driver.get(), simulator.get());
  }
  ~TestBench() { line.Connect(nullptr, nullptr); }

  void Start() {
    simulator->Start();
    driver->OnBusState(BusState::kActive);
    driver->Start();
  }
  // Until everything was read; at most for `limit`.
  bool StartAndPoll(Duration limit = std::chrono::seconds(30)) {
    Start();
    return Until([this] { return h.state.polled(); }, limit);
  }
  template <typename Predicate>
  bool Until(Predicate done, Duration limit) {
    const MonoTime end = h.clock.Now() + limit;
    while (!done()) {
      if (h.clock.Now() >= end) return false;
      h.Advance(std::chrono::milliseconds(5));
    }
    return true;
  }
  // Carries a command out and returns how it ended; an UNKNOWN error when it never did.
  absl::Status Run(Command command, Duration limit = std::chrono::seconds(60)) {
    const CommandId id = command.id;
    driver->Execute(std::move(command));
    Until([&] { return h.commands.finished(id) != nullptr; }, limit);
    const auto* finished = h.commands.finished(id);
    return finished == nullptr ? absl::UnknownError("never finished") : finished->status;
  }
  absl::Status Set(std::string_view item, Value value, Stage wait = Stage::kConfirmed) {
    return Run(h.Write(item, std::move(value), wait, std::chrono::seconds(60)));
  }
  absl::Status Act(std::string_view name, Arguments arguments = {},
                   Stage wait = Stage::kConfirmed) {
    return Run(
        h.Action(name, std::move(arguments), wait, Urgency::kCommand, std::chrono::seconds(60)));
  }
  // Another device in the place of the simulated one; the old one is gone at once. Not started.
  void Replace(DeviceConfig config) {
    line.Connect(driver.get(), nullptr);
    simulator.reset();
    replacement = std::move(config);
    simulator = info.create_simulator(
        {replacement, h.clock, h.timers, line.port(TestLine::From::kSimulator), 2});
    line.Connect(driver.get(), simulator.get());
  }
  const Arguments& LastResults() const { return h.commands.finished(h.last_command())->results; }
  double Number(std::string_view item) const { return h.state.Read(item).value.AsNumber(); }
  bool Flag(std::string_view item) const { return h.state.Read(item).value.flag(); }
  Quality QualityOf(std::string_view item) const { return h.state.Read(item).quality; }

  const DriverInfo& info;
  DriverHarness h;
  DeviceConfig replacement;
  TestLine line;
  std::unique_ptr<Simulator> simulator;
  std::unique_ptr<Driver> driver;
};

}  // namespace canhub
