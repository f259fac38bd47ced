// What a command means for a device, before anything is sent: frames, proofs, and what to wait for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/api/driver.h"
#include "drivers/iseg/device_image.h"
#include "drivers/iseg/settings.h"
#include "drivers/iseg/transaction_queue.h"

namespace canhub::iseg {

struct PlannedWrite {
  CanFrame frame;
  std::string text;  // "ch3.voltage_set = 1500": for the report of half-done commands
  Duration at{};     // after the first; for sequences in time
};

// Reads an item back. With `expected`: must be equal, as binary32 for numbers; for registers only
// in the bits of `mask`.
struct Proof {
  ItemId item = 0;
  std::optional<Value> expected = std::nullopt;
  uint32_t mask = ~uint32_t{0};
  double tolerance = 0;  // numbers only
};

struct Goal {
  enum class Kind : uint8_t {
    kVoltage,      // on, ramp ended, measured near the set voltage
    kOff,          // off, ramp ended, measured near 0
    kSafeToTouch,  // off and below 63 V
  };
  int channel = 0;
  Kind kind = Kind::kVoltage;
};

// A register of the device, or of one of its channels (-1: none).
using Target = std::pair<uint16_t, int>;

inline constexpr uint64_t kAllChannels = ~uint64_t{0};

struct CommandPlan {
  // Read anew before `compose` decides.
  std::vector<ItemId> reads_first;
  // Checks the command with what is known now, and fills in all that follows. A refusal has sent
  // nothing. Empty: the plan is complete.
  std::function<absl::Status(CommandPlan&)> compose;

  std::vector<PlannedWrite> writes;
  // Planned and written again when a proof fails (emergency off and its kin).
  bool insist = false;
  Duration pause{};  // between the last write and the first proof
  std::vector<Proof> proofs;
  std::vector<Goal> goals;
  // Ends only at its goals, whatever the caller waits for.
  bool always_settle = false;
  // An exchange without item, instead of writes and proofs.
  std::optional<ReadRequest> raw_read;
  // Fills in the results once all is proven; an error fails the command.
  std::function<absl::Status(Arguments& results)> conclude;
  // Not OK: the frames are sent, but nothing can prove what they did; the command ends with this.
  absl::Status unverified;

  std::vector<ItemId> read_back;  // for the receipt
  // A newer command with one of these replaces this one.
  std::set<Target> targets;
  // Channels it acts on, for safe actions that overtake it.
  uint64_t channels = kAllChannels;
  // Values that it may have changed beside those it proves.
  bool changes_set_values = false;
};

inline uint64_t ChannelBits(int channel) {
  return channel < 0 ? kAllChannels : uint64_t{1} << channel;
}

// Makes plans. On the actor's thread; everything outlives it.
class CommandPlanner {
 public:
  CommandPlanner(const Settings& settings, const DeviceConfig& config, const DeviceImage& image);

  absl::StatusOr<CommandPlan> Plan(const Command& command);

  // Channels that a command under way cuts off: 0x4001 = 0 would release them (section 15.4), so no
  // other command may write it, although their status does not show the lock yet.
  void LockEmergencyOff(uint64_t channels) { locked_ |= channels; }
  void UnlockEmergencyOff(uint64_t channels) { locked_ &= ~channels; }
  bool InEmergencyOff(int channel) const;

  // Within this of the set voltage, a channel has settled; nullopt: nominal not read.
  std::optional<double> SettleTolerance(int channel) const;

 private:
  using Result = absl::StatusOr<CommandPlan>;

  // item_commands.cc
  Result PlanWrites(const std::vector<ItemWrite>& writes);
  absl::Status CheckWritable(const ItemWrite& write) const;
  absl::Status ComposeWrites(CommandPlan& plan, const std::vector<ItemWrite>& writes) const;
  absl::Status ComposeRegister(CommandPlan& plan, const ItemWrite& write) const;
  absl::Status CheckValue(int channel, ItemId item, const Value& value) const;
  absl::Status CheckVoltage(int channel, double volt) const;
  absl::Status CheckCurrent(int channel, double ampere) const;
  // The module's own limit of a channel, in percent of nominal: of the module, or of the channel
  // where the firmware has them so; infinite where it has none.
  absl::StatusOr<double> ModuleLimit(int channel, std::string_view name) const;
  absl::Status CheckModuleRamp(double percent) const;
  absl::Status CheckChannelRamp(int channel, std::string_view what, double volt_per_s) const;
  enum class Direction : uint8_t { kUp, kDown };
  absl::Status CheckRampInForce(int channel, Direction direction) const;
  absl::Status CheckIdle(int channel, std::string_view what) const;

  // switch_commands.cc
  Result PlanSwitch(uint64_t channels, bool on);
  Result PlanEmergencyOff(uint64_t channels);
  Result PlanRelease(uint64_t channels);
  Result PlanRampDown();
  Result PlanPrepareRemoval();
  absl::Status ComposeOn(CommandPlan& plan, uint64_t channels) const;
  void ComposeOff(CommandPlan& plan, uint64_t channels, Goal::Kind goal) const;
  absl::Status CheckMayGoOn(int channel) const;
  absl::Status CheckModuleMayGoOn() const;

  // action_commands.cc
  Result PlanAction(const ActionCall& action);
  Result PlanClearEvents(std::optional<int> channel);
  Result PlanClearCrate();
  Result PlanSetRamp(const Arguments& arguments, std::optional<int> channel);
  Result PlanControlBit(int bit, const char* text, bool only_when_off);
  Result PlanReset(bool set_values_only);
  Result PlanLiveInsertion(bool on);
  Result PlanRestartScan();
  Result PlanRawExchange(const Arguments& arguments);
  Result PlanCratePower(bool on, bool force);
  absl::Status CheckAllOff(std::string_view what) const;
  std::string StillActive(int channel) const;

  // Shared.
  absl::StatusOr<std::optional<int>> ChannelArgument(const Arguments& arguments) const;
  uint64_t KnownChannels() const;
  std::vector<ItemId> ItemsOfChannels(uint64_t channels,
                                      std::initializer_list<const char*> names) const;
  void AddDevice(std::vector<ItemId>& items, std::initializer_list<const char*> names) const;
  // False: the firmware has told that it lacks the item.
  bool Available(ItemId item) const;
  absl::StatusOr<double> Known(int channel, std::string_view name) const;
  std::string Name(int channel, std::string_view name) const;
  void AddControl(CommandPlan& plan, int channel, uint16_t value, const std::string& text) const;
  absl::Status AddWrite(CommandPlan& plan, ItemId item, const Value& value,
                        const std::string& text) const;
  absl::Status Refuse(absl::StatusCode code, std::string_view reason, const std::string& text,
                      std::map<std::string, std::string> fields = {}) const;

  const Settings settings_;
  const DeviceConfig& config_;
  const DeviceImage& image_;
  uint64_t locked_ = 0;
};

// "1500", "0.00005": the shortest form that reads back equal.
std::string FormatNumber(double value);

}  // namespace canhub::iseg
