#include "drivers/iseg/models.h"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace canhub::iseg {
namespace {

// Section 18.
constexpr DeviceClass kClasses[] = {
    {0, DeviceKind::kDcpModule, "DCP standard 16-bit"},
    {1, DeviceKind::kDcpModule, "DCP high precision 24-bit"},
    {2, DeviceKind::kDcpModule, "DCP standard 24-bit"},
    {3, DeviceKind::kDcpModule, "DCP multi-voltage 24-bit"},
    {4, DeviceKind::kDcpModule, "DCP CAN I/O"},
    {5, DeviceKind::kDcpModule, "DCP CAN I/O"},
    {6, DeviceKind::kDcpModule, "DCP 4 kV 16-bit"},
    {7, DeviceKind::kDcpModule, "DCP 4 kV 24-bit"},
    {0x10, DeviceKind::kDcpModule, "DCP NIM standard"},
    {0x11, DeviceKind::kDcpModule, "DCP NIM precision"},
    {20, DeviceKind::kEdcpModule, "V12C0"},
    {21, DeviceKind::kEdcpModule, "E16D0, E24D1"},
    {22, DeviceKind::kEdcpModule, "H101C0"},
    {23, DeviceKind::kEdcpModule, "H201C0"},
    {24, DeviceKind::kEdcpModule, "E08C0"},
    {25, DeviceKind::kEdcpModule, "E08F0, E08F7"},
    {26, DeviceKind::kEdcpModule, "E08F2, E08F8"},
    {27, DeviceKind::kEdcpModule, "E08C2"},
    {28, DeviceKind::kEdcpModule, "E08B0, E04B0"},
    {29, DeviceKind::kEdcpModule, "V24D0"},
    {30, DeviceKind::kEdcpModule, "E01C0"},
    {31, DeviceKind::kEdcpModule, "E01C1"},
    {32, DeviceKind::kEdcpModule, "E01C2"},
    {35, DeviceKind::kEdcpModule, "N02C0"},
    {36, DeviceKind::kEdcpModule, "N02C1"},
    {37, DeviceKind::kEdcpModule, "N02C2"},
    {38, DeviceKind::kEdcpModule, "N06C0"},
    {39, DeviceKind::kEdcpModule, "N06C2"},
    {40, DeviceKind::kEdcpModule, "MICC"},
    {41, DeviceKind::kEdcpModule, "MICP"},
    {42, DeviceKind::kEdcpModule, "TxxIO"},
    {43, DeviceKind::kEdcpModule, "P07C0"},
    {44, DeviceKind::kEdcpModule, "T48C0"},
    {kOldCrateClass, DeviceKind::kOldCrate, "crate ECH238"},
    {kCrateClass, DeviceKind::kCrate, "crate ECH4xA / CC2x"},
    {50, DeviceKind::kEdcpModule, "O103C0"},
    {51, DeviceKind::kEdcpModule, "O205F0"},
    {52, DeviceKind::kEdcpModule, "TRAPTUBE"},
    {53, DeviceKind::kEdcpModule, "FILAMENT"},
    {60, DeviceKind::kEdcpModule, "H101C1"},
    {61, DeviceKind::kEdcpModule, "ESS01C"},
    {70, DeviceKind::kEdcpModule, "E16C1"},
    {71, DeviceKind::kEdcpModule, "F01F1"},
    {80, DeviceKind::kEdcpModule, "S02C2"},
    {81, DeviceKind::kEdcpModule, "N04C0"},
    {82, DeviceKind::kEdcpModule, "N04C2"},
    {90, DeviceKind::kEdcpModule, "L12C0"},
};

constexpr Quirk kNoChannelRamp = {
    kQuirkNoChannelRamp, "ramp speeds of a channel have no effect: the module's speed is used",
    "isegcan README: EHS F460n-F, EHS 84 60n"};

// Articles of the models of kNoChannelRamp: family EH, channels, 4, volt in 100 V, polarity; read
// from the known pair SHR 42 60r = SR042060r… by analogy (inferred).
constexpr const char* kNoChannelRampArticles[] = {"EH164060n", "EH084060n"};

constexpr Features kModern = feature::kWide | feature::kNewBoard | feature::kModuleLimits |
                             feature::kModuleCurrentRamp | feature::kChannelVoltageRamp;
constexpr Features kOlder = feature::kNarrow | feature::kOldBoard | feature::kModuleLimits |
                            feature::kModuleVoltageRampOnly;
constexpr Features kStackable = feature::kVoltageBottom | feature::kRampPriority |
                                feature::kResistance | feature::kRangedCurrent;

// Nominal values: those of the families' data, and 6000 V with 2, 3 or 4 mA as in H's own
// simulation (section 23). Article texts other than the N04C2's are made up in its form.
constexpr SimulatedModel kModels[] = {
    {"E16C1", 70, 16, 6000, 3e-3, 5710016, true, "EH160060p3050000200", kModern},
    {"E08F2", 26, 8, 6000, 4e-3, 5710234, true, "EH082060p4050000200",
     kModern | kStackable | feature::kChannelCurrentRamp},
    {"E08C2", 27, 8, 3000, 4e-3, 473011, false, "",
     kOlder | feature::kModuleCurrentRamp | feature::kRangedCurrent | feature::kVoltageBottom},
    {"E16D0", 21, 16, 3000, 5e-4, 471016, false, "", kOlder},
    {"E24D1", 21, 24, 3000, 5e-4, 471024, false, "", kOlder},
    {"T48C0", 44, 48, 2000, 1e-4, 5710048, true, "TS480020p1040000200", kModern},
    {"N04C2", 82, 4, 6000, 2e-3, 5710004, true, "SR042060r4050000200",
     kModern | feature::kOutputModes | feature::kVoltageBottom | feature::kRangedCurrent},
    {"E08F0", 25, 8, 4000, 3e-3, 5710008, true, "EH084060n3050000200",
     (kModern & ~feature::kChannelVoltageRamp) | feature::kModuleVoltageRampOnly},
    {"E12B0", 28, 12, 500, 1e-2, 5710012, true, "EB120005p1060080200",
     (kModern & ~feature::kModuleLimits) | feature::kIndexedLimits | feature::kVct},
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

template <size_t n>
bool OneOf(std::string_view name, const char* const (&list)[n]) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

}  // namespace

std::optional<FirmwareName> ParseFirmwareName(std::string_view name) {
  // H101C0 has three digits.
  if (name.size() != 5 && name.size() != 6) return std::nullopt;
  FirmwareName parsed;
  parsed.family = name.front();
  parsed.function = name[name.size() - 2];
  if (!IsUpper(parsed.family) || !IsUpper(parsed.function) || !IsDigit(name.back())) {
    return std::nullopt;
  }
  parsed.variant = name.back() - '0';
  for (const char c : name.substr(1, name.size() - 3)) {
    if (!IsDigit(c)) return std::nullopt;
    parsed.channels = parsed.channels * 10 + (c - '0');
  }
  return parsed;
}

const DeviceClass* FindDeviceClass(int number) {
  for (const DeviceClass& row : kClasses) {
    if (row.number == number) return &row;
  }
  return nullptr;
}

std::optional<uint32_t> ParseArticleOptions(std::string_view article) {
  size_t place = 0;
  switch (article.size()) {
    case 19:
      place = 12;
      break;
    case 18:
      place = 11;
      break;
    case 14:
      place = 9;
      break;
    default:
      return std::nullopt;
  }
  uint32_t options = 0;
  for (const char c : article.substr(place, 3)) {
    if (!std::isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
    options = options << 4 | static_cast<uint32_t>(IsDigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return options;
}

std::string FormatArticleOptions(uint32_t options) {
  constexpr std::pair<uint32_t, const char*> kNames[] = {{article_option::kSla, "SLA"},
                                                         {article_option::kSlp, "SLP"},
                                                         {article_option::kT10, "T10"},
                                                         {article_option::kVct, "VCT"},
                                                         {article_option::kVln, "VLN"}};
  std::string text;
  for (const auto& [bit, name] : kNames) {
    if ((options & bit) == 0) continue;
    if (!text.empty()) text += ',';
    text += name;
  }
  return text;
}

Features ExpectedFeatures(const ModuleIdentity& identity) {
  const std::string_view name = identity.firmware_name;
  const std::optional<FirmwareName> parsed = ParseFirmwareName(name);
  const int device_class = identity.device_class;
  const bool precise = device_class == 26 || device_class == 27 ||
                       (parsed.has_value() && parsed->family == 'E' && parsed->variant == 2);
  const bool stackable = device_class == 25 || device_class == 26;

  Features features = identity.wide ? feature::kWide : feature::kNarrow;
  features |=
      identity.serial_number > kLastOldSerialNumber ? feature::kNewBoard : feature::kOldBoard;
  bool channel_ramp = true;
  for (const Quirk* quirk : QuirksOf(identity)) channel_ramp &= quirk != &kNoChannelRamp;
  features |= channel_ramp ? feature::kChannelVoltageRamp : feature::kModuleVoltageRampOnly;
  // E: EDS modules, 'D' as fourth character, have no current ramp.
  if (!parsed.has_value() || parsed->function != 'D') {
    features |= feature::kModuleCurrentRamp | feature::kChannelCurrentRamp;
  }
  if (precise || device_class == 82) features |= feature::kRangedCurrent;
  if (stackable || OneOf(name, {"E08F2", "E08C2", "N06C2", "N04C2"})) {
    features |= feature::kVoltageBottom;
  }
  if (stackable) features |= feature::kRampPriority | feature::kResistance;
  const std::optional<uint32_t> options = ParseArticleOptions(identity.article);
  if (options.has_value() && (*options & article_option::kVct) != 0) features |= feature::kVct;
  if (device_class == 81 || device_class == 82 || OneOf(name, {"N04C0", "N04C2"})) {
    features |= feature::kOutputModes;
  }
  features |= name == "E12B0" ? feature::kIndexedLimits : feature::kModuleLimits;
  if (device_class == 40 || device_class == 41) features |= feature::kHighVoltageOk;
  // Only isegcan knows the power items and not which modules have them: asked of every module once.
  features |= feature::kPower;
  return features;
}

std::vector<const Quirk*> QuirksOf(const ModuleIdentity& identity) {
  std::vector<const Quirk*> quirks;
  for (const std::string_view article : kNoChannelRampArticles) {
    if (identity.article.compare(0, article.size(), article) == 0) {
      quirks.push_back(&kNoChannelRamp);
      break;
    }
  }
  return quirks;
}

const SimulatedModel* FindSimulatedModel(std::string_view firmware_name) {
  for (const SimulatedModel& model : kModels) {
    if (firmware_name == model.firmware_name) return &model;
  }
  return nullptr;
}

std::vector<const char*> SimulatedModelNames() {
  std::vector<const char*> names;
  for (const SimulatedModel& model : kModels) names.push_back(model.firmware_name);
  return names;
}

}  // namespace canhub::iseg
