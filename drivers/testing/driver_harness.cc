#include "drivers/testing/driver_harness.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace canhub {

// ---------------------------------------------------------------- RecordingSender

absl::Status RecordingSender::Send(TxFrame frame) {
  if (!failure_.ok()) return failure_;
  if (frame.tag != 0) tags_.push_back(frame.tag);
  sent_.push_back(frame);
  if (hook_) hook_(frame);
  return absl::OkStatus();
}

std::vector<CanFrame> RecordingSender::Take() {
  std::vector<CanFrame> frames;
  for (const TxFrame& tx : sent_) frames.push_back(tx.frame);
  sent_.clear();
  return frames;
}

std::vector<TxFrame> RecordingSender::TakeTx() { return std::exchange(sent_, {}); }

std::vector<uint64_t> RecordingSender::TakeTags() { return std::exchange(tags_, {}); }

// ---------------------------------------------------------------- RecordingState

void RecordingState::SetItems(std::shared_ptr<const ItemTable> table) {
  items_ = std::move(table);
  readings_.clear();
  ranges_.clear();
  ++items_set_count_;
}

void RecordingState::Set(ItemId item, Value value, MonoTime time, Duration good_for) {
  Reading& reading = readings_[items_->Storage(item)];
  if (reading.quality == Quality::kNeverRead || !(reading.value == value)) {
    reading.change_time = time;
  }
  reading.value = std::move(value);
  reading.read_time = time;
  reading.good_until = good_for > kNever - time ? kNever : time + good_for;
  reading.quality = Quality::kGood;
}

void RecordingState::Invalidate(ItemId item, Quality quality) {
  const auto it = readings_.find(items_->Storage(item));
  if (it != readings_.end()) it->second.quality = quality;
}

void RecordingState::InvalidateAll(Quality quality) {
  for (auto& [item, reading] : readings_) reading.quality = quality;
}

void RecordingState::SetRange(ItemId item, std::optional<double> minimum,
                              std::optional<double> maximum) {
  ranges_[item] = {minimum, maximum};
}

void RecordingState::SetLink(LinkState state, std::string_view text) {
  link_ = state;
  link_text_ = std::string(text);
}

void RecordingState::SetIdentity(std::string_view key, std::string_view value) {
  identity_[std::string(key)] = std::string(value);
}

ItemId RecordingState::Id(std::string_view name) const {
  const std::optional<ItemId> id = items_->Find(name);
  if (!id) {
    std::fprintf(stderr, "RecordingState: no item \"%s\" among %u\n", std::string(name).c_str(),
                 static_cast<unsigned>(items_->size()));
    std::abort();
  }
  return *id;
}

Reading RecordingState::Read(std::string_view name) const { return Read(Id(name)); }

Reading RecordingState::Read(ItemId item) const {
  const auto it = readings_.find(items_->Storage(item));
  if (it == readings_.end()) return {};
  Reading reading = it->second;
  reading.quality = reading.EffectiveQuality(clock_->Now());
  const ItemSpec& spec = items_->Spec(item);
  if (spec.flag_of >= 0 && reading.value.has_value()) {
    const bool bit = (reading.value.integer() >> spec.bit) & 1;
    reading.value = Value::Flag(bit != spec.bit_inverted);
  }
  return reading;
}

std::pair<std::optional<double>, std::optional<double>> RecordingState::Range(
    std::string_view name) const {
  const auto it = ranges_.find(Id(name));
  if (it != ranges_.end()) return it->second;
  return {};
}

// ---------------------------------------------------------------- RecordingReporter

void RecordingReporter::Reached(CommandId id, Stage stage, MonoTime time) {
  const std::string what = "command " + std::to_string(id) + ": ";
  if (finished_.contains(id)) errors_.push_back(what + "a stage after its end");
  std::vector<std::pair<Stage, MonoTime>>& stages = stages_[id];
  if (!stages.empty() && stages.back().first >= stage) errors_.push_back(what + "went back");
  stages.emplace_back(stage, time);
}

void RecordingReporter::Finish(CommandId id, absl::Status status, std::vector<ItemId> read_back,
                               Arguments results) {
  const auto [it, first] = finished_.try_emplace(
      id, Finished{std::move(status), std::move(read_back), std::move(results)});
  if (!first) errors_.push_back("command " + std::to_string(id) + ": finished twice");
}

const RecordingReporter::Finished* RecordingReporter::finished(CommandId id) const {
  const auto it = finished_.find(id);
  return it == finished_.end() ? nullptr : &it->second;
}

std::vector<Stage> RecordingReporter::stages(CommandId id) const {
  std::vector<Stage> stages;
  const auto it = stages_.find(id);
  if (it == stages_.end()) return stages;
  for (const auto& [stage, time] : it->second) stages.push_back(stage);
  return stages;
}

