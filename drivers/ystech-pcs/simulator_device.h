// One simulated converter: what it holds, how it runs and trips, what it sends. Its answers to
// requests are in simulator_requests.cc.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/api/simulated_faults.h"
#include "drivers/api/timer_scope.h"
#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/frames.h"
#include "drivers/ystech-pcs/modes.h"
#include "drivers/ystech-pcs/simulator_power.h"
#include "drivers/ystech-pcs/states.h"

namespace canhub::ystech_pcs {

// Runs on its line's thread. States (PCS facts, sections 9 and 15; the path is theirs, the ends are
// decided in README.md):
//   power on → standby; start → self check → soft start → running (by mode); stop → standby;
//   the mode has done all it does → stop; grid lost → power failure, or inverter when switching is
//   automatic; a fault → fault, until it is cleared and its cause is gone → standby.
class PcsSimulator final : public Simulator {
 public:
  static constexpr Duration kPeriod = std::chrono::milliseconds(kPeriodMilliseconds);
  // While it runs, state changes are found within this time.
  static constexpr Duration kTick = std::chrono::milliseconds(50);
  // From power to the first frame.
  static constexpr Duration kBoot = std::chrono::seconds(2);
  // Longer ones are fault 6 (section 10).
  static constexpr Duration kLongestSoftStart = std::chrono::seconds(10);
  // Answers that wait; more are lost.
  static constexpr int kMostWaitingAnswers = 64;

  explicit PcsSimulator(SimulatorContext context);

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  absl::Status InjectFault(std::string_view fault, const Arguments& parameters) override;
  absl::StatusOr<int> ClearFaults(std::string_view fault) override;
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() const override;
  // Of the AC output, per phase; there is one, so the channel is unset or 0.
  absl::Status SetLoad(std::optional<int> channel, std::optional<double> resistance_ohm,
                       std::optional<double> capacitance_f) override;

 private:
  using Values = std::array<double, kMaxFields>;
  static constexpr int kPhases = 3;
  // What survives a reboot; the sources do not say what does.
  struct Stored {
    Mode mode = Mode::kIdle;
    ModeCounts parameters{};
    std::array<Values, 3> protection{};        // sets 1 to 3, by the table's fields
    std::map<uint8_t, Values> specials;        // by type, by the fields of the frame that sets
    std::array<double, kPhases> phase_kw{};    // 0x21
    std::array<double, kPhases> phase_kvar{};  // 0x22
    bool self_start = false;
  };

  MonoTime Now() const { return context_.clock.Now(); }
  double Setting(std::string_view name) const;
  Duration Time(std::string_view name) const;

  // ---- simulator_device.cc
  void PowerOn();
  void PowerOff();
  void Cycle();
  void ArmTick();
  // Brings everything to now: supervision, transitions, the power stage.
  void Advance();
  void CheckRunning();
  bool Active() const;  // starting or running
  bool Running() const { return ClassOf(static_cast<int>(state_)) == StateClass::kRunning; }
  void Enter(State state);
  void BeginStart();
  void BeginRun();
  void EndRun(State state);
  // Stops with this code, unless there is one already.
  void Trip(uint16_t code);
  // Fault code of the first cause that stands now; kNoFault for none.
  uint16_t StandingCause() const;
  void ApplyWorld();
  // The battery's voltage, where another simulated device is it; it is told the current.
  void ApplyBattery();
  PowerStage::Limits PowerLimits() const;
  PowerStage::Reactive ReactiveSetting() const;
  Target WantedTarget(MonoTime at) const;
  double Protection(int set, size_t field) const { return stored_.protection[set - 1][field]; }
  ModeValues Parameters() const;

  std::pair<int, int> ShownStatus() const;  // state, code
  void SendStatus();
  void SendMeasured(Pf pf, std::span<const double> values);
  // Values are clamped to what the frame holds: a counter that is full stays so.
  void Send(Pf pf, std::span<const double> values);

  // ---- simulator_requests.cc
  void Handle(const Message& message);
  void OnReadProtection(const Message& message);
  bool OnSetProtection(const Message& message, int set);
  bool OnMode(const Message& message);
  bool OnParameters(const Message& message, size_t first);
  bool OnPhasePower(const Message& message, std::array<double, kPhases>* stored);
  bool OnStartStop(const StartStop& command);
  bool OnSpecial(const Message& message, const SpecialSpec& special);
  void OnReadSpecial(const Message& message);
  // Whether parameters from `first` on lie within the protection parameters.
  bool ParametersAllowed(Mode mode, const ModeCounts& counts, size_t first, size_t count) const;
  bool ParameterAllowed(Quantity quantity, double value) const;
  bool InRange(const Message& message) const;
  // After the answer delay and all answers before; not when it was a broadcast.
  void Answer(Pf pf, std::span<const double> values);
  void AnswerResult(Pf pf, bool success);
  void AnswerResult(Pf pf, int selector, bool success);

  SimulatorContext context_;
  const CodecOptions codec_;
  const uint8_t address_;
  std::mt19937_64 random_;
  SimulatedFaults faults_;
  TimerScope timers_;
  PowerStage power_;
  Stored stored_;

  bool powered_ = false;
  State state_ = State::kStandby;
  uint16_t fault_code_ = kNoFault;
  std::pair<int, int> sent_status_;
  MonoTime advanced_{};  // up to when
  MonoTime state_since_{};
  MonoTime run_since_{};  // or since its parameters changed
  MonoTime last_data_{};  // of the controller
  bool tick_armed_ = false;
  bool island_ = false;  // running off grid by itself
  double load_resistance_ohm_;
  double load_capacitance_f_ = 0;
  int waiting_answers_ = 0;
  MonoTime last_answer_{};
  // Of the request being handled.
  uint8_t request_pf_ = 0;
  bool broadcast_ = false;
};

}  // namespace canhub::ystech_pcs
