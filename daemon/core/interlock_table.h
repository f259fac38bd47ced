// Interlocks as the rest of the daemon sees them. Implemented in daemon/safety/.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/access.h"
#include "daemon/core/alarm_book.h"
#include "daemon/core/gate_impl.h"
#include "daemon/core/safety_device.h"
#include "daemon/core/state_cache.h"
#include "daemon/core/store_api.h"
#include "drivers/api/bus.h"
#include "drivers/api/levels.h"
#include "drivers/api/step.h"

namespace canhub {

class DeviceValues;

// Of the whole lab; the numbers are those of battery safety facts, section 5.4.
enum class SafetyState : uint8_t {
  kInit = 0,       // something that an interlock needs has not been read yet
  kNormal = 1,     //
  kWarning = 2,    // a level, or an interlock of this severity
  kDangerous = 3,  // an interlock has tripped, and it is not known to be safe yet
  kSecurity = 4,   // an interlock holds, and all that it does is done and verified
  kPrecharge = 5,  // what the configuration calls so
};

// Why an interlock holds: one of the readings behind it.
struct InterlockCause {
  std::string condition;                   // "level cells is dangerous", as it was configured
  std::string subject;                     // "bat0/module3.cell7_voltage"
  std::string found;                       // "4.21 V", "STALE, last 4.21 V", "bus-off"
  std::optional<MonoTime> time;            // of the reading
  std::string ToText(MonoTime now) const;  // "…: … is 4.21 V, 12 ms old"
};

enum class InterlockState : uint8_t {
  kClear,
  kSettling,  // something it needs was not read since the start: refuses, but does not act
  kTripped,   // its condition holds, or is unknown
  kLatched,   // its condition is over; it must be acknowledged
};
std::string_view ToString(InterlockState state);  // "clear", …

struct InterlockStepInfo {
  // kSkipped: its `if` was not so, or another interlock has the device.
  enum class State : uint8_t { kIdle, kRunning, kDone, kFailed, kSkipped };
  std::string text;  // "pcs1/stop", "pcs1/current_setpoint = 2 A", "on_clear fan/on = false"
  State state = State::kIdle;
  std::string problem;  // why it failed
};

struct InterlockInfo {
  std::string id, description;
  std::string condition;  // as it was configured
  InterlockState state = InterlockState::kClear;
  Level severity = Level::kDangerous;
  bool latching = true;
  std::vector<InterlockCause> causes;  // of the trip; the newest while it is tripped
  std::optional<MonoTime> tripped;     // since when it holds
  std::vector<InterlockStepInfo> steps;
  bool complete = false;             // what it does is done, and verified now
  std::vector<std::string> refuses;  // "pcs1", "hv0/ch3.on"
  uint64_t trips = 0;                // since the daemon started
};

struct LevelInfo {
  std::string id;
  Level level = Level::kNormal;
  std::string worst;  // "bat0/module3.cell7_voltage is 4.11 V"; "" while normal
};

// Thread-safe. RunUntil is urgent: a safe action waits for it.
class InterlockTable : public Steppable, public InterlockAuthority {
 public:
  // Whether anything is refused at all; costs a load.
  virtual bool refuses() const = 0;
  virtual SafetyState state() const = 0;
  // In the order of the configuration.
  virtual std::vector<InterlockInfo> List() const = 0;
  virtual std::vector<LevelInfo> Levels() const = 0;
  // Lets go of a latched interlock, or of one whose end does not work. NOT_FOUND;
  // PERMISSION_DENIED; FAILED_PRECONDITION: it is not latched, its condition holds, a level of it
  // is not normal, its sequence is under way, or it is a danger whose shutdown is incomplete: known
  // not to be so, or not seen and not answered for (the role engineer, with a comment).
  virtual absl::StatusOr<InterlockInfo> Acknowledge(const Caller& caller, const std::string& id,
                                                    const std::string& comment) = 0;
};

// All outlive the table. `alarms`, `audit` and `clock` also outlive the last callback of an actor.
struct InterlockDependencies {
  const Clock* clock = nullptr;
  StateCache* cache = nullptr;
  std::unique_ptr<DeviceWriter> writer;  // of its own items
  HubGate* gate = nullptr;
  AlarmBook* alarms = nullptr;
  AuditLog* audit = nullptr;
  DeviceValues* values = nullptr;  // what is latched outlives the daemon
  std::vector<std::pair<std::string, CanBus*>> buses;
  std::map<std::string, std::string> bus_of;  // by device
};
using InterlockFactory =
    std::function<std::unique_ptr<InterlockTable>(InterlockDependencies dependencies)>;

}  // namespace canhub
