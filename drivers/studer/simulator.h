// The device side: an Xcom-CAN with the units behind it, for simulated buses, canhub-sim and
// tests. What the sources leave open is as "Studer facts", section 9, proposes.
#pragma once

#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/api/simulated_faults.h"
#include "drivers/api/timer_scope.h"
#include "drivers/studer/codec.h"
#include "drivers/studer/plant.h"
#include "drivers/studer/simulated_unit.h"

namespace canhub::studer {

// Keys of the YAML that concern the simulation only; all begin with "sim_".
std::vector<ParameterSpec> SimulatorParameters();
const std::vector<FaultSpec>& Faults();
// "xtender 2, variotrack 1": how many of each. INVALID_ARGUMENT: found, expected.
absl::StatusOr<std::vector<std::pair<Family, int>>> ParsePlant(std::string_view text);

// Device `unit: gateway`: the whole plant of sim_units. Any other: a gateway with that unit alone.
class StuderSimulator final : public Simulator {
 public:
  explicit StuderSimulator(SimulatorContext context);

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  absl::Status InjectFault(std::string_view fault, const Arguments& parameters) override;
  absl::StatusOr<int> ClearFaults(std::string_view fault) override;
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() const override;
  absl::Status SetLoad(std::optional<int> channel, std::optional<double> resistance_ohm,
                       std::optional<double> capacitance_f) override;

  // For tests. nullptr: no such unit.
  SimulatedUnit* FindUnit(uint16_t address);
  const Plant& plant() const { return plant_; }

 private:
  void Advance();
  void AnswerLater(const CanFrame& answer, uint16_t client);
  void AnswerMalformed(const CanFrame& frame, uint32_t code);
  CanFrame MakeErrorAnswer(const Request& request, uint32_t code) const;
  CanFrame MakeValueAnswer(const Request& request, float value) const;
  // The code of the error, or nothing and a value.
  std::optional<uint32_t> Serve(const Request& request, float* value);
  std::optional<uint32_t> ReadInfo(const SimulatedUnit& unit, uint16_t id, float* value) const;
  std::vector<SimulatedUnit*> Addressed(uint16_t destination);
  void Notify(uint16_t source, uint16_t message, uint32_t value = 0);
  void Restart(SimulatedUnit& unit);
  void CheckWatchdogs();
  void WatchBattery();
  // The arguments of a fault in force for all units or for this one; nullptr: none.
  const Arguments* InForce(std::string_view fault, uint16_t unit) const;
  void Send(CanFrame frame);

  const SimulatorContext context_;
  TimerScope timers_;
  const bool exclusive_;
  const bool whole_plant_;
  const Duration answer_delay_;
  const bool group_reads_;
  const bool missing_is_nan_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<SimulatedUnit>> units_;
  Plant plant_;
  std::set<uint16_t> pending_;  // clients: an answer is on its way
  SimulatedFaults faults_{Faults()};
  bool battery_low_told_ = false;
};

std::unique_ptr<Simulator> CreateSimulator(SimulatorContext context);

}  // namespace canhub::studer
