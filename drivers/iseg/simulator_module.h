// A simulated high-voltage module.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "drivers/iseg/models.h"
#include "drivers/iseg/simulator_channel.h"
#include "drivers/iseg/simulator_device.h"

namespace canhub::iseg {

// Sections 6 to 16 and checklist 23. With sim_dcp_only it answers DCP only.
class IsegModuleSimulator final : public SimulatedDevice {
 public:
  explicit IsegModuleSimulator(SimulatorContext context);

  absl::Status SetLoad(std::optional<int> channel, std::optional<double> resistance_ohm,
                       std::optional<double> capacitance_f) override;

 protected:
  void Reset(bool cold) override;
  uint8_t GeneralStatus() override;
  void OnRead(std::span<const uint8_t> payload) override;
  void OnWrite(std::span<const uint8_t> payload) override;
  void OnDcpRead(uint8_t data_id) override;
  void OnBroadcast(std::span<const uint8_t> edcp) override;
  void OnLiveInsertion(bool on) override;
  void OnForeignFrame(const CanFrame& frame) override;
  absl::StatusOr<bool> OnFault(std::string_view fault, const Arguments& arguments) override;
  void OnFaultsChanged() override;

 private:
  IsegModuleSimulator(SimulatorContext context, const SimulatedModel& model);

  // ---- simulator_module.cc: state
  // Brings everything up to now.
  void Update();
  void Step(double dt);
  void LatchEvents();
  void AllOff(bool with_ramp);
  void Carry(SimulatedChannel::Effect effect);
  bool CanSwitchOn(const SimulatedChannel& channel) const;
  bool Blocked(const SimulatedChannel& channel) const;
  uint32_t ModuleStatus() const;
  void ClearAllEvents();
  void DefaultSettings(ChannelSettings* settings, const SimulatedChannel& channel) const;
  bool safety_loop_closed() const { return !FaultActive("safety_loop_open"); }
  bool temperature_good() const { return !FaultActive("over_temperature"); }
  bool supply_good() const { return !FaultActive("supply_bad"); }
  bool service_needed() const { return FaultActive("need_service"); }
  double BoardTemperature() const;
  bool Has(Features features) const { return (model_.features & features) == features; }
  int channels() const { return static_cast<int>(channels_.size()); }

  // ---- simulator_module_access.cc: registers
  // nullopt: the module has no such item.
  std::optional<WireBytes> ReadModule(uint16_t data_id);
  std::optional<WireBytes> ReadChannel(uint16_t data_id, int channel);
  bool AnswerGroup(uint16_t data_id);
  void AnswerChannel(uint16_t data_id, int channel);
  bool Implements(uint16_t data_id) const;
  // False: bad access, nothing was changed.
  bool WriteModule(uint16_t data_id, std::span<const uint8_t> value);
  bool WriteChannel(uint16_t data_id, SimulatedChannel& channel, std::span<const uint8_t> value);
  bool WriteChannelNumber(uint16_t data_id, SimulatedChannel& channel, double number);
  bool WriteChannelInteger(uint16_t data_id, SimulatedChannel& channel, int64_t number);
  void WriteChannelControl(SimulatedChannel& channel, uint16_t control);
  void WriteModuleControl(uint32_t control);
  bool WriteVoltageSet(SimulatedChannel& channel, double voltage);
  bool FactoryReset(std::span<const uint8_t> value);
  double Noise(double full_scale);

  const SimulatedModel& model_;
  const double noise_;  // of nominal, standard deviation
  const bool keep_set_values_;
  const bool dcp_only_;
  const int crate_;  // address of the crate controller that powers the module; -1: none
  const uint16_t bit_rate_;
  std::vector<SimulatedChannel> channels_;
  MonoTime updated_{};
  bool started_ = false;

  double voltage_ramp_ = 0;  // % of nominal per second
  double current_ramp_ = 0;
  bool kill_enable_ = false;
  bool fine_adjustment_ = true;
  bool interlock_ = false;
  bool ramp_limit_disabled_ = false;
  bool live_insertion_ = false;
  bool input_error_ = false;
  uint32_t events_ = 0;
  uint32_t event_mask_ = 0;
  uint64_t event_channels_ = 0;
  uint64_t event_channel_mask_ = 0;
  uint32_t event_groups_ = 0;
  uint32_t event_group_mask_ = 0;
  uint32_t control_2_ = 0;
  uint16_t sample_rate_ = 0;
  uint16_t digital_filter_ = 0;
  uint32_t set_values_changed_ = 0;
};

}  // namespace canhub::iseg
