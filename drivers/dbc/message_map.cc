#include "drivers/dbc/message_map.h"

#include <algorithm>
#include <chrono>
#include <climits>

#include "drivers/api/errors.h"

namespace canhub::dbc_device {
namespace {

constexpr int kMostBytes = 8;  // of a classic frame

bool MayWrite(const Settings& settings, const dbc::Message& message, const dbc::Signal& signal) {
  return dbc::MatchesAny(settings.writable, message.name) ||
         dbc::MatchesAny(settings.writable, message.name + "." + signal.name);
}

bool IsUsed(const Settings& settings, const dbc::Message& message) {
  if (dbc::MatchesAny(settings.messages, message.name)) return true;
  return std::any_of(
      message.signals.begin(), message.signals.end(),
      [&](const dbc::Signal& signal) { return MayWrite(settings, message, signal); });
}

// Messages of CAN FD do not come on these buses; a pattern that fits all passes over them.
bool Fits(const dbc::Message& message) { return message.length <= kMostBytes; }

uint64_t KeyOf(uint32_t id, bool extended) { return id | (extended ? uint64_t{1} << 32 : 0); }

absl::Status Wrong(const DeviceConfig& config, const std::string& text) {
  return MakeError(absl::StatusCode::kInvalidArgument, "DBC_DOES_NOT_FIT", config.id + ": " + text,
                   {{"device_id", config.id}});
}

absl::Status CheckPatterns(const DeviceConfig& config, const Settings& settings) {
  for (const std::string_view pattern : dbc::SplitList(settings.messages)) {
    const bool fits = std::any_of(
        settings.database->messages.begin(), settings.database->messages.end(),
        [&](const dbc::Message& message) { return dbc::MatchesAny(pattern, message.name); });
    if (!fits) {
      return Wrong(config, "messages: found \"" + std::string(pattern) +
                               "\", which fits no message of " + settings.database->file);
    }
  }
  for (const std::string_view pattern : dbc::SplitList(settings.writable)) {
    bool fits = false;
    for (const dbc::Message& message : settings.database->messages) {
      for (const dbc::Signal& signal : message.signals) {
        fits |= dbc::MatchesAny(pattern, message.name) ||
                dbc::MatchesAny(pattern, message.name + "." + signal.name);
      }
    }
    if (!fits) {
      return Wrong(config, "writable: found \"" + std::string(pattern) +
                               "\", which fits no message with signals, and no signal, of " +
                               settings.database->file);
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<ParameterSpec> DriverParameters() {
  return {
      {.name = "dbc",
       .type = ParameterType::kFile,
       .description = "database of the device's messages"},
      {.name = "messages",
       .type = ParameterType::kText,
       .default_text = "*",
       .description = "names of the messages that are its own, separated by commas; * for any "
                      "letters"},
      {.name = "writable",
       .type = ParameterType::kText,
       .default_text = "",
       .description = "messages, and signals as Message.Signal, that may be written; patterns like "
                      "messages; empty: none"},
      {.name = "send",
       .type = ParameterType::kChoice,
       .default_text = "on_change",
       .choices = {"on_change", "periodic"},
       .description =
           "periodic: a message that was written is sent again with its GenMsgCycleTime, "
           "or with period, until stop_sending"},
      {.name = "period",
       .type = ParameterType::kDuration,
       .default_text = "1 s",
       .minimum = 0.01,
       .maximum = 86400,
       .description = "of messages that have no GenMsgCycleTime"},
      {.name = "stale_periods",
       .type = ParameterType::kInteger,
       .default_text = "3",
       .minimum = 2,
       .maximum = 1000,
       .description = "a reading is stale after so many periods"},
      {.name = "check_range",
       .type = ParameterType::kFlag,
       .default_text = "true",
       .description = "a value outside of the signal's [minimum|maximum] is bad"},
      {.name = "all_ones_is_bad",
       .type = ParameterType::kFlag,
       .default_text = "false",
       .description = "a signal of more than one bit with all bits 1 is bad"},
  };
}

absl::StatusOr<Settings> ParseSettings(const DeviceConfig& config) {
  const auto file = config.files.find("dbc");
  if (file == config.files.end()) return Wrong(config, "dbc: found no file, expected one");
  auto database = dbc::Load(*file->second, config.Parameter("dbc").text());
  if (!database.ok()) return Annotate(database.status(), config.id + ": dbc: ");
  Settings settings{.database = *std::move(database),
                    .messages = config.Parameter("messages").text(),
                    .writable = config.Parameter("writable").text(),
                    .periodic = config.Parameter("send").text() == "periodic",
                    .check_range = config.Parameter("check_range").flag(),
                    .all_ones_is_bad = config.Parameter("all_ones_is_bad").flag(),
                    .period = std::chrono::duration_cast<Duration>(
                        std::chrono::duration<double>(config.Parameter("period").number())),
                    .stale_periods = static_cast<int>(config.Parameter("stale_periods").integer())};
  if (absl::Status status = CheckPatterns(config, settings); !status.ok()) return status;
  bool any = false;
  for (const dbc::Message& message : settings.database->messages) {
    if (!IsUsed(settings, message)) continue;
    if (!message.problem.empty()) return Wrong(config, message.problem);
    any |= Fits(message);
    const bool written =
        std::any_of(message.signals.begin(), message.signals.end(),
                    [&](const dbc::Signal& s) { return MayWrite(settings, message, s); });
    if (!Fits(message) && written) {
      return Wrong(config, "writable: found " + message.name + " with " +
                               std::to_string(message.length) + " bytes, expected at most 8");
    }
  }
  if (!any) return Wrong(config, settings.database->file + ": found no message to read or write");
  return settings;
}

// What the table's specs point to.
struct MessageMap::Storage {
  std::shared_ptr<const dbc::Database> database;
  std::vector<std::vector<ItemSpec>> specs;
  std::deque<std::string> texts;
  std::deque<std::vector<ValueLabel>> labels;
};

MessageMap::MessageMap(const Settings& settings) {
  auto storage = std::make_shared<Storage>();
  storage->database = settings.database;
  const auto keep = [&](std::string text) {
    storage->texts.push_back(std::move(text));
    return storage->texts.back().c_str();
  };
  std::vector<ItemBlock> blocks;
  storage->specs.reserve(settings.database->messages.size());
  for (const dbc::Message& message : settings.database->messages) {
    if (!IsUsed(settings, message) || !Fits(message)) continue;
    MappedMessage mapped{.message = &message, .block = static_cast<int>(blocks.size())};
    mapped.period = message.cycle > Duration(0) ? message.cycle : settings.period;
    char source[48];
    std::snprintf(source, sizeof source, message.extended ? "DBC 0x%08X" : "DBC 0x%03X",
                  message.id);
    const char* const from = keep(source);
    std::vector<ItemSpec>& specs = storage->specs.emplace_back();
    for (const dbc::Signal& signal : message.signals) {
      const bool writable = MayWrite(settings, message, signal);
      mapped.writable |= writable;
      std::vector<ValueLabel>& labels = storage->labels.emplace_back();
      for (const dbc::ValueName& name : signal.names) {
        // A label is of the value that is shown.
        const std::optional<int64_t> shown =
            signal.PhysicalInteger(static_cast<dbc::Bits>(name.value));
        if (shown && *shown >= INT_MIN && *shown <= INT_MAX) {
          labels.push_back({static_cast<int>(*shown), name.name.c_str()});
        }
      }
      specs.push_back({.name = keep(message.name + "." + signal.name),
                       .type = signal.integral ? ValueType::kInteger : ValueType::kNumber,
                       .unit = signal.unit.c_str(),
                       .access = writable ? Access::kReadWrite : Access::kReadOnly,
                       .description = signal.comment.c_str(),
                       .source = from,
                       .confidence = Confidence::kOneSource,
                       .minimum = signal.minimum,
                       .maximum = signal.maximum,
                       .labels = labels});
      if (const auto range = signal.PhysicalRange()) {
        specs.back().lowest = range->first;
        specs.back().highest = range->second;
      }
    }
    by_id_[KeyOf(message.id, message.extended)] = static_cast<int>(messages_.size());
    messages_.push_back(mapped);
    blocks.push_back({.specs = specs});
  }
  table_ = std::make_shared<const ItemTable>(std::move(blocks), std::move(storage));
}

int MessageMap::Find(const CanFrame& frame) const {
  if (frame.remote) return -1;
  const auto found = by_id_.find(KeyOf(frame.id, frame.extended));
  return found == by_id_.end() ? -1 : found->second;
}

std::vector<CanFilter> MessageFilters(const Settings& settings) {
  std::vector<CanFilter> filters;
  for (const dbc::Message& message : settings.database->messages) {
    if (!IsUsed(settings, message) || !Fits(message)) continue;
    filters.push_back({.id = message.id,
                       .mask = message.extended ? 0x1FFFFFFFu : 0x7FFu,
                       .extended = message.extended});
  }
  return filters;
}

}  // namespace canhub::dbc_device
