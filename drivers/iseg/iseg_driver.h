// The driver of one iseg module or crate controller: joins the parts, owns nothing but them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/iseg/command_engine.h"
#include "drivers/iseg/command_plan.h"
#include "drivers/iseg/derived_items.h"
#include "drivers/iseg/device_image.h"
#include "drivers/iseg/event_alarms.h"
#include "drivers/iseg/foreign_master.h"
#include "drivers/iseg/poller.h"
#include "drivers/iseg/session.h"
#include "drivers/iseg/settings.h"
#include "drivers/iseg/transaction_queue.h"

namespace canhub::iseg {

// Runs on its actor's thread. What each part does, and its states: the class comments, and "How the
// driver works" in README.md.
class IsegDriver final : public Driver {
 public:
  explicit IsegDriver(DriverContext context);
  // Logs the device off.
  ~IsegDriver() override;

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  void OnTxReport(const TxReport& report) override;
  void OnBusState(BusState state) override;
  void Execute(Command command) override;
  void Cancel(CommandId id, absl::Status why) override;
  void Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) override;

  const PollPlan& poll_plan() const { return poller_.plan(); }

 private:
  void OnWanted(const RxFrame& frame, const Answer& answer);
  // False: a bad frame, counted; it has changed nothing and is not an answer.
  bool Store(const RxFrame& frame, const Answer& answer);
  void OnLink(LinkState state, const std::string& text);
  void OnOnline(const Identified& found);
  void OnOffline(bool restarted, const std::string& why);
  void OnRead(uint16_t data_id);
  void OnPolled();
  void OnConfirmed(const Command& command);
  void ForgetDevice(const absl::Status& why);
  void SetLiveInsertion(bool on);
  void PublishPlan();
  void CountBad(const absl::Status& status, const CanFrame& frame);

  DriverContext context_;
  const Settings settings_;
  TimerScope timers_;
  DeviceImage image_;
  TransactionQueue queue_;
  DerivedItems derived_;
  EventAlarms alarms_;
  ForeignMaster foreign_;
  Session session_;
  Poller poller_;
  CommandPlanner planner_;
  CommandEngine engine_;
  BusState bus_state_ = BusState::kDown;
  bool started_ = false;
  bool built_ = false;  // the table is that of an identified device
  TimerId live_insertion_timer_ = 0;
  // Until then answers to questions of the driver before this one may still come.
  MonoTime no_foreigners_before_{};
};

}  // namespace canhub::iseg
