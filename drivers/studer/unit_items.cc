#include "drivers/studer/unit_items.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "drivers/api/errors.h"

namespace canhub::studer {
namespace {

constexpr std::array kStatusSpecs = {
    ItemSpec{.name = "last_message",
             .type = ValueType::kInteger,
             .description = "number of the newest notification since the daemon started",
             .source = "Studer facts 8"},
    ItemSpec{.name = "last_message_text",
             .type = ValueType::kText,
             .description = "class and meaning of the newest notification",
             .source = "Studer facts 8.1"},
    ItemSpec{.name = kFlashWearItem,
             .type = ValueType::kText,
             .description = "writes to flash by parameter id, counted by this daemon: \"1107=12\"",
             .source = "Studer facts 7",
             .confidence = Confidence::kDerived},
    ItemSpec{.name = "flash_wear_worst",
             .type = ValueType::kInteger,
             .description = "writes to flash of the parameter that has most; 1000 are guaranteed",
             .source = "Studer facts 7",
             .confidence = Confidence::kDerived},
    ItemSpec{.name = "poll_time",
             .unit = "s",
             .description = "how long the last round of polling took",
             .confidence = Confidence::kDerived},
};

// How units are written elsewhere in the API.
const char* UnitOf(const Entry& entry) {
  if (entry.format == Format::kMinutes) return "min";
  if (entry.unit == "Vdc" || entry.unit == "Vac") return "V";
  if (entry.unit == "Adc" || entry.unit == "Aac") return "A";
  if (entry.unit == "°C") return "degC";
  if (entry.unit == "sec" || entry.unit == "Seconds") return "s";
  if (entry.unit == "minutes" || entry.unit == "Minutes") return "min";
  if (entry.unit == "hours") return "h";
  return entry.unit.c_str();
}

bool Writable(const Entry& entry) { return entry.parameter && entry.format != Format::kSignal; }

// What holds for every model: the widest of all batteries and mains.
void SetWidestBounds(const Entry& entry, ItemSpec* spec) {
  if (spec->type != ValueType::kNumber && spec->type != ValueType::kInteger) return;
  for (const int battery : {12, 24, 48}) {
    for (const bool is_120v : {false, true}) {
      const Bounds bounds = BoundsOf(entry, battery, is_120v);
      if (bounds.minimum) {
        spec->minimum = std::min(spec->minimum.value_or(*bounds.minimum), *bounds.minimum);
      }
      if (bounds.maximum) {
        spec->maximum = std::max(spec->maximum.value_or(*bounds.maximum), *bounds.maximum);
      }
    }
  }
}

std::string DescriptionOf(const Entry& entry) {
  std::string text = entry.name;
  if (entry.parameter) text += "; level " + entry.level_name;
  if (entry.format == Format::kSignal) text += "; a signal: action trigger";
  if (entry.format == Format::kWeekdays) text += "; bit 0 Monday … bit 6 Sunday";
  if (entry.format == Format::kMinutes) text += "; minutes since midnight";
  if (!entry.notes.empty()) text += "; " + entry.notes;
  return text;
}

std::string LabelsOf(const Entry& entry) {
  std::string text;
  for (const ValueLabel& label : entry.labels) {
    text += (text.empty() ? "" : ", ") + std::to_string(label.value) + " (" + label.name + ")";
  }
  return text;
}

absl::Status WrongValue(const Entry& entry, const Value& value, const std::string& expected) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, "VALUE_NOT_POSSIBLE",
      entry.id_text + " (" + entry.name + "): found " + value.ToString() + ", expected " +
          expected + "; nothing was sent",
      {{"object", entry.id_text}, {"found", value.ToString()}, {"expected", expected}});
}

}  // namespace

UnitItems::UnitItems(std::optional<Family> family) {
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (!family || entry.family != *family || !entry.IsObject()) continue;
    (entry.parameter ? parameters_ : infos_).push_back(&entry);
  }
  texts_.reserve(infos_.size() + 5 * parameters_.size());  // their addresses are kept
  const auto keep = [this](std::string text) {
    texts_.push_back(std::move(text));
    return texts_.back().c_str();
  };
  const auto spec_of = [&](const Entry& entry) {
    ItemSpec spec{
        .alias = entry.id_text.c_str(),
        .type = TypeOf(entry),
        .unit = UnitOf(entry),
        .source = "Studer catalogue",
        .confidence = entry.two_sources ? Confidence::kTwoSources : Confidence::kOneSource,
        .labels = entry.labels};
    spec.description = keep(DescriptionOf(entry));
    spec.confidence = entry.two_sources ? Confidence::kTwoSources : Confidence::kOneSource;
    return spec;
  };
  for (const Entry* entry : infos_) {
    ItemSpec spec = spec_of(*entry);
    spec.name = entry->slug.c_str();
    info_specs_.push_back(spec);
  }
  for (const Entry* entry : parameters_) {
    ItemSpec spec = spec_of(*entry);
    spec.name = keep(kParameterItems + entry->slug);
    if (Writable(*entry)) {
      spec.access = Access::kReadWrite;
      SetWidestBounds(*entry, &spec);
    }
    parameter_specs_.push_back(spec);
    spec.name = keep(kFlashItems + entry->slug);
    spec.alias = keep(kFlashItems + entry->id_text);
    spec.access = Access::kReadOnly;
    spec.minimum = spec.maximum = std::nullopt;
    spec.limit = "";
    flash_specs_.push_back(spec);
  }
  table_ = std::make_shared<const ItemTable>(
      std::vector<ItemBlock>{{.prefix = "", .specs = kStatusSpecs},
                             {.prefix = "", .specs = info_specs_},
                             {.prefix = "", .specs = parameter_specs_},
                             {.prefix = "", .specs = flash_specs_}});
}

