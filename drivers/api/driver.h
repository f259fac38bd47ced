// The contract between a driver and the daemon.
//
// A driver is a passive state machine for one device: frames, ticks, commands and bus states in;
// frames and readings out. It has no thread, no lock, no clock of its own and does no I/O. All its
// methods run on its actor's thread; it must return within a millisecond and never block.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/api/can_bus.h"
#include "drivers/api/items.h"
#include "drivers/api/simulated_world.h"
#include "drivers/api/timers.h"
#include "drivers/api/turn.h"

namespace canhub {

// ---------------------------------------------------------------- commands

struct ItemWrite {
  ItemId item = 0;
  Value value;
};
using Arguments = std::vector<std::pair<std::string, Value>>;
// nullptr when absent.
const Value* FindArgument(const Arguments& arguments, std::string_view name);

// A named act that is not the setting of an item: "emergency_off", "prepare_removal".
struct ActionCall {
  std::string name;
  Arguments arguments;
};

// Stages in order; a command never goes back.
enum class Stage : uint8_t { kAccepted, kSent, kOnWire, kConfirmed, kSettled };
std::string_view ToString(Stage stage);

using CommandId = uint64_t;

// What the gate let through. Types, the item's range and the configured limits have been checked.
struct Command {
  CommandId id = 0;
  std::variant<std::vector<ItemWrite>, ActionCall> what;
  // The stage the caller waits for: kSent, kConfirmed or kSettled. The driver may stop working on
  // the command after it reported that stage, but must still watch for what it must always watch.
  Stage wait_for = Stage::kConfirmed;
  Urgency urgency = Urgency::kCommand;        // kSafe for safe actions and emergency off
  std::shared_ptr<const CommandGuard> guard;  // to be put into every frame of this command
  // The table that the ids of `what` belong to. The actor ends the command, unsent, when the device
  // has another one by then: its numbers mean other items.
  std::shared_ptr<const ItemTable> items = nullptr;
};

// ---------------------------------------------------------------- what a driver is given

enum class LinkState : uint8_t { kSearching, kIdentifying, kOnline, kLost, kBusDown, kUnsupported };
std::string_view ToString(LinkState state);

// Publishes readings. Everything set during one call of the driver becomes visible at once.
class StatePublisher {
 public:
  virtual ~StatePublisher() = default;
  // A new set of items; all readings are NEVER_READ again. Ids of the old table are void.
  virtual void SetItems(std::shared_ptr<const ItemTable> table) = 0;
  // A good reading, GOOD until `good_for` from `time` has passed (S03). Not for flags of a
  // register.
  virtual void Set(ItemId item, Value value, MonoTime time, Duration good_for) = 0;
  // The reading is not good any more; its last good value stays, as history.
  virtual void Invalidate(ItemId item, Quality quality) = 0;
  // All readings.
  virtual void InvalidateAll(Quality quality) = 0;
  // What stands there now, with everything set so far; flags follow their register. A driver needs
  // no copy of its own.
  virtual Reading Pending(ItemId item) const = 0;
  // Narrows what may be written, for one item of this device; sign-free bound on the magnitude when
  // minimum is unset and maximum is set on a number.
  virtual void SetRange(ItemId item, std::optional<double> minimum,
                        std::optional<double> maximum) = 0;
  virtual void SetLink(LinkState state, std::string_view text) = 0;
  // True once everything polled has been read since the link came up.
  virtual void SetPolled(bool polled) = 0;
  // "serial_number" → "5710234".
  virtual void SetIdentity(std::string_view key, std::string_view value) = 0;
};

// Tells what becomes of commands. Each command gets exactly one Finish.
class CommandReporter {
 public:
  virtual ~CommandReporter() = default;
  virtual void Reached(CommandId id, Stage stage, MonoTime time) = 0;
  // Ends the command. OK requires that wait_for was reached. `read_back`: what the device reports.
  // `results`: values for the caller, by name (an action's answer).
  virtual void Finish(CommandId id, absl::Status status, std::vector<ItemId> read_back = {},
                      Arguments results = {}) = 0;
};

enum class AlarmSeverity : uint8_t { kInfo = 1, kWarning = 2, kCritical = 3 };

// Alarms of this device, by code ("ch3.trip"). Raising an active alarm again changes nothing but
// its text; Clear ends the condition, the alarm stays until it is acknowledged.
class AlarmSink {
 public:
  virtual ~AlarmSink() = default;
  virtual void Raise(std::string_view code, AlarmSeverity severity, std::string_view text) = 0;
  virtual void Clear(std::string_view code) = 0;
};

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarning, kError };

class DeviceLog {
 public:
  virtual ~DeviceLog() = default;
  // The device's id is added.
  virtual void Log(LogLevel level, std::string_view text) = 0;
  // A frame that was wrong and changed nothing. `reason` is one of a few stable words
  // ("short_frame", "not_finite"); the text describes it.
  virtual void CountBadFrame(std::string_view reason, std::string_view text) = 0;
  virtual void CountTimeout() = 0;
};

