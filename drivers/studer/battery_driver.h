// The driver "studer-battery": a battery that talks to an Xcom-CAN in battery mode, overheard; or,
// with act_as_bms, that battery's part played by the daemon out of another device's readings.
//
// As a listener it sends nothing. As a BMS it sends its frames every second while every reading it
// is fed from is GOOD, and nothing at all as soon as one is not: the Xcom-CAN then loses its
// battery, which is the truth.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/studer/bms_codec.h"

namespace canhub::studer {

class BatteryDriver final : public Driver {
 public:
  // Makers send every second; one lost frame is no loss.
  static constexpr Duration kSendPeriod = std::chrono::seconds(1);

  explicit BatteryDriver(const DriverContext& context);

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  void OnTxReport(const TxReport&) override {}
  void OnBusState(BusState state) override;
  void Execute(Command command) override;
  void Cancel(CommandId, absl::Status) override {}
  void Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) override;

 private:
  void Publish(const BatteryReport& report, MonoTime time);
  void CheckLink();
  void Send();
  // Everything that is sent, out of the other device's readings; nullopt, with `why`: not now.
  std::optional<BatteryReport> Compose(std::string* why) const;

  const DriverContext context_;
  const bool acts_;
  const Duration stale_after_;
  TimerScope timers_;
  bool bus_up_ = false;
  bool sending_ = false;
  std::optional<MonoTime> last_heard_;
  unsigned heard_ = 0;  // bits: limits, state, measured
};

std::vector<ParameterSpec> BatteryParameters();

}  // namespace canhub::studer