const UnitItems& UnitItems::Of(std::optional<Family> family) {
  static const auto* const all = [] {
    auto* tables = new std::array<const UnitItems*, kFamilyCount + 1>;
    for (int i = 0; i < kFamilyCount; ++i) (*tables)[i] = new UnitItems(static_cast<Family>(i));
    (*tables)[kFamilyCount] = new UnitItems(std::nullopt);
    return tables;
  }();
  return *(*all)[family ? static_cast<size_t>(*family) : kFamilyCount];
}

ItemId UnitItems::Status(StatusItem item) const { return table_->Id(0, 0, static_cast<int>(item)); }

ItemId UnitItems::Of(const Entry& entry) const {
  const std::vector<const Entry*>& list = entry.parameter ? parameters_ : infos_;
  const auto at = std::find(list.begin(), list.end(), &entry);
  return table_->Id(entry.parameter ? 2 : 1, 0, static_cast<int>(at - list.begin()));
}

ItemId UnitItems::FlashOf(const Entry& entry) const {
  return Of(entry) + static_cast<ItemId>(parameters_.size());
}

UnitItems::Meaning UnitItems::MeaningOf(ItemId item) const {
  const ItemTable::Place place = table_->Locate(item);
  switch (place.block) {
    case 1:
      return {ItemKind::kInfo, infos_[place.spec]};
    case 2:
      return {ItemKind::kParameter, parameters_[place.spec]};
    case 3:
      return {ItemKind::kFlash, parameters_[place.spec]};
    default:
      return {};
  }
}

ValueType TypeOf(const Entry& entry) {
  switch (entry.format) {
    case Format::kNumber:
      return ValueType::kNumber;
    case Format::kFlag:
    case Format::kSignal:
      return ValueType::kFlag;
    default:
      return ValueType::kInteger;
  }
}

std::optional<Value> FromWire(const Entry& entry, float wire) {
  if (!std::isfinite(wire)) return std::nullopt;
  // A battery temperature of "about 32767": no sensor (section 3.2).
  if (entry.unit == "°C" && wire > 32000) return std::nullopt;
  switch (TypeOf(entry)) {
    case ValueType::kNumber:
      return Value::Number(ShortestDecimal(wire));
    case ValueType::kFlag:
      if (wire != 0 && wire != 1) return std::nullopt;
      return Value::Flag(wire == 1);
    default:
      // Exact in a float up to here (section 3.2).
      if (std::abs(wire) > 16777216) return std::nullopt;
      return Value::Integer(std::lround(wire));
  }
}

float ToWire(const Entry& entry, const Value& value) {
  return TypeOf(entry) == ValueType::kFlag ? (value.flag() ? 1.0F : 0.0F)
                                           : static_cast<float>(value.AsNumber());
}

double OnStep(const Entry& entry, double value) {
  if (entry.format != Format::kNumber || entry.increment <= 0) return value;
  // A step such as 0.0999756 is the fixed-point image of 0.1 (section 3.2).
  const double decimal = std::round(entry.increment * 100) / 100;
  const bool image = decimal > 0 && std::abs(entry.increment - decimal) < 0.005 * decimal;
  const double step = image ? decimal : entry.increment;
  const double steps = std::round(value / step);
  const double per_unit = std::round(1 / step);
  // 576 steps of 0.1 are 57.6, not 57.6 and some.
  if (step < 1 && std::abs(per_unit * step - 1) < 1e-9) return steps / per_unit;
  return steps * step;
}

absl::StatusOr<Value> CheckValue(const Entry& entry, const Value& value) {
  const bool numeric = value.type() == ValueType::kNumber || value.type() == ValueType::kInteger;
  if (value.type() == ValueType::kText) {
    for (const ValueLabel& label : entry.labels) {
      if (value.text() == label.name) return Value::Integer(label.value);
    }
  }
  switch (entry.format) {
    case Format::kFlag:
    case Format::kSignal: {
      const bool one =
          value.type() == ValueType::kFlag ? value.flag() : numeric && value.AsNumber() == 1;
      const bool zero =
          value.type() == ValueType::kFlag ? !value.flag() : numeric && value.AsNumber() == 0;
      if (!one && !zero) return WrongValue(entry, value, "true or false");
      if (entry.format == Format::kSignal && !one) return WrongValue(entry, value, "true");
      return Value::Flag(one);
    }
    case Format::kNumber:
      if (!numeric || !std::isfinite(value.AsNumber())) return WrongValue(entry, value, "a number");
      return Value::Number(value.AsNumber());
    default:
      break;
  }
  if (!numeric || value.AsNumber() != std::round(value.AsNumber()) ||
      std::abs(value.AsNumber()) > 16777216) {
    return WrongValue(entry, value,
                      entry.labels.empty() ? "a whole number" : "one of " + LabelsOf(entry));
  }
  const int64_t number = std::llround(value.AsNumber());
  if (!entry.labels.empty() &&
      std::none_of(entry.labels.begin(), entry.labels.end(),
                   [&](const ValueLabel& label) { return label.value == number; })) {
    return WrongValue(entry, value, "one of " + LabelsOf(entry));
  }
  return Value::Integer(number);
}

}  // namespace canhub::studer
