// Judges a run by the invariants S01 to S12 of docs/safety-case.md, from outside the code under
// test: from the frames that crossed each line, what clients were told, and the audit record.
//
// What "S01" and so on mean here, precisely ("act": a frame of the daemon by which a device may
// change, as the family's own reader says; "given": a command or raw frame that a client put in, or
// a safe action that the record shows):
//
//  S01  Every act is explained by a given of this life of the daemon that allows exactly this frame
//       and has not used it up (a command sends each of its frames once; a safe action may insist).
//       An act that only a given of an earlier life explains is S01 too: a restart sent a
//       set-point. A safe action of the daemon's own must follow the end of a lease that had it.
//  S02  An act starts before its given's deadline and before the end of its lease (but safe actions
//       go out however late and need no lease), and the bus was not away between the two.
//  S03  What a client is shown as GOOD with a register behind it: an answer frame of that register
//       and channel reached the daemon at exactly its read time; it is shown before good_until; and
//       good_until is no further from the answer than the family states for that register.
//  S04  While an actor hangs, from 200 ms on (what waited at the bus before), no question, session
//       frame or act goes to its device but what a given raw frame explains.
//  S05  When a lease ends by silence, the record shows its safe action for each device not later
//       than 50 ms after, and the daemon speaks to the device not later than 50 ms after plus the
//       time of the frames on the line, where it is online, its actor turns and the bus works (an
//       act; or a question for the proof, where everything is off already).
//  S06  With watches that nobody drains: no actor that S09 looks at is silent, a watch that is
//       drained lags the cache by less than 200 ms, and every command is answered at the latest
//       100 ms after its deadline.
//  S07  A malformed answer is the read time of no reading of its register, and bad frames of the
//       device are counted when the daemon had just asked for it.
//  S08  A given that was refused in its call, and one that was answered, sends no act any more. One
//       that ends with an error after frames of it were on the wire says so.
//  S09  While another device is mute, or its actor hangs, or its bus is away: every device whose
//       actor turns and whose bus works is asked something at least every other poll period.
//  S10  After a safe action was given, no act of an older given of that device starts, and no
//       question or ordinary act of the daemon starts between it and its first frame, where that
//       frame can be of no other given.
//  S11  After a kill and a restart on the same state, every entry that the record took is found in
//       it, and every acknowledged alarm is acknowledged.
//  S12  A jump of the wall clock ends no lease early and starts nothing; and a run with jumps has
//       the same hash as the run without (simulation_test.cc).
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/core/hub.h"
#include "tests/simulation/doubles.h"
#include "tests/simulation/event_log.h"
#include "tests/simulation/told.h"

namespace canhub::simulation {

struct Violation {
  std::string invariant;  // "S01"
  std::string text;
  MonoTime time{};
};

class Checker {
 public:
  struct BusFacts {
    std::string id;
    const Family* family = nullptr;  // of all devices on it
    std::function<Duration(const CanFrame&)> frame_time;
  };
  Checker(std::vector<PlannedDevice> devices, std::vector<BusFacts> buses,
          const SimulatedClock* clock, EventLog* log);

  const std::optional<Violation>& violation() const { return violation_; }

  // ---- the wire
  // A frame has begun to cross a line.
  void OnFrameStarts(const std::string& bus, const CanFrame& frame, bool from_daemon);
  // A frame of others reached the daemon's controller, as it is handed to it.
  void OnFrameReceived(const std::string& bus, const CanFrame& frame, MonoTime time);
  void OnBus(const std::string& bus, BusState state);

  // ---- the clients
  Given& OnGiven(Given given);  // before the call; valid until the next one is given
  void OnAnswer(uint64_t number, bool in_call, const CommandResult& result);
  void OnLease(GivenLease lease);
  void OnLeaseKept(const std::string& lease_id);
  // Before the call, and after it when it was done.
  void OnLeaseReleasing(const std::string& lease_id);
  void OnLeaseReleased(const std::string& lease_id, bool safe_actions);
  // The daemon says that there is no such lease (any more).
  void OnLeaseUnknown(const std::string& lease_id);
  // A client was shown this.
  void OnShown(size_t device, ItemId item, const Reading& reading, Quality shown,
               const DeviceSnapshot& snapshot);
  // A watch that is drained at once, and what it showed last.
  void OnWatchLag(size_t device, Duration lag);

