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
  if (RamOf(entry) == Ram::kDoubtful) {
    return context_.state.Invalidate(items_.Of(entry), Quality::kBad);
  }
  const Value* const ram = Remembered(entry);
  context_.state.Set(items_.Of(entry), ram == nullptr ? *value : *ram, time, good_for());
}

void ParameterImage::OnBounds(const Entry& entry, double minimum, double maximum) {
  bounds_[&entry] = {minimum, maximum};
  context_.state.SetRange(items_.Of(entry), minimum, maximum);
}

void ParameterImage::OnWritten(const Entry& entry, const Value& value, Part part, MonoTime time) {
  if (entry.format == Format::kSignal) return;
  if (part == Part::kRam) {
    ram_[&entry] = {Ram::kKnown, value};
  } else {
    ram_[&entry] = {Ram::kIsFlash, {}};
    context_.state.Set(items_.FlashOf(entry), value, time, good_for());
  }
  context_.state.Set(items_.Of(entry), value, time, good_for());
}

void ParameterImage::OnUncertain(const Entry& entry, Part part) {
  if (entry.format == Format::kSignal) return;
  ram_[&entry] = {Ram::kDoubtful, {}};
  context_.state.Invalidate(items_.Of(entry), Quality::kBad);
  if (part == Part::kFlash) context_.state.Invalidate(items_.FlashOf(entry), Quality::kBad);
}

void ParameterImage::OnUnitRestarted() {
  restarted_ = true;
  for (const auto& [entry, ram] : std::exchange(ram_, {})) {
    if (ram.state == Ram::kKnown) {
      context_.state.Invalidate(items_.Of(*entry), Quality::kStale);
    }
  }
}

void ParameterImage::OnUnitLost() {
  restarted_ = false;
  std::erase_if(ram_, [](const auto& known) { return known.second.state == Ram::kIsFlash; });
  for (auto& [entry, ram] : ram_) ram = {Ram::kDoubtful, {}};
}

ParameterImage::Ram ParameterImage::RamOf(const Entry& entry) const {
  const auto it = ram_.find(&entry);
  if (it != ram_.end()) return it->second.state;
  return restarted_ ? Ram::kIsFlash : Ram::kUnknown;
}

const Value* ParameterImage::Remembered(const Entry& entry) const {
  const auto it = ram_.find(&entry);
  return it == ram_.end() || it->second.state != Ram::kKnown ? nullptr : &it->second.value;
}

bool ParameterImage::IsInForce(const Entry& entry, const Value& flash) const {
  const Value* const ram = Remembered(entry);
  return ram == nullptr ? RamOf(entry) == Ram::kIsFlash : *ram == flash;
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
