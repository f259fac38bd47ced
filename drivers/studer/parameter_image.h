// What is known of one unit's parameters, and its publication as items.
#pragma once

#include <map>
#include <set>

#include "drivers/api/driver.h"
#include "drivers/studer/settings.h"
#include "drivers/studer/unit_items.h"

namespace canhub::studer {

// RAM cannot be read (section 3.1): what this daemon wrote there is remembered until the unit
// restarts, is lost, or a write's fate is not known.
class ParameterImage {
 public:
  // All outlive it.
  ParameterImage(const DriverContext& context, const Settings& settings, const UnitItems& items)
      : context_(context), settings_(settings), items_(items) {}

  // The ranges of this kind of battery and mains.
  void Start();

  void OnInfo(const Entry& entry, float wire, MonoTime time);
  void OnFlashRead(const Entry& entry, float wire, MonoTime time);
  // A unit that has no such object, or no value of it now.
  void OnNoValue(const Entry& entry);
  void OnBounds(const Entry& entry, double minimum, double maximum);
  void OnWritten(const Entry& entry, const Value& value, Part part, MonoTime time);
  // A write that may or may not have been done.
  void OnUncertain(const Entry& entry);
  void ForgetRam();

  // What was written to RAM last; nullptr: nothing that is still known.
  const Value* Remembered(const Entry& entry) const;
  // As the unit reported, else by the catalogue.
  Bounds BoundsOf(const Entry& entry) const;
  // Whether the unit must be asked for its bounds before a write: they are not known, or move with
  // other parameters (section 7.1).
  bool NeedsBounds(const Entry& entry) const;
  // From a reading to the end of GOOD: three periods, and two seconds for a busy gateway.
  Duration good_for() const { return 3 * settings_.poll + std::chrono::seconds(2); }

 private:
  const DriverContext context_;
  const Settings& settings_;
  const UnitItems& items_;
  std::map<const Entry*, Value> ram_;
  std::map<const Entry*, std::pair<double, double>> bounds_;
};

}  // namespace canhub::studer
