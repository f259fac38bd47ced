#include "drivers/studer/parameter_image.h"

#include <optional>
#include <utility>

namespace canhub::studer {

void ParameterImage::Start() {
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (settings_.unit.family != entry.family || !entry.parameter || !entry.IsObject()) continue;
    const Bounds bounds = studer::BoundsOf(entry, settings_.battery_voltage, settings_.is_120v);
    const ValueType type = TypeOf(entry);
    if (type != ValueType::kNumber && type != ValueType::kInteger) continue;
    context_.state.SetRange(items_.Of(entry), bounds.minimum, bounds.maximum);
  }
}

void ParameterImage::OnInfo(const Entry& entry, float wire, MonoTime time) {
  const std::optional<Value> value = FromWire(entry, wire);
  if (!value) return OnNoValue(entry);
  context_.state.Set(items_.Of(entry), *value, time, good_for());
}

void ParameterImage::OnNoValue(const Entry& entry) {
  context_.state.Invalidate(items_.Of(entry), Quality::kBad);
  if (entry.parameter) context_.state.Invalidate(items_.FlashOf(entry), Quality::kBad);
}

void ParameterImage::OnFlashRead(const Entry& entry, float wire, MonoTime time) {
  const std::optional<Value> value = FromWire(entry, wire);
  if (!value) return OnNoValue(entry);
  context_.state.Set(items_.FlashOf(entry), *value, time, good_for());
  const auto ram = ram_.find(&entry);
  context_.state.Set(items_.Of(entry), ram == ram_.end() ? *value : ram->second, time, good_for());
}

void ParameterImage::OnBounds(const Entry& entry, double minimum, double maximum) {
  bounds_[&entry] = {minimum, maximum};
  context_.state.SetRange(items_.Of(entry), minimum, maximum);
}

void ParameterImage::OnWritten(const Entry& entry, const Value& value, Part part, MonoTime time) {
  if (entry.format == Format::kSignal) return;
  if (part == Part::kRam) {
    ram_[&entry] = value;
  } else {
    ram_.erase(&entry);
    context_.state.Set(items_.FlashOf(entry), value, time, good_for());
  }
  context_.state.Set(items_.Of(entry), value, time, good_for());
}

void ParameterImage::OnUncertain(const Entry& entry) {
  ram_.erase(&entry);
  context_.state.Invalidate(items_.Of(entry), Quality::kBad);
}

void ParameterImage::ForgetRam() {
  for (const auto& [entry, value] : std::exchange(ram_, {})) {
    context_.state.Invalidate(items_.Of(*entry), Quality::kStale);
  }
}

const Value* ParameterImage::Remembered(const Entry& entry) const {
  const auto it = ram_.find(&entry);
  return it == ram_.end() ? nullptr : &it->second;
}

Bounds ParameterImage::BoundsOf(const Entry& entry) const {
  Bounds bounds = studer::BoundsOf(entry, settings_.battery_voltage, settings_.is_120v);
  const auto reported = bounds_.find(&entry);
  if (reported != bounds_.end()) {
    bounds.minimum = reported->second.first;
    bounds.maximum = reported->second.second;
  }
  return bounds;
}

bool ParameterImage::NeedsBounds(const Entry& entry) const {
  if (entry.format != Format::kNumber) return false;
  return entry.minimum_from != 0 || entry.maximum_from != 0 || !bounds_.contains(&entry);
}

}  // namespace canhub::studer
