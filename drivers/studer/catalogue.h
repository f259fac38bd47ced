// The vendor's catalogue: every user info, parameter and message of every kind of unit.
//
// Source: data/*.csv, which are part of the program ("Studer facts", sections 8.1 and 10.3). Loaded
// once, strictly: a row that is not understood whole is an error.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "drivers/api/items.h"
#include "drivers/api/studer.h"

namespace canhub::studer {

enum class Family : uint8_t { kXtender, kRcc, kBsp, kBms, kVarioTrack, kVarioString };
inline constexpr int kFamilyCount = 6;

// Section 4. `name` is what the YAML calls it; `csv_name` the catalogue.
struct FamilyInfo {
  Family family;
  const char* name;
  const char* csv_name;
  uint16_t first, last;  // addresses of its units
  uint16_t group;        // all of them
};
const FamilyInfo& Describe(Family family);
std::optional<Family> FindFamily(std::string_view name);

// What the float on the wire means (section 3.2).
enum class Format : uint8_t {
  kNumber,
  kFlag,      // 0, 1
  kEnum,      // one of the labels
  kWeekdays,  // bit 0 Monday … bit 6 Sunday
  kMinutes,   // of the day, 0 … 1440
  kSignal,    // write 1 to trigger
  kInteger,
  kSeconds,      // since 1970; not exact in a float, not reachable on CAN
  kUnsupported,  // the vendor: not accessible
  kMenu,         // of the remote control; no object
};

struct Bounds {
  std::optional<double> default_value, minimum, maximum;
};

struct Entry {
  Family family = Family::kXtender;
  bool parameter = false;
  uint16_t id = 0;
  std::string name;        // "Battery voltage"
  std::string short_name;  // on the remote control; "" for none
  std::string slug;        // "battery_voltage": unique within the family's infos, or parameters
  std::string id_text;     // "3000"
  std::string unit;
  Format format = Format::kNumber;
  std::vector<ValueLabel> labels;        // names live as long as the catalogue
  std::vector<std::string> label_texts;  // what they point to
  std::string notes;
  bool two_sources = true;

  // Parameters only. 48 V, 230 Vac; see BoundsOf.
  Bounds bounds;
  std::optional<Bounds> bounds_120v;
  double increment = 0;  // 0: none
  int level = 0;         // section 7.3: 0x10 basic … 0x40 QSP
  std::string level_name;
  uint16_t menu = 0;
  bool scales = false;  // with the battery's voltage
  // Parameters whose value is also a bound (section 7.1); 0: none.
  uint16_t minimum_from = 0, maximum_from = 0;

  // Whether there is an object on the bus to read or write at all.
  bool IsObject() const;
};

// Section 7.2. `battery_voltage` is 12, 24 or 48.
Bounds BoundsOf(const Entry& entry, int battery_voltage, bool is_120v);

enum class MessageClass : uint8_t { kInfo, kWarning, kError, kHalted };
std::string_view ToString(MessageClass message_class);  // "info", …
struct Message {
  uint16_t id = 0;
  MessageClass message_class = MessageClass::kInfo;
  std::string text;
};

struct CatalogueTexts {
  std::string_view infos, parameters, messages;
};

// Immutable, thread-safe.
class Catalogue {
 public:
  // INVALID_ARGUMENT names file, line, column, found and expected.
  static absl::StatusOr<Catalogue> Parse(const CatalogueTexts& texts);
  // What was built in; lives to the end of the program.
  static const Catalogue& Get();

  Catalogue(Catalogue&&) = default;

  // Infos, then parameters, each in the order of the tables.
  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<Message>& messages() const { return messages_; }
  // nullptr when there is none.
  const Entry* Find(Family family, uint16_t id) const;
  // By id ("3000"), slug ("battery_voltage"), or a parameter's slug with its prefix
  // ("parameter.float_voltage").
  const Entry* FindByName(Family family, std::string_view name) const;
  const Message* FindMessage(uint16_t id) const;
  // Every word must be found in name, short name, unit, id or label; best first: words of the
  // name, infos before parameters, short names before long ones. No menus.
  std::vector<const Entry*> Search(std::string_view words,
                                   std::optional<Family> family = std::nullopt) const;

 private:
  Catalogue() = default;
  absl::Status AddInfos(std::string_view text);
  absl::Status AddParameters(std::string_view text);
  absl::Status AddMessages(std::string_view text);
  absl::Status Finish();

  std::vector<Entry> entries_;
  std::vector<Message> messages_;
  std::map<std::pair<Family, uint16_t>, size_t> by_id_;
};

}  // namespace canhub::studer
