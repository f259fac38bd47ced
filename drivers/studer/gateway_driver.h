// The driver of the gateway itself: whether it is there, what it says as a remote control, and
// which units are behind it.
#pragma once

#include <string>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/studer/exchange_queue.h"
#include "drivers/studer/messages.h"
#include "drivers/studer/settings.h"
#include "drivers/studer/unit_items.h"

namespace canhub::studer {

// It hears the answers to all units of the bus: while these come, it asks nothing itself.
class GatewayDriver final : public Driver {
 public:
  // Periods without a word, after which the gateway counts as lost.
  static constexpr int kMostMisses = 3;

  explicit GatewayDriver(const DriverContext& context);

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  void OnTxReport(const TxReport& report) override { queue_.OnTxReport(report); }
  void OnBusState(BusState state) override;
  void Execute(Command command) override;
  void Cancel(CommandId id, absl::Status why) override;
  void Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) override;
  void OnTurn() override { queue_.OnTurn(); }

 private:
  struct Scan {
    CommandId id = 0;
    Stage wait_for = Stage::kConfirmed;
    std::vector<UnitId> units;
    size_t next = 0;
    std::string found;
  };

  void CheckLink();
  void Heard();
  void ScanNext();
  void EndScan(absl::Status status);

  const DriverContext context_;
  const Settings settings_;
  const UnitItems& items_;
  TimerScope timers_;
  ExchangeQueue queue_;
  Messages messages_;
  std::optional<Scan> scan_;
  bool bus_up_ = false;
  bool heard_ = false;  // in this period
  int misses_ = 0;
};

}  // namespace canhub::studer