  // ---- the daemon
  void OnDaemonStarts(Hub* hub, int life);
  void OnDaemonKilled();
  // A jump of the wall clock has just happened.
  void OnWallJump();
  void OnAudit(const AuditEntry& entry);
  void OnAcknowledged(const std::string& alarm_id);
  // After a restart: looks for what must not be lost.
  void CheckRecord();

  // ---- the strain
  void OnPaused(size_t device, bool paused);
  void OnMute(size_t device, bool mute);
  void OnStalledWatches(size_t count) { stalled_watches_ = count; }
  // After every step of the daemon.
  void AfterStep();
  // At the end: nothing may be open for ever.
  uint64_t given_count() const { return next_number_; }
  uint64_t acts() const { return acts_; }
  uint64_t frames() const { return frames_; }

 private:
  struct Device {
    PlannedDevice plan;
    size_t bus = 0;
    bool paused = false;
    bool mute = false;
    MonoTime paused_since{};
    MonoTime turns_since{};  // since when its actor turns on a working bus
    MonoTime last_asked{};
    std::map<uint32_t, MonoTime> asked;  // by register
  };
  struct Bus {
    BusFacts facts;
    bool away = false;
    MonoTime away_since{};
    MonoTime back_since{};
    // The time that frames on the line have taken, to tell a slow line from a slow daemon.
    MonoTime busy_until{};
  };
  struct Expected {  // S05
    size_t device;
    std::string action;
    MonoTime since;
  };
  struct ExpectedFrame {
    uint64_t number;
    size_t device;
    MonoTime since;
  };
  struct Malformed {
    size_t device;
    FrameMeaning meaning;
    MonoTime time;
    uint64_t bad_before;
    bool asked;
  };
  using Key = std::tuple<size_t, uint32_t, int>;
  // What daemon/core/gate_impl.h states for safe actions.
  static constexpr Duration kSafeDeadline = std::chrono::minutes(10);

  static std::string Milliseconds(Duration d);
  void Fail(const char* invariant, std::string text);
  MonoTime Now() const { return clock_->Now(); }
  size_t BusOf(const std::string& id) const;
  std::optional<size_t> DeviceAt(const std::string& bus, uint32_t address) const;
  bool Turns(const Device& device) const;
  void CheckAct(size_t bus, const CanFrame& frame, const FrameMeaning& meaning);
  // `certain`: it can be of no other given.
  void OnActOf(Given& given, size_t bus, const CanFrame& frame, bool certain);
  void CountOvertaking(size_t bus, const Given* own);
  // How often the given allows the frame, and how often it went out for it already.
  std::pair<int, int> Allowance(const Given& given, size_t bus, const CanFrame& frame) const;
  // Why this given may not act now; "" when it may.
  std::pair<const char*, std::string> WhyNot(const Given& given) const;
  std::string Describe(const Given& given) const;
  std::string Name(size_t device) const { return devices_[device].plan.id; }
  void EndLease(GivenLease& lease, MonoTime when, bool safe_actions);
  void OnSafeActionOfDaemon(const AuditEntry& entry);
  // Where each reading comes from, by table.
  using Origins = std::vector<std::optional<std::pair<uint32_t, int>>>;
  const Origins& OriginsOf(size_t device, const DeviceSnapshot& snapshot);
  void CheckLeases();
  void CheckExpected();
  void CheckCadence();
  void CheckAnswers();
  void CheckMalformed();
  void Forget();
  uint64_t BadFrames(size_t device) const;

  std::vector<Device> devices_;
  std::vector<Bus> buses_;
  const SimulatedClock* const clock_;
  EventLog* const log_;
  Hub* hub_ = nullptr;
  int life_ = 0;
  MonoTime started_{};
  std::optional<Violation> violation_;

  std::deque<Given> given_;
  uint64_t next_number_ = 0;
  std::vector<uint64_t> open_;  // given and not answered
  std::map<std::string, GivenLease> leases_;
  std::vector<Expected> expected_;
  std::vector<ExpectedFrame> expected_frames_;
  std::map<Key, std::array<MonoTime, 4>> answers_;
  std::vector<Malformed> malformed_;
  std::map<std::shared_ptr<const ItemTable>, Origins> origins_;
  std::vector<AuditEntry> taken_;
  std::vector<std::string> acknowledged_;
  size_t stalled_watches_ = 0;
  uint64_t acts_ = 0;
  uint64_t frames_ = 0;
  MonoTime next_slow_check_{};
};

}  // namespace canhub::simulation