// What another device reports now.
struct OtherReading {
  Quality quality = Quality::kNeverRead;
  Value value;  // set only when quality is kGood
  std::string unit;
  MonoTime read_time{};
};

// The readings of all devices, as everybody sees them.
class ReadingSource {
 public:
  virtual ~ReadingSource() = default;
  // `name`: "bat0/pack.voltage", as a parameter of type kItem holds it. Never blocks. nullopt:
  // there is no such device, or it has no such item now (a device has none before it is
  // identified).
  virtual std::optional<OtherReading> Read(std::string_view name) const = 0;
};

// What a driver wants to find again after a restart, its own or the daemon's: few short values, by
// key ("self_start", "flash.1107"). For what cannot be read back from the device.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  // The newest that was put, on disk or not yet. Never blocks.
  virtual std::optional<std::string> Get(std::string_view key) const = 0;
  // Returns at once. `done` is called on the actor's thread, later: OK once the value is on disk,
  // where neither kill -9 nor power loss takes it any more (S11). Not called after the driver
  // ended.
  virtual void Put(std::string_view key, std::string_view value,
                   std::function<void(absl::Status)> done = nullptr) = 0;
};

// Checked configuration of one device.
struct DeviceConfig {
  std::string id;  // "hv0"
  std::map<std::string, Value, std::less<>>
      parameters;  // DriverInfo::parameters, defaults filled in
  std::map<std::string, double, std::less<>>
      limits;  // DriverInfo::limits that were given, in their unit
  // Where a limit stands, for error texts: "lab.yaml:41, devices.hv0.limits.voltage".
  std::map<std::string, std::string, std::less<>> limit_origins;
  // What the files that parameters name hold, by parameter. Drivers open none.
  std::map<std::string, std::shared_ptr<const std::string>, std::less<>> files = {};

  const Value& Parameter(std::string_view name) const;  // requires that it is declared
};

struct BusInfo {
  std::string id;
  uint32_t bitrate = 125000;
  // The share of the line's time that this device's polling may take, 0 … 1. All devices' shares
  // of a bus add up to its configured max_load.
  double poll_share = 0.5;
  bool simulated = false;
};

// All references outlive the driver.
struct DriverContext {
  const DeviceConfig& config;
  BusInfo bus_info;
  const Clock& clock;
  Timers& timers;
  FrameSender& bus;
  StatePublisher& state;
  CommandReporter& commands;
  AlarmSink& alarms;
  DeviceLog& log;
  const ReadingSource& readings;
  DeviceMemory& memory;
  // Always this device's where the family has no DriverInfo::turn_group.
  Turn& turn;
};

// ---------------------------------------------------------------- the driver

class Driver {
 public:
  virtual ~Driver() = default;
  // Called once, first. May send only what reads or logs on, never what sets (S01).
  virtual void Start() = 0;
  // A frame that passed the filters; never an own one.
  virtual void OnFrame(const RxFrame& frame) = 0;
  // What became of a frame sent with a tag.
  virtual void OnTxReport(const TxReport& report) = 0;
  // Called on every change, and once before Start with the state then. On kBusOff, kDown and
  // kUnplugged the driver must finish every command under way with UNAVAILABLE and forget it (S02).
  virtual void OnBusState(BusState state) = 0;
  // Carries out a command, or refuses it with Finish. Commands of urgency kSafe come first and end
  // those they overtake with ABORTED.
  virtual void Execute(Command command) = 0;
  // Stop working on the command (lease lost, deadline passed, overtaken): send nothing more for it
  // and Finish it with `why`, extended by what had been done already (S08). Unknown ids are
  // ignored.
  virtual void Cancel(CommandId id, absl::Status why) = 0;
  // Read these items from the device now, then call `done` on this thread.
  virtual void Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) = 0;
  // The limits were changed by a reload; config has the new ones.
  virtual void OnLimitsChanged() {}
  // The turn that was asked for has come.
  virtual void OnTurn() {}
};

// ---------------------------------------------------------------- the simulator

// The device side of a driver's protocol: also a passive state machine, on the line's thread.
struct SimulatorContext {
  const DeviceConfig& config;
  const Clock& clock;
  Timers& timers;
  FrameSender& bus;
  uint64_t seed = 1;  // noise repeats with it
  // Shared with the other simulated devices of the lab; nullptr: there are none.
  SimulatedWorld* world = nullptr;
};

struct FaultSpec {
  const char* name;
  const char* description;
  // "channel" → "0 …, needed".
  std::vector<std::pair<const char*, const char*>> parameters;
};

