#include "drivers/iseg/device_image.h"

#include "drivers/api/errors.h"
#include "drivers/iseg/poll_plan.h"

namespace canhub::iseg {
namespace {

// For items that no plan polls: read on demand only.
constexpr Duration kUnplannedGoodFor = kStaleAfterPeriods * kLongestPeriod;

}  // namespace

DeviceImage::DeviceImage(const Clock& clock, StatePublisher& state,
                         std::shared_ptr<const DeviceItems> items)
    : clock_(clock), state_(state), items_(std::move(items)) {
  state_.SetItems(items_->table());
}

void DeviceImage::Rebuild(std::shared_ptr<const DeviceItems> items) {
  items_ = std::move(items);
  texts_.clear();
  state_.SetItems(items_->table());
}

absl::Status DeviceImage::Apply(const Answer& answer, MonoTime time) {
  if (answer.kind == Answer::Kind::kNotImplemented) {
    for (const ItemId item : items_->ItemsOf(answer.data_id, answer.index)) {
      if (!state_.Pending(item).value.has_value()) continue;
      // It has answered this before: a value of one byte that lost it looks the same.
      return MakeError(
          absl::StatusCode::kInvalidArgument, "no_data",
          items_->table()->Name(item) + " was answered without data, though it has one");
    }
    const auto lacks = [&](int index) {
      absent_.emplace(answer.data_id, index);
      for (const ItemId item : items_->ItemsOf(answer.data_id, index)) {
        state_.Invalidate(item, Quality::kBad);
      }
    };
    const std::optional<AccessClass> access = ClassOf(answer.data_id);
    if (answer.index < 0 && access == AccessClass::kChannel) {
      for (int channel = 0; channel < channels(); ++channel) lacks(channel);
    } else if (access == AccessClass::kGroup) {
      MarkAbsent(answer.data_id);
    } else {
      lacks(answer.index);
    }
    return absl::OkStatus();
  }
  absl::StatusOr<absl::InlinedVector<ItemValue, 2>> values = items_->Decode(answer);
  if (!values.ok()) return values.status();
  const auto it = good_for_.find(answer.data_id);
  const Duration good_for = it == good_for_.end() ? kUnplannedGoodFor : it->second;
  for (ItemValue& v : *values) Publish(v.item, std::move(v.value), time, good_for);
  return absl::OkStatus();
}

absl::StatusOr<bool> DeviceImage::ApplyPiece(const Answer& answer, MonoTime time) {
  if (answer.kind == Answer::Kind::kNotImplemented) {
    MarkAbsent(answer.data_id);
    return true;
  }
  TextAssembler& text = texts_[answer.data_id];
  if (!text.Add(answer.index, answer.bytes.view())) {
    return MakeError(absl::StatusCode::kInvalidArgument, "bad_text",
                     "piece " + std::to_string(answer.index) + " of a text lies beyond its end");
  }
  text_times_[answer.data_id] = time;
  if (!text.complete()) return false;
  EndText(answer.data_id);
  return true;
}

void DeviceImage::EndText(uint16_t data_id) {
  const auto text = texts_.find(data_id);
  if (text == texts_.end()) return;
  const std::string value = text->second.text();
  texts_.erase(text);
  const auto it = good_for_.find(data_id);
  for (const ItemId item : items_->ItemsOf(data_id, -1)) {
    Publish(item, Value::Text(value), text_times_[data_id],
            it == good_for_.end() ? kUnplannedGoodFor : it->second);
  }
}

void DeviceImage::Publish(ItemId item, Value value, MonoTime time, Duration good_for) {
  state_.Set(item, std::move(value), time, good_for);
}

void DeviceImage::Invalidate(ItemId item, Quality quality) { state_.Invalidate(item, quality); }

void DeviceImage::ForgetAll() {
  texts_.clear();
  state_.InvalidateAll(Quality::kStale);
}

bool DeviceImage::IsAbsent(uint16_t data_id) const {
  if (ClassOf(data_id) != AccessClass::kChannel) return absent_.contains({data_id, -1});
  for (int channel = 0; channel < channels(); ++channel) {
    if (!absent_.contains({data_id, channel})) return false;
  }
  return channels() > 0;
}

void DeviceImage::MarkAbsent(uint16_t data_id) {
  const int first = ClassOf(data_id) == AccessClass::kChannel ? 0 : -1;
  const int last = first < 0 ? -1 : channels() - 1;
  for (int index = first; index <= last; ++index) absent_.emplace(data_id, index);
  for (ItemId item = 0; item < items_->table()->size(); ++item) {
    if (items_->table()->Storage(item) != item || items_->DataId(item) != data_id) continue;
    state_.Invalidate(item, Quality::kBad);
  }
}

std::optional<Value> DeviceImage::Get(ItemId item) const {
  Reading reading = state_.Pending(item);
  if (reading.EffectiveQuality(clock_.Now()) != Quality::kGood) return std::nullopt;
  return std::move(reading.value);
}

std::optional<ItemId> DeviceImage::Find(int channel, std::string_view name) const {
  return channel < 0 ? items_->Device(name) : items_->OfChannel(channel, name);
}

std::optional<Value> DeviceImage::Get(int channel, std::string_view name) const {
  const std::optional<ItemId> item = Find(channel, name);
  return item ? Get(*item) : std::nullopt;
}

std::optional<double> DeviceImage::Number(int channel, std::string_view name) const {
  const std::optional<Value> value = Get(channel, name);
  return value ? std::optional<double>(value->AsNumber()) : std::nullopt;
}

std::optional<bool> DeviceImage::Flag(int channel, std::string_view name) const {
  const std::optional<Value> value = Get(channel, name);
  return value ? std::optional<bool>(value->AsNumber() != 0) : std::nullopt;
}

std::optional<ItemId> DeviceImage::FindRegister(int channel, uint16_t data_id) const {
  for (const uint16_t form : {data_id, static_cast<uint16_t>(data_id | kWideBit)}) {
    const absl::InlinedVector<ItemId, 2> items = items_->ItemsOf(form, channel);
    if (!items.empty()) return items.front();
  }
  return std::nullopt;
}

std::optional<uint32_t> DeviceImage::Register(int channel, uint16_t data_id) const {
  const std::optional<ItemId> item = FindRegister(channel, data_id);
  const std::optional<Value> value = item ? Get(*item) : std::nullopt;
  if (!value || value->type() != ValueType::kInteger) return std::nullopt;
  return static_cast<uint32_t>(value->integer());
}

std::optional<MonoTime> DeviceImage::ReadTime(ItemId item) const {
  const Reading reading = state_.Pending(item);
  return reading.value.has_value() ? std::optional<MonoTime>(reading.read_time) : std::nullopt;
}

MonoTime DeviceImage::GoodUntil(ItemId item) const {
  const Reading reading = state_.Pending(item);
  return reading.quality == Quality::kGood ? reading.good_until : MonoTime{};
}

std::optional<Value> DeviceImage::Last(int channel, std::string_view name) const {
  const std::optional<ItemId> item = Find(channel, name);
  if (!item) return std::nullopt;
  Reading reading = state_.Pending(*item);
  if (!reading.value.has_value() || reading.quality == Quality::kBad) return std::nullopt;
  return std::move(reading.value);
}

std::string DeviceImage::BitName(int channel, uint16_t data_id, int bit) const {
  const std::optional<ItemId> storage = FindRegister(channel, data_id);
  if (!storage) {
    return (channel < 0 ? std::string() : "ch" + std::to_string(channel) + ".") + "bit " +
           std::to_string(bit);
  }
  const ItemTable& table = *items_->table();
  const ItemTable::Place place = table.Locate(*storage);
  const std::span<const ItemSpec> specs = table.blocks()[static_cast<size_t>(place.block)].specs;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].flag_of == place.spec && specs[i].bit == bit) {
      return table.Name(table.Id(place.block, place.instance, static_cast<int>(i)));
    }
  }
  return table.Name(*storage) + " bit " + std::to_string(bit);
}

}  // namespace canhub::iseg
