// The driver of one YSTECH PCS: joins the parts, sends the heartbeat.
//
// Link: searching → online with the first status frame → lost when none came for `lost_after` →
// online. Bus down: all that was commanded is forgotten (S02); when it is back, the device is only
// read, and kept alive.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/ystech-pcs/command_engine.h"
#include "drivers/ystech-pcs/device_image.h"
#include "drivers/ystech-pcs/exchange.h"
#include "drivers/ystech-pcs/pcs_alarms.h"
#include "drivers/ystech-pcs/poller.h"
#include "drivers/ystech-pcs/settings.h"

namespace canhub::ystech_pcs {

class PcsDriver final : public Driver {
 public:
  static constexpr Duration kHeartbeatPeriod = std::chrono::milliseconds(kPeriodMilliseconds);
  // Heartbeats go out on a grid of the clock, in the slot that the address gives: those of a lab
  // wake the machine up together, and one bus has no more than a few at a time.
  static constexpr Duration kHeartbeatSlot = std::chrono::milliseconds(10);

  explicit PcsDriver(DriverContext context);

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  void OnTxReport(const TxReport& report) override;
  void OnBusState(BusState state) override;
  void OnLimitsChanged() override { CompareLimits(); }
  void Execute(Command command) override;
  void Cancel(CommandId id, absl::Status why) override;
  void Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) override;

 private:
  struct Waiting {
    std::set<Pf> frames;
    std::function<void(absl::Status)> done;
    TimerId timer = 0;
  };

  bool online() const { return link_ == LinkState::kOnline; }
  // The heartbeat that is due, and when the next one is.
  void Beat();
  MonoTime NextBeat() const;
  void SendHeartbeat(MonoTime next);
  // What the configured items measure, in V and A; nullopt: not both.
  std::optional<Heartbeat> Measured();
  void CheckLink();
  void SetLink(LinkState link, const std::string& text);
  void OnOnline();
  void OnOffline(LinkState link, const std::string& text, const absl::Status& why);
  void EndRefreshes(const absl::Status& why);
  void OnRead(Pf pf);
  void CompareLimits();
  absl::Status Offline(std::string_view reason, const std::string& text) const;

  DriverContext context_;
  const Settings settings_;
  TimerScope timers_;
  DeviceImage image_;
  PcsAlarms alarms_;
  Exchange exchange_;
  Poller poller_;
  CommandEngine engine_;
  LinkState link_ = LinkState::kSearching;
  BusState bus_state_ = BusState::kDown;
  bool started_ = false;
  MonoTime started_at_{};
  int beats_ = 0;                        // since one was reported
  bool ran_ = false;                     // when it was heard last
  std::map<uint64_t, Waiting> waiting_;  // fresh reads
  uint64_t last_waiting_ = 0;
};

}  // namespace canhub::ystech_pcs
