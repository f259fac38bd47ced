#include "drivers/studer/flash_wear.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub::studer {
namespace {

std::string KeyOf(uint16_t id) { return "flash." + std::to_string(id); }

}  // namespace

FlashWear::FlashWear(const DriverContext& context, const Settings& settings, const UnitItems& items)
    : context_(context), settings_(settings), items_(items) {}

void FlashWear::Start() {
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (settings_.unit.family != entry.family || !entry.parameter || !entry.IsObject()) continue;
    const std::optional<std::string> text = context_.memory.Get(KeyOf(entry.id));
    if (!text) continue;
    int64_t count = 0;
    const char* const end = text->data() + text->size();
    const auto [parsed, error] = std::from_chars(text->data(), end, count);
    if (error != std::errc() || parsed != end || count < 0) {
      // What is not known is taken for the worst.
      context_.log.Log(LogLevel::kError, "the count of flash writes of " + entry.id_text +
                                             " is damaged: found \"" + *text +
                                             "\"; no more of them are allowed");
      count = kGuaranteedFlashWrites;
    }
    counts_[entry.id] = count;
    RaiseAlarm(entry);
  }
  Publish();
}

int64_t FlashWear::Count(uint16_t id) const {
  const auto it = counts_.find(id);
  return it == counts_.end() ? 0 : it->second;
}

absl::Status FlashWear::Check(const Entry& entry) const {
  const int64_t count = Count(entry.id);
  if (count < settings_.flash_cap) return absl::OkStatus();
  const std::string cap = std::to_string(settings_.flash_cap);
  return MakeError(absl::StatusCode::kResourceExhausted, "FLASH_WORN",
                   context_.config.id + ": " + entry.id_text + " (" + entry.name +
                       ") was written to flash " + std::to_string(count) +
                       " times, and flash_cap allows " + cap + " of the " +
                       std::to_string(kGuaranteedFlashWrites) +
                       " that are guaranteed; nothing was sent. Write it to RAM",
                   {{"device_id", context_.config.id},
                    {"object", entry.id_text},
                    {"count", std::to_string(count)},
                    {"cap", cap},
                    {"guaranteed", std::to_string(kGuaranteedFlashWrites)}});
}

void FlashWear::Add(const Entry& entry, std::function<void(absl::Status)> done) {
  const int64_t count = ++counts_[entry.id];
  RaiseAlarm(entry);
  Publish();
  context_.memory.Put(KeyOf(entry.id), std::to_string(count), std::move(done));
}

void FlashWear::RaiseAlarm(const Entry& entry) {
  const int64_t count = Count(entry.id);
  if (count < kWarning) return;
  context_.alarms.Raise("flash_wear." + entry.id_text,
                        count < kCritical ? AlarmSeverity::kWarning : AlarmSeverity::kCritical,
                        entry.id_text + " (" + entry.name + ") was written to flash " +
                            std::to_string(count) + " times of the " +
                            std::to_string(kGuaranteedFlashWrites) + " that are guaranteed");
}

void FlashWear::Publish() {
  std::string text;
  int64_t worst = 0;
  for (const auto& [id, count] : counts_) {
    if (count == 0) continue;
    text += (text.empty() ? "" : " ") + std::to_string(id) + "=" + std::to_string(count);
    worst = std::max(worst, count);
  }
  const MonoTime now = context_.clock.Now();
  const Duration for_ever = kNever - now;
  context_.state.Set(items_.Status(StatusItem::kFlashWear), Value::Text(text), now, for_ever);
  context_.state.Set(items_.Status(StatusItem::kFlashWearWorst), Value::Integer(worst), now,
                     for_ever);
}

}  // namespace canhub::studer
