// Notifications of a unit as alarms (section 8).
#pragma once

#include <optional>
#include <string>

#include "drivers/api/driver.h"
#include "drivers/studer/codec.h"
#include "drivers/studer/settings.h"
#include "drivers/studer/unit_items.h"

namespace canhub::studer {

// A message says that something happened; only of a few pairs another one says that it is over.
// The alarm "message.<number>" of a pair stays active until then; any other is raised and cleared
// at once, and stays until it is acknowledged.
class Messages {
 public:
  // All outlive it.
  Messages(const DriverContext& context, const Settings& settings, const UnitItems& items)
      : context_(context), settings_(settings), items_(items) {}

  void OnMessage(uint16_t number, uint32_t value, MonoTime time);
  // The items again: what was said does not end with the unit's answers.
  void Publish();
  // Whether a unit that says so has lost what was in its RAM.
  static bool TellsOfRestart(uint16_t number);

 private:
  const DriverContext context_;
  const Settings& settings_;
  const UnitItems& items_;
  std::optional<uint16_t> last_;
  std::string last_text_;
  MonoTime last_time_{};
};

}  // namespace canhub::studer
