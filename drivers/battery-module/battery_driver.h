// The driver of one pack of battery modules.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "drivers/api/awaited_frames.h"
#include "drivers/api/battery.h"
#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/battery-module/module_watch.h"
#include "drivers/battery-module/pack_alarms.h"
#include "drivers/battery-module/pack_items.h"

namespace canhub::battery_module {

// Runs on its actor's thread.
//
// Phases: waiting (the bus is away) → counting (a window of ten SYNCs) → latched, or counting again
// after kRetry when nobody answered. A latched pack never becomes smaller by itself: a module that
// falls silent is stale, one that comes later is unexpected. "detect" counts anew.
class BatteryDriver final : public Driver {
 public:
  // Seen so often in the window, a module is there (facts, section 12.5).
  static constexpr int kSeenOften = 3;
  static constexpr int kWindowPeriods = 10;
  static constexpr Duration kRetry = std::chrono::seconds(5);
  // Evaluation without new frames; longer where staleness is looked at rarely.
  static constexpr Duration kTick = std::chrono::milliseconds(100);
  // A page of information comes every second, round robin over eighteen.
  static constexpr Duration kInfoGood = std::chrono::seconds(60);

  BatteryDriver(DriverContext context, Settings settings);

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  void OnTxReport(const TxReport&) override {}
  void OnBusState(BusState state) override;
  void Execute(Command command) override;
  void Cancel(CommandId id, absl::Status why) override;
  void Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) override;

 private:
  struct Module {
    explicit Module(const Settings& settings, const Bounds& bounds) : watch(settings, bounds) {}
    ModuleWatch watch;
    bool latched = false;
    int seen = 0;             // in the window, or since the latch
    int seen_since_sync = 0;  // frames with its voltage
    int doubled = 0;          // SYNCs in a row that were answered twice
    bool stale = false;
    MonoTime stale_since{};
    MonoTime sensors_time{};      // of their last frame, or since when the module is in the pack
    Level data = Level::kNormal;  // how long nothing was heard of it, or of its sensors
    int implausible = 0;          // polls in a row
    Level level = Level::kNormal;
    // The alarm frame.
    bool alarm_seen = false;
    MonoTime alarm_time{};
    bool alarm_garbled = false;
    std::optional<int64_t> live_counter;
    int live_stands = 0;
    Level fault = Level::kNormal;
    std::string fault_text;
  };

  Module& At(int module) { return modules_[static_cast<size_t>(module - 1)]; }
  bool IsSupervised(const Module& module) const;

  // Polling.
  void StartPolling();
  void PublishPeriods();
  void SendSync();
  void SendRequest();
  void Send(const CanFrame& frame, Duration lives);
  Duration SyncPeriod(int modules) const;

  // Counting.
  void StartCounting();
  void EndCounting();
  void OnSeen(int number);
  void OnCounted(const absl::Status& status);

  // Frames.
  void TakeValue(const Route& route, int signal, dbc::Bits bits, MonoTime time);
  void TakeAlarm(const Route& route, const dbc::Payload& payload, MonoTime time);
  void AlarmIsBad(int number, const std::string& why);
  Duration GoodFor(const Route& route) const;
  void InvalidateRoute(const Route& route);
  void PublishCells(int number, MonoTime time);
  void OnMainFrame(const Route& route, MonoTime time);
  void CheckPlausible(int number, MonoTime now);

  // Judging.
  void Tick();
  bool MainIsFresh(int number, MonoTime now) const;
  void JudgeModule(int number, MonoTime now);
  void JudgePack(MonoTime now);
  Level DataLevel(MonoTime now, int* good) const;
  void PublishPack(MonoTime now);
  void PublishModule(int number, MonoTime now);
  void CheckPackVoltage(double sum);
  void UpdateLink(MonoTime now);
  void SetOwn(ItemId item, Value value);

  absl::Status BusAway() const;

  DriverContext context_;
  const Settings settings_;
  PackItems items_;
  const Layout layout_;
  const Bounds bounds_;
  // What all cells at their highest cannot make, no module has.
  const double highest_module_volt_;
  TimerScope timers_;
  AwaitedFrames awaited_;
  PackAlarms alarms_;
  std::vector<Module> modules_;        // fifteen
  std::vector<MonoTime> route_times_;  // by route; the epoch: never
  std::vector<bool> route_pending_;    // since the last look at plausibility
  Duration sync_period_{};
  Duration stale_after_{};
  BusState bus_state_ = BusState::kDown;
  bool started_ = false;
  enum class Phase { kWaiting, kCounting, kLatched } phase_ = Phase::kWaiting;
  int latched_ = 0;
  MonoTime latched_at_{};
  int next_request_ = 0;
  int pack_implausible_ = 0;
  bool polled_ = false;
  TimerId sync_timer_ = 0, request_timer_ = 0, counting_timer_ = 0;
  std::vector<CommandId> detecting_;  // commands that wait for the end of the count
  Level pack_level_ = Level::kNormal;
  bool level_published_ = false;
  LinkState link_ = LinkState::kSearching;
  std::string link_text_;

  // Items that are used often.
  struct {
    int presence, level, cell_min, cell_max, cell_sum, cell_spread, cell_min_cell, cell_max_cell,
        alarm_flags;
  } spec_;
};

}  // namespace canhub::battery_module
