// What the simulation must know of a family of devices. A family joins by one file that makes a
// Family, and one line in families.cc; nothing else here names a family.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/core/command_gate.h"
#include "daemon/core/state_cache.h"
#include "drivers/api/can_frame.h"
#include "drivers/api/driver.h"
#include "tests/simulation/random.h"

namespace canhub::simulation {

class Family;

// One device of a lab.
struct PlannedDevice {
  std::string id;
  std::string bus;
  std::string yaml;      // its keys beside driver, bus and simulate: "address: 3, poll: 5 s"
  uint32_t address = 0;  // as the family's reader tells it
  int channels = 0;
  // The longest time between two questions to a living device, as configured.
  Duration poll{};
  const Family* family = nullptr;  // whoever plans a lab sets it
};

// What one frame means, by a reader that was written from the facts and shares nothing with the
// driver's codec.
struct FrameMeaning {
  enum class Kind : uint8_t {
    kForeign,       // nothing of this family
    kQuestion,      // asks; changes nothing
    kSession,       // keeps a device on the line; sets nothing
    kAct,           // acts on a device, or on all of the line
    kAnswer,        // a device's word on one register
    kAnnouncement,  // a device says that it is there
  };
  Kind kind = Kind::kForeign;
  uint32_t address = 0;
  bool whole_line = false;
  uint32_t what = 0;       // register
  int channel = -1;        // -1: of the device
  bool malformed = false;  // an answer that no device would give: its length, a value that is none
};

using Act = std::variant<std::vector<NamedWrite>, ActionCall>;

class Family {
 public:
  virtual ~Family() = default;
  virtual const DriverInfo& driver() const = 0;
  // No run of this family is longer: one whose devices talk all the time has many frames an hour.
  virtual Duration LongestRun() const { return std::chrono::hours(48); }
  // Devices for a lab with these buses, a few on each. `poll`: how often devices are asked.
  virtual std::vector<PlannedDevice> PlanDevices(Random& random,
                                                 const std::vector<std::string>& buses,
                                                 Duration poll) const = 0;

  virtual FrameMeaning Read(const CanFrame& frame, bool from_daemon) const = 0;
  // The register and channel that a reading comes from; nullopt for what the driver computes.
  virtual std::optional<std::pair<uint32_t, int>> Origin(const ItemTable& items,
                                                         ItemId item) const = 0;
  // From a reading to the end of GOOD, at most: what the family's README states, with the periods
  // that this device is polled in. nullopt: no bound stated.
  virtual std::optional<Duration> GoodFor(uint32_t what, const DeviceSnapshot& device) const = 0;

  // Whether anything that a client asks for is a frame: a battery is only watched.
  virtual bool Acts() const { return true; }
  // Something that a client would do; not always wise, not always allowed.
  virtual Act MakeAct(Random& random, const PlannedDevice& device) const = 0;
  // A set-point within everybody's limits, and one that must be refused.
  virtual Act MakeSetting(Random& random, const PlannedDevice& device) const = 0;
  virtual Act MakeForbidden(Random& random, const PlannedDevice& device) const = 0;
  // The first frame that it is; nullopt when the family's reader does not know.
  virtual std::optional<CanFrame> FrameOf(const Act& act, const PlannedDevice& device) const = 0;
  // How often this frame may go out for this act; 0: it is no part of it.
  virtual int Allows(const Act& act, const PlannedDevice& device, const CanFrame& frame) const = 0;
  // What stops everything at once, and what leaves it again.
  virtual ActionCall EmergencyOff() const = 0;
  virtual std::vector<Act> Recovery(const PlannedDevice& device) const = 0;
  // An item that changes by itself, for watchers.
  virtual std::string LiveItem(const PlannedDevice& device) const = 0;
  // A frame that a person with a CAN tool might send.
  virtual CanFrame MakeRawFrame(Random& random, const PlannedDevice& device) const = 0;

  struct Fault {
    std::string name;
    Arguments arguments;
  };
  virtual Fault MakeFault(Random& random, const PlannedDevice& device) const = 0;
  // The fault that makes a device mute.
  virtual Fault Silence() const = 0;
  // Faults that make its answers malformed.
  virtual Fault Malformation(Random& random) const = 0;
};

// The one list of families.
std::span<const Family* const> Families();

}  // namespace canhub::simulation
