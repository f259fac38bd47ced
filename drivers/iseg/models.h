// What is known of the models: device classes (section 18), features by firmware name and article
// options (section 10), quirks (section 19).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/iseg/items.h"

namespace canhub::iseg {

// "E08F2": letter = family, two digits = channels, letter = mechanics or function, digit = variant
// (inferred in section 10; TRAPTUBE and the like have no such name).
struct FirmwareName {
  char family = 0;
  int channels = 0;
  char function = 0;
  int variant = 0;
};
std::optional<FirmwareName> ParseFirmwareName(std::string_view name);

enum class DeviceKind : uint8_t { kDcpModule, kEdcpModule, kCrate, kOldCrate, kUnknown };
struct DeviceClass {
  int number;
  DeviceKind kind;
  const char* text;  // "E08F2, E08F8", "DCP high precision 24-bit", "crate ECH4xA / CC2x"
};
// nullptr: not in section 18.
const DeviceClass* FindDeviceClass(int number);
inline constexpr int kCrateClass = 0x2E;
inline constexpr int kOldCrateClass = 0x2D;

// Factory options of an article text such as "SR042060r4050000200".
namespace article_option {
inline constexpr uint32_t kSla = 0x001;
inline constexpr uint32_t kSlp = 0x002;
inline constexpr uint32_t kT10 = 0x004;
inline constexpr uint32_t kVct = 0x008;
inline constexpr uint32_t kVln = 0x010;
}  // namespace article_option
// Three hexadecimal digits, whose place depends on the length (14, 18, 19); nullopt otherwise.
std::optional<uint32_t> ParseArticleOptions(std::string_view article);
// "SLA,VCT".
std::string FormatArticleOptions(uint32_t options);

// Serial numbers above this belong to newer boards (section 8).
inline constexpr uint32_t kLastOldSerialNumber = 999999;
// Fastest module ramp (section 15.1).
inline constexpr double kMaxRampPercent = 20.0;

struct ModuleIdentity {
  int device_class = -1;  // -1: not announced yet
  uint32_t serial_number = 0;
  std::string firmware_name;
  std::string article;
  bool wide = false;  // answers 0x1080 with data
};
// What to expect of a module. What the firmware then answers without data is absent all the same;
// kChannelVoltageRamp is only a hope until 0x4123 has been read.
Features ExpectedFeatures(const ModuleIdentity& identity);

// A deviation of a model from the rule. Applied by the driver, listed in the identity "quirks".
struct Quirk {
  const char* name;  // "no_channel_ramp"
  const char* description;
  const char* source;
};
std::vector<const Quirk*> QuirksOf(const ModuleIdentity& identity);
inline constexpr char kQuirkNoChannelRamp[] = "no_channel_ramp";

// A model that the simulator can be: nominal values are the usual ones of the family, and
// parameters of the simulation override them.
struct SimulatedModel {
  const char* firmware_name;
  int device_class;
  int channels;
  double nominal_voltage;  // V
  double nominal_current;  // A
  uint32_t serial_number;
  bool wide;
  const char* article;
  Features features;
};
const SimulatedModel* FindSimulatedModel(std::string_view firmware_name);
std::vector<const char*> SimulatedModelNames();

}  // namespace canhub::iseg
