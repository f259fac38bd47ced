// Writes to flash, counted for ever per parameter: a cell is guaranteed for 1000 of them (section
// 7). A write is counted on disk before it is sent, so that no crash makes it uncounted (S11).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "drivers/api/driver.h"
#include "drivers/studer/settings.h"
#include "drivers/studer/unit_items.h"

namespace canhub::studer {

class FlashWear {
 public:
  // Share of the guarantee at which an alarm is raised.
  static constexpr int64_t kWarning = kGuaranteedFlashWrites / 2;
  static constexpr int64_t kCritical = kGuaranteedFlashWrites * 8 / 10;

  // All outlive it. `items` are the device's.
  FlashWear(const DriverContext& context, const Settings& settings, const UnitItems& items);

  // Reads what is kept; publishes and raises what follows from it.
  void Start();
  int64_t Count(uint16_t id) const;
  // RESOURCE_EXHAUSTED beyond the cap.
  absl::Status Check(const Entry& entry) const;
  // Counts one write; `done` once that is on disk.
  void Add(const Entry& entry, std::function<void(absl::Status)> done);

  // The items again: they do not end with the unit's answers.
  void Publish();

 private:
  void RaiseAlarm(const Entry& entry);

  const DriverContext context_;
  const Settings& settings_;
  const UnitItems& items_;
  std::map<uint16_t, int64_t> counts_;
};

}  // namespace canhub::studer
