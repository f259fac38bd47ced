// What simulated devices of one lab do to each other beside the bus: the current of a converter
// flows through a battery.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "drivers/api/mutex.h"

namespace canhub {

// Quantities by name, "<device>/<quantity>", in SI units; the newest value of each. Simulators of
// different lines run on different threads: thread-safe.
class SimulatedWorld {
 public:
  void Put(std::string_view device, std::string_view quantity, double value) {
    MutexLock lock(&mutex_);
    values_[std::string(device) + "/" + std::string(quantity)] = value;
  }
  // nullopt: nobody has told it yet, or `name` is "".
  std::optional<double> Get(std::string_view name) const {
    MutexLock lock(&mutex_);
    const auto found = values_.find(name);
    return found == values_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, double, std::less<>> values_ ABSL_GUARDED_BY(mutex_);
};

// Names that more than one family uses.
namespace simulated {
inline constexpr char kDcCurrent[] = "dc_current";           // A, positive out of the battery
inline constexpr char kDcOpenVoltage[] = "dc_open_voltage";  // V, of a battery without current
}  // namespace simulated

}  // namespace canhub
