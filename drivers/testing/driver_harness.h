// Everything a driver or a simulator needs to be tested alone, on a virtual clock.
//
//   DriverHarness h({.id = "hv0", .parameters = {{"address", Value::Integer(3)}}});
//   std::unique_ptr<Driver> driver = Info().create(h.Context());
//   driver->OnBusState(BusState::kActive);
//   driver->Start();
//   h.Advance(100ms);                              // fires timers, each at its own time
//   EXPECT_THAT(h.bus.Take(), ElementsAre(MakeFrame(0x218, {0xD8, 0x00})));
//   driver->OnFrame(h.Rx(MakeFrame(0x218, {0xD8, 0x01})));
//   EXPECT_EQ(h.state.Read("ch3.voltage_set").value.number(), 1000);
//   driver->Execute(h.Write("ch3.voltage_set", Value::Number(1000)));
//   h.ReportOnWire(*driver);                       // confirms every tagged frame sent so far
//   EXPECT_TRUE(h.commands.finished(1)->status.ok());
//
// The harness must outlive the driver.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/api/timer_queue.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {

// Keeps what is sent.
class RecordingSender final : public FrameSender {
 public:
  absl::Status Send(TxFrame frame) override;
  // Every Send fails with this until it is OK again; what failed is not kept.
  void FailWith(absl::Status status) { failure_ = std::move(status); }
  // Called for every frame after it was kept: connects a driver with a simulator.
  void OnSend(std::function<void(const TxFrame&)> hook) { hook_ = std::move(hook); }

  const std::vector<TxFrame>& sent() const { return sent_; }
  // What was sent since the last Take or Clear.
  std::vector<CanFrame> Take();
  std::vector<TxFrame> TakeTx();
  void Clear() { sent_.clear(); }
  // Tags of kept frames, since the last call.
  std::vector<uint64_t> TakeTags();

 private:
  std::vector<TxFrame> sent_;
  std::vector<uint64_t> tags_;
  absl::Status failure_;
  std::function<void(const TxFrame&)> hook_;
};

// Keeps readings as the cache would.
class RecordingState final : public StatePublisher {
 public:
  explicit RecordingState(const Clock* clock) : clock_(clock) {}
  void SetItems(std::shared_ptr<const ItemTable> table) override;
  void Set(ItemId item, Value value, MonoTime time, Duration good_for) override;
  void Invalidate(ItemId item, Quality quality) override;
  void InvalidateAll(Quality quality) override;
  Reading Pending(ItemId item) const override { return Read(item); }
  void SetRange(ItemId item, std::optional<double> minimum, std::optional<double> maximum) override;
  void SetLink(LinkState state, std::string_view text) override;
  void SetPolled(bool polled) override { polled_ = polled; }
  void SetIdentity(std::string_view key, std::string_view value) override;

  const ItemTable& items() const { return *items_; }
  // Both abort the test program with the name when there is no such item. Flags follow their
  // register; the quality is the effective one at the clock's now.
  ItemId Id(std::string_view name) const;
  Reading Read(std::string_view name) const;
  Reading Read(ItemId item) const;
  std::pair<std::optional<double>, std::optional<double>> Range(std::string_view name) const;
  LinkState link() const { return link_; }
  const std::string& link_text() const { return link_text_; }
  bool polled() const { return polled_; }
  const std::map<std::string, std::string>& identity() const { return identity_; }
  int items_set_count() const { return items_set_count_; }

 private:
  const Clock* const clock_;
  std::shared_ptr<const ItemTable> items_ =
      std::make_shared<const ItemTable>(std::vector<ItemBlock>{});
  std::map<ItemId, Reading> readings_;
  std::map<ItemId, std::pair<std::optional<double>, std::optional<double>>> ranges_;
  LinkState link_ = LinkState::kSearching;
  std::string link_text_;
  bool polled_ = false;
  std::map<std::string, std::string> identity_;
  int items_set_count_ = 0;
};

// Keeps what became of commands; a second Finish of a command, a stage after it, or a stage that
// goes back is kept in errors(), which a test expects to be empty.
class RecordingReporter final : public CommandReporter {
 public:
  struct Finished {
    absl::Status status;
    std::vector<ItemId> read_back;
    Arguments results;
  };
  void Reached(CommandId id, Stage stage, MonoTime time) override;
  void Finish(CommandId id, absl::Status status, std::vector<ItemId> read_back,
              Arguments results) override;

  // nullptr while the command is under way.
  const Finished* finished(CommandId id) const;
  // In the order in which they were reached.
  std::vector<Stage> stages(CommandId id) const;
  std::optional<MonoTime> reached(CommandId id, Stage stage) const;
  const std::vector<std::string>& errors() const { return errors_; }

 private:
  std::map<CommandId, Finished> finished_;
  std::map<CommandId, std::vector<std::pair<Stage, MonoTime>>> stages_;
  std::vector<std::string> errors_;
};

