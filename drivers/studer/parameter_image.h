// What is known of one unit's parameters, and its publication as items.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "drivers/api/driver.h"
#include "drivers/studer/settings.h"
#include "drivers/studer/unit_items.h"

namespace canhub::studer {

// RAM cannot be read (section 3.1). What is in force is what this daemon wrote last, or flash once
// the unit has restarted. Where neither is known, flash is shown; but after a write whose fate is
// not known, or a loss of the unit after a write to RAM, nothing is shown until a write is
// confirmed or the unit tells that it restarted.
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
  void OnUncertain(const Entry& entry, Part part);
  // RAM holds what flash holds (section 7).
  void OnUnitRestarted();
  // It may restart unheard, or go on with what is in RAM.
  void OnUnitLost();

  // What was written to RAM last; nullptr: nothing that is still known.
  const Value* Remembered(const Entry& entry) const;
  // Whether this value is in force for sure, where flash has it.
  bool IsInForce(const Entry& entry, const Value& flash) const;
  // As the unit reported, else by the catalogue.
  Bounds BoundsOf(const Entry& entry) const;
  // Whether the unit must be asked for its bounds before a write: they are not known, or move with
  // other parameters (section 7.1).
  bool NeedsBounds(const Entry& entry) const;
  // From a reading to the end of GOOD: three periods, and two seconds for a busy gateway.
  Duration good_for() const { return 3 * settings_.poll + std::chrono::seconds(2); }

 private:
  enum class Ram : uint8_t {
    kUnknown,   // nothing was written or heard
    kIsFlash,   // the unit restarted, or flash was written
    kKnown,     // what this daemon wrote
    kDoubtful,  // one of two values
  };
  struct InRam {
    Ram state = Ram::kUnknown;
    Value value;  // kKnown
  };
  Ram RamOf(const Entry& entry) const;

  const DriverContext context_;
  const Settings& settings_;
  const UnitItems& items_;
  std::map<const Entry*, InRam> ram_;
  bool restarted_ = false;  // since it was found: what is not in ram_ is as in flash
  std::map<const Entry*, std::pair<double, double>> bounds_;
};

}  // namespace canhub::studer
