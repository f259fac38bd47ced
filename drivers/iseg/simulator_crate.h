// A simulated crate controller ECH4xA / CC2x: section 13.1.
#pragma once

#include <map>
#include <optional>
#include <string_view>

#include "drivers/iseg/simulator_device.h"

namespace canhub::iseg {

class IsegCrateSimulator final : public SimulatedDevice {
 public:
  explicit IsegCrateSimulator(SimulatorContext context);

  absl::Status SetLoad(std::optional<int> channel, std::optional<double> resistance_ohm,
                       std::optional<double> capacitance_f) override;

 protected:
  void Reset(bool cold) override;
  uint8_t GeneralStatus() override;
  void OnRead(std::span<const uint8_t> payload) override;
  void OnWrite(std::span<const uint8_t> payload) override;
  void OnDcpRead(uint8_t data_id) override;
  void OnBroadcast(std::span<const uint8_t>) override {}
  void OnLiveInsertion(bool) override {}
  // Status answers of modules on the line: where one carries voltage, so does the crate. A real
  // controller knows it from the backplane.
  void OnForeignFrame(const CanFrame& frame) override;
  absl::StatusOr<bool> OnFault(std::string_view fault, const Arguments& arguments) override;
  void OnFaultsChanged() override;

 private:
  uint32_t Status() const;
  double Temperature() const;
  std::optional<WireBytes> ReadRegister(uint16_t data_id) const;

  bool HighVoltageOn() const;

  bool power_on_ = true;
  std::map<int, MonoTime> high_voltage_;  // by module address: when it last said that it has some
  uint32_t events_ = 0;
  uint32_t event_mask_ = 0;
};

}  // namespace canhub::iseg
