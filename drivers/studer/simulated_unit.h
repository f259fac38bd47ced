// The parameters of one simulated unit: flash, RAM, and what a write does to them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "drivers/studer/catalogue.h"
#include "drivers/studer/codec.h"
#include "drivers/studer/plant.h"

namespace canhub::studer {

// Codes of section 6 that the unit itself gives.
enum class UnitError : uint32_t {
  kArgument = 0x12,
  kNoSuchObject = 0x22,
  kReadOnly = 0x25,
  kInvalidData = 0x26,
  kTooSmall = 0x27,
  kTooBig = 0x28,
};

class SimulatedUnit {
 public:
  SimulatedUnit(Family family, int number, int battery_voltage, bool is_120v);

  Family family() const { return family_; }
  int number() const { return number_; }  // from 1
  uint16_t address() const;

  // Part 0 to 4 of a parameter; the checks in the order of "Studer facts", section 9, U6.
  std::optional<UnitError> Read(uint16_t id, uint8_t part, float* value) const;
  std::optional<UnitError> Write(uint16_t id, uint8_t part, float value, MonoTime now);

  // Back to what is in flash; what was only in RAM is lost.
  void Restart();
  // When the unit's own watchdog restarts it if nothing is written to RAM before; nullopt: off
  // (section 7).
  std::optional<MonoTime> WatchdogEnds() const;

  // In force. 0 of what has no value.
  double Value(uint16_t id) const;
  int64_t FlashWrites(uint16_t id) const;
  UnitState State() const;
  bool on() const { return on_; }

 private:
  struct Cell {
    double flash = 0;
    double ram = 0;
    int64_t flash_writes = 0;
  };
  double Minimum(const Entry& entry) const;
  double Maximum(const Entry& entry) const;
  Cell* Find(uint16_t id);
  void Trigger(uint16_t id);
  bool SavesToFlash() const;

  const Family family_;
  const int number_;
  const int battery_voltage_;
  const bool is_120v_;
  std::map<uint16_t, Cell> cells_;
  bool on_ = true;
  MonoTime fed_{};
};

}  // namespace canhub::studer