class Simulator {
 public:
  virtual ~Simulator() = default;
  virtual void Start() = 0;
  // Every frame on the line but its own.
  virtual void OnFrame(const RxFrame& frame) = 0;
  virtual absl::Status InjectFault(std::string_view fault, const Arguments& parameters) = 0;
  // "" means all. Returns how many were in force; NOT_FOUND for an unknown name.
  virtual absl::StatusOr<int> ClearFaults(std::string_view fault) = 0;
  virtual std::vector<std::pair<std::string, Arguments>> ActiveFaults() const = 0;
  // The load behind an output; UNIMPLEMENTED where there is none.
  virtual absl::Status SetLoad(std::optional<int> channel, std::optional<double> resistance_ohm,
                               std::optional<double> capacitance_f) = 0;
};

// ---------------------------------------------------------------- what a driver is

enum class ParameterType : uint8_t {
  kFlag,
  kInteger,
  kNumber,
  kDuration,
  kText,
  kChoice,
  kItem,
  kFile
};

// A key of a device's YAML. A duration's Value is a number of seconds. A kItem is the name of an
// item of another device, "bat0/pack.voltage"; the configuration has checked that there is the
// device, ReadingSource tells whether it has the item. A kFile is a path; what the file holds is in
// DeviceConfig::files.
struct ParameterSpec {
  const char* name;
  ParameterType type;
  const char* unit = "";               // the unit a kNumber must be written with; "" for none
  const char* default_text = nullptr;  // as it would stand in the YAML; nullptr: the key is needed
  std::optional<double> minimum = std::nullopt;
  std::optional<double> maximum = std::nullopt;
  std::vector<const char*> choices = {};
  const char* description = "";
  // "none" may be written, too; the Value is kNone then.
  bool may_be_none = false;
};

// A key below `limits:`.
struct LimitSpec {
  const char* name;  // "voltage"
  const char* unit;  // "V"
  double maximum;    // no limit can be set above this
  const char* description;
};

struct ActionArgument {
  const char* name;
  ValueType type;
  bool needed;
  const char* description;
  const char* unit = "";
  // Name of the configured limit (DriverInfo::limits) that bounds its magnitude; "" for none.
  const char* limit = "";
};

// A code by which a device says what is wrong with it.
struct FaultCode {
  int code;
  const char* meaning;  // "battery voltage too high"
  const char* trigger;  // when it comes, where known; "" otherwise
  const char* remedy;   // what to do about it
  const char* group;    // "grid"
};

// Something that devices of a family can have, whether one of them is configured or not.
struct CatalogueHit {
  std::string unit;  // the kind of device: "xtender"
  std::string id;    // the vendor's: "3000"
  std::string item;  // its item there: "battery_voltage"
  std::string title;
  std::string measure;  // "V"; "" for none
  std::string description;
  bool writable = false;
  std::optional<double> default_value = std::nullopt, minimum = std::nullopt,
                        maximum = std::nullopt;
  std::span<const ValueLabel> labels = {};
};

enum class Role : uint8_t { kNone, kViewer, kOperator, kEngineer };
std::string_view ToString(Role role);

struct ActionSpec {
  const char* name;
  Role role;  // the least role that may call it
  bool safe;  // may serve as safe action: needs no arguments, urgency kSafe, no lease needed
  const char* description;
  std::vector<ActionArgument> arguments = {};
};

// Static description of a family, one per entry of drivers/all_drivers.cc.
struct DriverInfo {
  const char* name;  // "iseg": the YAML's `driver:`
  const char* kind;  // "high_voltage"
  const char* description;
  std::vector<ParameterSpec> parameters;
  std::vector<LimitSpec> limits;
  std::vector<ActionSpec> actions;
  const char* default_safe_action;  // of on_lease_lost
  std::vector<FaultSpec> faults;
  // Cross-checks of parameters and limits; the text says found and expected. May be nullptr.
  absl::Status (*check)(const DeviceConfig&);
  // "3": the device's address for lists, and a key that must be unique on a bus.
  std::string (*address)(const DeviceConfig&);
  std::vector<CanFilter> (*filters)(const DeviceConfig&);
  std::unique_ptr<Driver> (*create)(DriverContext);
  std::unique_ptr<Simulator> (*create_simulator)(SimulatorContext);
  std::vector<FaultCode> fault_codes = {};  // those that are known, in their order
  // Devices of one bus with the same group share a gateway and take turns (ADR 0007). nullptr:
  // none.
  std::string (*turn_group)(const DeviceConfig&) = nullptr;
  // What words find in the family's catalogue, best first. nullptr: it has none.
  std::vector<CatalogueHit> (*search)(std::string_view words) = nullptr;
  // Every item that a device of this (checked) configuration can have, at the least: what rules
  // over them are checked against before anything runs. nullptr: no rule can name its items.
  std::shared_ptr<const ItemTable> (*items)(const DeviceConfig&) = nullptr;
};

}  // namespace canhub
