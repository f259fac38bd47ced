// Carries out commands, one at a time: each is a list of steps, and each step sends at most one
// request and waits for its reply.
//
// States: idle → a job: step by step → (done, failed, cancelled) idle → the next that waits. A safe
// action ends the job and everything that waits, and begins at once.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "drivers/api/driver.h"
#include "drivers/api/errors.h"
#include "drivers/api/timer_scope.h"
#include "drivers/ystech-pcs/device_image.h"
#include "drivers/ystech-pcs/exchange.h"
#include "drivers/ystech-pcs/mode_setting.h"
#include "drivers/ystech-pcs/pcs_alarms.h"
#include "drivers/ystech-pcs/poller.h"
#include "drivers/ystech-pcs/setting_frames.h"
#include "drivers/ystech-pcs/settings.h"

namespace canhub::ystech_pcs {

// A stop that does not show is sent again in a safe action, so often and after so long.
inline constexpr int kStopTries = 5;
inline constexpr Duration kStopPeriod = std::chrono::seconds(1);
// How long the state may take to show what was commanded. Soft start takes up to 10 s (section 10).
inline constexpr Duration kStopTime = std::chrono::seconds(10);
inline constexpr Duration kStartTime = std::chrono::seconds(15);
inline constexpr Duration kClearTime = std::chrono::seconds(3);

class CommandEngine {
 public:
  // All outlive the engine.
  struct Parts {
    const DeviceConfig& config;
    const Settings& settings;
    const Clock& clock;
    CommandReporter& reporter;
    DeviceLog& log;
    DeviceMemory& memory;
    Exchange& exchange;
    Poller& poller;
    DeviceImage& image;
    PcsAlarms& alarms;
  };
  CommandEngine(Parts parts, Timers& timers);
  ~CommandEngine();

  // What is remembered of what was sent in earlier runs.
  void Start();
  void Execute(Command command, bool online);
  void Cancel(CommandId id, const absl::Status& why);
  void AbortAll(const absl::Status& why);
  // A job that is no safe action: the device is lost.
  void OnLost(const absl::Status& why);
  // After a status frame was taken.
  void OnStatus();
  // Whether polling may use the exchange: there is no job, or it watches the state.
  bool leaves_line() const {
    return job_ == nullptr ? queue_.empty() : job_->watching != nullptr && job_->stops == 0;
  }

 private:
  struct Job {
    Command command;
    std::string name;
    bool safe = false;
    bool ended = false;  // the caller has its answer
    std::shared_ptr<CommandGuard> guard;
    std::deque<std::function<void()>> steps;
    std::function<void()> once_free;  // a step that waits until `owed` is not owed any more
    Pf owed = Pf::kSetModeReply;
    // Looks at the state; true ends the step. A failure is reported by itself.
    std::function<bool()> watching;
    std::function<void()> refused;  // when the device refuses what is sent
    bool keeps_self_start = false;  // it put a value into the memory that is to be sent
    TimerId timer = 0;
    Stage reached = Stage::kAccepted;
    std::vector<std::string> done;  // what has been done, for people
    std::vector<ItemId> read_back;
    Arguments results;
    int stops = 0;
    std::optional<MonoTime> stop_on_wire;  // the first of them
  };

  void RunQueue();
  void Begin(Command command);
  absl::Status Plan(const ActionCall& call);
  void PlanMode(ModeSetting setting, bool stop_first);
  void PlanUpdate(ModeSetting setting);
  void PlanSetPoints(const std::vector<ItemWrite>& writes);
  void PlanStart();
  void PlanClear();
  void PlanSelfStart(bool enable);
  absl::Status PlanTime(const Arguments& arguments);
  absl::Status PlanSettings(const std::vector<const SettingFrame*>& frames,
                            const Arguments& arguments);

  // Steps.
  void Then(std::function<void()> step) { job_->steps.push_back(std::move(step)); }
  void ThenCheck(std::function<absl::Status()> check);
  void ThenRead(ReadRequest read);
  using MakeFrame = std::function<absl::StatusOr<CanFrame>()>;
  // `what`: "the mode dc_cc_cv". `last`: the last that acts, which the stages sent and on the wire
  // are about.
  void ThenSet(MakeFrame make, Pf reply, int selector, std::string what, bool last);
  // The three flags of 0x0F.
  void ThenStartStop(bool start, bool clear, std::function<bool()> self_start, std::string what);
  void ThenSetMode(const ModeSpec& mode, bool last);
  void ThenSetParameters(const ModeSetting& setting);
  void ThenCompareMode(const ModeSetting& setting);
  void ThenStop();
  void ThenWatch(std::function<bool()> watching, Duration limit,
                 std::function<absl::Status()> too_late);

  absl::Status RequireTime() const;
  void Next();
  void Release();
  void OnWire(const std::string& what, bool last, MonoTime time);
  void Ask(Exchange::Request request);
  void SendStop();
  void OnSet(const absl::StatusOr<Exchange::Replies>& replies, const std::string& what);
  void Reach(Stage stage, MonoTime time);
  void Succeed();
  void Fail(const absl::Status& status);
  void EndJob();
  absl::Status WithState(const absl::Status& status) const;

  absl::Status Error(absl::StatusCode code, std::string_view reason, const std::string& text,
                     ErrorFields fields = {}) const;
  absl::Status RequireStopped(const std::string& what) const;
  absl::StatusOr<Protection> KnownProtection() const;
  // Against what the device protects itself with, the limits, and what the frames hold.
  absl::Status CheckMode(const ModeSetting& setting) const;
  // What the device was read to hold; without a mode where that is not known.
  ModeSetting SettingNow() const;
  absl::Status CheckPhases(const SettingFrame& frame, const std::vector<double>& values) const;
  absl::Status CheckSetting(const SettingFrame& frame, const std::vector<double>& sent);
  // As it was on the wire last, in this run or an earlier one; off where that is not known.
  bool SelfStart() const { return self_start_.value_or(false); }
  void OnSelfStartOut(bool on);
  void PutBackSelfStart();
  void Remember(const char* item, const Value& value);

  Parts parts_;
  TimerScope timers_;
  std::unique_ptr<Job> job_;
  std::deque<Command> queue_;
  std::optional<bool> self_start_;  // in the last 0x0F that was on the wire
};

// Keys of DeviceMemory: "sent.<item>".
std::string MemoryKey(std::string_view item);

}  // namespace canhub::ystech_pcs