class RecordingAlarms final : public AlarmSink {
 public:
  struct Alarm {
    AlarmSeverity severity = AlarmSeverity::kInfo;
    std::string text;
    int raised = 0;  // how many times
    bool active = false;
  };
  void Raise(std::string_view code, AlarmSeverity severity, std::string_view text) override;
  void Clear(std::string_view code) override;
  bool active(std::string_view code) const;
  const std::map<std::string, Alarm, std::less<>>& all() const { return alarms_; }

 private:
  std::map<std::string, Alarm, std::less<>> alarms_;
};

class RecordingLog final : public DeviceLog {
 public:
  void Log(LogLevel level, std::string_view text) override;
  void CountBadFrame(std::string_view reason, std::string_view text) override;
  void CountTimeout() override { ++timeouts_; }
  int bad_frames(std::string_view reason) const;
  const std::map<std::string, int, std::less<>>& bad_frames() const { return bad_frames_; }
  const std::string& last_bad_frame() const { return last_bad_frame_; }
  int timeouts() const { return timeouts_; }
  const std::vector<std::pair<LogLevel, std::string>>& lines() const { return lines_; }

 private:
  std::map<std::string, int, std::less<>> bad_frames_;
  std::string last_bad_frame_;
  int timeouts_ = 0;
  std::vector<std::pair<LogLevel, std::string>> lines_;
};

// Readings that a test sets, GOOD until it takes them away.
class SettableReadings final : public ReadingSource {
 public:
  void Set(const std::string& name, OtherReading reading) { readings_[name] = std::move(reading); }
  void Remove(const std::string& name) { readings_.erase(name); }
  std::optional<OtherReading> Read(std::string_view name) const override;

 private:
  std::map<std::string, OtherReading, std::less<>> readings_;
};

// Values outlive the driver; what they are called back for waits for the test.
class RecordingMemory final : public DeviceMemory {
 public:
  std::optional<std::string> Get(std::string_view key) const override;
  void Put(std::string_view key, std::string_view value,
           std::function<void(absl::Status)> done) override;
  // Calls back everything that was put since, in its order.
  void Saved(const absl::Status& status = absl::OkStatus());
  size_t unsaved() const { return waiting_.size(); }
  // From now on Put calls back at once: a disk that is never late. Or waits for Saved again.
  void SaveAtOnce() { at_once_ = true; }
  void SaveLater() { at_once_ = false; }

 private:
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::function<void(absl::Status)>> waiting_;
  bool at_once_ = false;
};

// The turn of a device among others: free, until a test says that somebody else has it.
class SettableTurn final : public Turn {
 public:
  bool Want(int rank) override;
  void Release() override;
  // From now on it is somebody else's.
  void Take() { taken_ = true; }
  // It is free again; true: this device has waited for it and has it now, so call OnTurn.
  bool Free();
  bool held() const { return held_; }
  std::optional<int> wanted() const { return wanted_; }  // the rank, while it waits
  int turns() const { return turns_; }                   // how often it was this device's

 private:
  bool taken_ = false;
  bool held_ = false;
  std::optional<int> wanted_;
  int turns_ = 0;
};

struct DriverHarness {
  explicit DriverHarness(DeviceConfig device_config, BusInfo bus = {.id = "can0"});
  DriverHarness(const DriverHarness&) = delete;
  DriverHarness& operator=(const DriverHarness&) = delete;

  DriverContext Context() { return Context(bus); }
  // With another way to send.
  DriverContext Context(FrameSender& sender);
  SimulatorContext ForSimulator(uint64_t seed = 1);

  // Moves the clock, firing each timer at its own time, in order.
  void Advance(Duration by);
  RxFrame Rx(const CanFrame& frame) const { return {frame, clock.Now()}; }
  // Reports the outcome, now, for every tagged frame sent since the last report.
  void ReportTx(Driver& driver, TxOutcome outcome);
  void ReportOnWire(Driver& driver) { ReportTx(driver, TxOutcome::kOnWire); }

  // Commands with rising ids, 1 first, each with a guard of its own.
  Command Write(std::string_view item, Value value, Stage wait_for = Stage::kConfirmed,
                Duration deadline = std::chrono::seconds(10));
  Command Writes(std::vector<ItemWrite> writes, Stage wait_for = Stage::kConfirmed,
                 Duration deadline = std::chrono::seconds(10));
  Command Action(std::string_view name, Arguments arguments = {},
                 Stage wait_for = Stage::kConfirmed, Urgency urgency = Urgency::kCommand,
                 Duration deadline = std::chrono::seconds(10));
  CommandId last_command() const { return last_command_; }

  SimulatedClock clock;
  DeviceConfig config;
  BusInfo bus_info;
  TimerQueue timers{&clock};
  RecordingSender bus;
  RecordingState state{&clock};
  RecordingReporter commands;
  RecordingAlarms alarms;
  RecordingLog log;
  SettableReadings readings;
  RecordingMemory memory;
  SettableTurn turn;

 private:
  CommandId last_command_ = 0;
};

}  // namespace canhub
