// One device: its mailbox, its timers, its driver. Stepped, by a thread or by hand.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "daemon/core/alarm_book.h"
#include "daemon/core/command_target.h"
#include "daemon/core/device_values.h"
#include "daemon/core/hub.h"
#include "daemon/core/mailbox.h"
#include "daemon/core/state_cache.h"
#include "daemon/core/turn_queue.h"
#include "drivers/api/bus.h"
#include "drivers/api/driver.h"
#include "drivers/api/step.h"
#include "drivers/api/timer_queue.h"

namespace canhub {

using DeviceLogCallback =
    std::function<void(LogLevel, const std::string& device_id, std::string_view text)>;

// A step: urgent things (bus states, cancels, safe commands), frames and reports, timers, commands,
// refreshes, deadlines; then one commit of all readings, and only then the callbacks of commands
// that ended: who is told that a value was set finds it in the cache.
//
// States: starting → running → (a driver's exception) stopped → starting, after a back-off;
// running → (RestartDevice) → running. A driver that fails never takes another device with it.
class DeviceActor final : public Steppable,
                          public FrameSink,
                          public CommandTarget,
                          private CommandReporter,
                          private AlarmSink,
                          private DeviceLog,
                          private FrameSender {
 public:
  // Commands posted and not ended, beyond which ordinary ones are refused: bounds what clients can
  // pile up in a driver.
  static constexpr size_t kMaxUnfinished = 256;
  static constexpr size_t kMaxRunningRefreshes = 64;
  // How long a failed driver stays away: doubled each time, back to the first after a good while.
  static constexpr Duration kFirstRestartDelay = std::chrono::seconds(1);
  static constexpr Duration kMaxRestartDelay = std::chrono::seconds(32);
  static constexpr Duration kGoodWhile = std::chrono::seconds(60);
  static constexpr char kDriverFailedAlarm[] = "driver_failed";

  struct Options {
    const Clock* clock = nullptr;
    const DriverInfo* driver = nullptr;
    DeviceConfig config;
    BusInfo bus_info;
    std::unique_ptr<DeviceWriter> writer;
    AlarmBook* alarms = nullptr;
    DeviceLogCallback log;                    // may be empty
    const ReadingSource* readings = nullptr;  // nullptr: there are no other devices
    DeviceValues* values = nullptr;           // nullptr: what the driver keeps ends with the actor
    std::shared_ptr<TurnQueue> turns;         // nullptr: shares no gateway
  };
  // Everything in the options, and the bus, outlives the actor. It attaches to the bus in its
  // first step, when its waker is set.
  DeviceActor(Options options, CanBus* bus);
  // Ends every command and refresh with UNAVAILABLE. Not while it is stepped.
  ~DeviceActor() override;

  const std::string& id() const { return id_; }

  // Steppable.
  MonoTime RunUntil(MonoTime now) override;

  // FrameSink, on the bus's thread.
  void OnRx(const RxFrame& frame) override;
  void OnTxReport(const TxReport& report) override;
  void OnBusState(BusState state) override;

  // CommandTarget, any thread.
  absl::Status PostCommand(Command command, CommandDone done) override;
  void PostCancel(CommandId id, absl::Status why) override;

  // Any thread. `done` is called exactly once: here when it is refused, else on the actor's thread.
  void PostRefresh(std::vector<ItemId> items, MonoTime deadline,
                   absl::AnyInvocable<void(absl::Status)> done);
  void PostConfig(DeviceConfig config);
  // FAILED_PRECONDITION: a command is under way.
  absl::Status PostRestart();
  // Ends the driver, for good: its last frames (a log-off) are queued while the bus still runs.
  // What is under way, and every later command, ends with UNAVAILABLE. `retired` is called on the
  // actor's thread when it is done, before the step ends.
  void PostRetire(std::function<void()> retired);
  DeviceCounters Counters() const;

 private:
  struct Running {
    CommandDone done;
    CommandOutcome outcome;
    Stage wait_for = Stage::kConfirmed;
    std::shared_ptr<const CommandGuard> guard;
  };
  struct RunningRefresh {
    absl::AnyInvocable<void(absl::Status)> done;
    MonoTime deadline = kNever;
  };

  // What the driver calls, on the actor's thread.
  void Reached(CommandId id, Stage stage, MonoTime time) override;
  void Finish(CommandId id, absl::Status status, std::vector<ItemId> read_back,
              Arguments results) override;
  void Raise(std::string_view code, AlarmSeverity severity, std::string_view text) override;
  void Clear(std::string_view code) override;
  void Log(LogLevel level, std::string_view text) override;
  void CountBadFrame(std::string_view reason, std::string_view text) override;
  void CountTimeout() override;
  absl::Status Send(TxFrame frame) override;

  // Calls the driver, if there is one; an exception stops it.
  template <typename Call>
  void CallDriver(const char* what, Call call);
  void StartDriver();
  void StopDriver(const absl::Status& why);
  void Retire();
  void DriverFailed(const std::string& what);

  void HandleUrgent();
  void HandleBusState(BusState state);
  void HandleTraffic();
  void HandleCommands();
  void HandleRefreshes();
  void CheckCommands();
  void ExecuteCommand(Mailbox::PostedCommand posted);
  // Ends a command that the driver has not seen.
  void Refuse(Mailbox::PostedCommand posted, absl::Status why);
  void CancelCommand(CommandId id, const absl::Status& why);
  void FinishRefresh(uint64_t id, absl::Status status);
  // Calls back for everything that ended.
  void Deliver();
  MonoTime NextStep(MonoTime now) const;

  absl::Status ShuttingDown() const;
  absl::Status DeadlinePassed(const char* how_far) const;
  absl::Status BusAway(BusState state) const;

  // The time of the step. A driver asks for it many times per frame, and the time between its
  // questions is nothing to it; on some machines a clock costs as much as a frame.
  class StepClock final : public Clock {
   public:
    explicit StepClock(const Clock* clock) : clock_(clock) {}
    MonoTime Now() const override { return now_; }
    WallTime WallNow() const override { return clock_->WallNow(); }
    void Read() { AdvanceTo(clock_->Now()); }
    // What the step is about to see happened at `time`.
    void AdvanceTo(MonoTime time) { now_ = std::max(now_, time); }

   private:
    const Clock* const clock_;
    MonoTime now_{};
  };

  const std::string id_;
  StepClock clock_;
  const DriverInfo* const info_;
  DeviceConfig config_;
  const BusInfo bus_info_;
  const std::unique_ptr<DeviceWriter> writer_;
  AlarmBook* const alarms_;
  const DeviceLogCallback log_;
  const ReadingSource& readings_;
  ActorMemory memory_;
  TurnQueue::Member turn_;

  CanBus* const can_bus_;
  Mailbox mailbox_;
  TimerQueue timers_;
  std::unique_ptr<BusPort> port_;  // null before the first step
  std::unique_ptr<Driver> driver_;
  std::atomic<BusState> newest_bus_state_{BusState::kUnplugged};  // as the bus says
  BusState bus_state_ = BusState::kUnplugged;                     // as the driver knows

  // All below: the actor's thread only.
  std::optional<MonoTime> start_at_ = MonoTime{};  // set while there is no driver
  MonoTime started_{};
  Duration restart_delay_ = kFirstRestartDelay;
  bool failed_ = false;                          // the alarm is raised
  std::vector<Mailbox::PostedCommand> waiting_;  // taken, not executed; from next_waiting_ on
  size_t next_waiting_ = 0;
  std::map<CommandId, Running> running_;
  std::map<uint64_t, RunningRefresh> refreshes_;
  uint64_t last_refresh_ = 0;
  std::vector<Mailbox::Traffic> traffic_;  // kept for its memory
  std::vector<std::pair<CommandDone, CommandOutcome>> ended_;
  std::vector<std::pair<absl::AnyInvocable<void(absl::Status)>, absl::Status>> ended_refreshes_;

  std::atomic<bool> closed_{false};    // being destroyed, or retired
  std::atomic<bool> retiring_{false};  // retired_ is set
  std::function<void()> retired_;
  std::atomic<size_t> unfinished_{0};
  std::atomic<uint64_t> generation_{0};  // of the items, as of the last commit
  std::atomic<uint64_t> frames_received_{0}, frames_sent_{0}, timeouts_{0}, commands_{0},
      commands_refused_{0};
  std::atomic<int64_t> last_frame_ns_{0};  // 0: none
  mutable std::mutex bad_frames_mutex_;
  std::map<std::string, uint64_t> bad_frames_;
  std::string last_bad_frame_;
};

}  // namespace canhub