std::optional<MonoTime> RecordingReporter::reached(CommandId id, Stage stage) const {
  const auto it = stages_.find(id);
  if (it == stages_.end()) return std::nullopt;
  for (const auto& [s, time] : it->second) {
    if (s == stage) return time;
  }
  return std::nullopt;
}

// ---------------------------------------------------------------- alarms, log

void RecordingAlarms::Raise(std::string_view code, AlarmSeverity severity, std::string_view text) {
  Alarm& alarm = alarms_[std::string(code)];
  alarm.severity = severity;
  alarm.text = std::string(text);
  alarm.active = true;
  ++alarm.raised;
}

void RecordingAlarms::Clear(std::string_view code) {
  const auto it = alarms_.find(code);
  if (it != alarms_.end()) it->second.active = false;
}

bool RecordingAlarms::active(std::string_view code) const {
  const auto it = alarms_.find(code);
  return it != alarms_.end() && it->second.active;
}

void RecordingLog::Log(LogLevel level, std::string_view text) {
  lines_.emplace_back(level, std::string(text));
}

void RecordingLog::CountBadFrame(std::string_view reason, std::string_view text) {
  ++bad_frames_[std::string(reason)];
  last_bad_frame_ = std::string(text);
}

int RecordingLog::bad_frames(std::string_view reason) const {
  const auto it = bad_frames_.find(reason);
  return it == bad_frames_.end() ? 0 : it->second;
}

// ---------------------------------------------------------------- other devices, memory

std::optional<OtherReading> SettableReadings::Read(std::string_view name) const {
  const auto it = readings_.find(name);
  if (it == readings_.end()) return std::nullopt;
  return it->second;
}

std::optional<std::string> RecordingMemory::Get(std::string_view key) const {
  const auto it = values_.find(key);
  if (it == values_.end()) return std::nullopt;
  return it->second;
}

void RecordingMemory::Put(std::string_view key, std::string_view value,
                          std::function<void(absl::Status)> done) {
  values_[std::string(key)] = std::string(value);
  if (!done) return;
  if (at_once_) return done(absl::OkStatus());
  waiting_.push_back(std::move(done));
}

void RecordingMemory::Saved(const absl::Status& status) {
  for (const auto& done : std::exchange(waiting_, {})) done(status);
}

// ---------------------------------------------------------------- turn

bool SettableTurn::Want(int rank) {
  if (held_) return true;
  if (taken_) {
    wanted_ = rank;
    return false;
  }
  held_ = true;
  ++turns_;
  return true;
}

void SettableTurn::Release() {
  held_ = false;
  wanted_.reset();
}

bool SettableTurn::Free() {
  taken_ = false;
  return std::exchange(wanted_, std::nullopt) && Want(0);
}

// ---------------------------------------------------------------- DriverHarness

DriverHarness::DriverHarness(DeviceConfig device_config, BusInfo info)
    : config(std::move(device_config)), bus_info(std::move(info)) {}

DriverContext DriverHarness::Context(FrameSender& sender) {
  return {config,   bus_info, clock, timers,   sender, state,
          commands, alarms,   log,   readings, memory, turn};
}

SimulatorContext DriverHarness::ForSimulator(uint64_t seed) {
  return {config, clock, timers, bus, seed};
}

void DriverHarness::Advance(Duration by) {
  const MonoTime end = clock.Now() + by;
  MonoTime next = timers.RunDue(clock.Now());
  while (next <= end) {
    clock.AdvanceTo(next);
    next = timers.RunDue(clock.Now());
  }
  clock.AdvanceTo(end);
}

void DriverHarness::ReportTx(Driver& driver, TxOutcome outcome) {
  for (const uint64_t tag : bus.TakeTags()) driver.OnTxReport({tag, outcome, clock.Now()});
}

Command DriverHarness::Write(std::string_view item, Value value, Stage wait_for,
                             Duration deadline) {
  return Writes({{state.Id(item), std::move(value)}}, wait_for, deadline);
}

Command DriverHarness::Writes(std::vector<ItemWrite> writes, Stage wait_for, Duration deadline) {
  Command command;
  command.id = ++last_command_;
  command.what = std::move(writes);
  command.wait_for = wait_for;
  command.guard = std::make_shared<const CommandGuard>(clock.Now() + deadline);
  return command;
}

Command DriverHarness::Action(std::string_view name, Arguments arguments, Stage wait_for,
                              Urgency urgency, Duration deadline) {
  Command command;
  command.id = ++last_command_;
  command.what = ActionCall{std::string(name), std::move(arguments)};
  command.wait_for = wait_for;
  command.urgency = urgency;
  command.guard = std::make_shared<const CommandGuard>(clock.Now() + deadline);
  return command;
}

}  // namespace canhub
