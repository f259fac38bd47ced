// What each action consists of.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/power_converter.h"
#include "drivers/ystech-pcs/command_engine.h"
#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/items.h"

namespace canhub::ystech_pcs {
namespace {

namespace action = power_converter::action;
namespace item = power_converter::item;
using absl::StatusCode;

constexpr char kEnableArgument[] = "self_start";

bool Flag(const Arguments& arguments, std::string_view name) {
  const Value* value = FindArgument(arguments, name);
  return value != nullptr && value->type() == ValueType::kFlag && value->flag();
}

SetTime TimeOf(WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<seconds>(time - day));
  return {.year = static_cast<int>(date.year()),
          .month = static_cast<int>(static_cast<unsigned>(date.month())),
          .day = static_cast<int>(static_cast<unsigned>(date.day())),
          .hour = static_cast<int>(clock.hours().count()),
          .minute = static_cast<int>(clock.minutes().count()),
          .second = static_cast<int>(clock.seconds().count())};
}

}  // namespace

absl::Status CommandEngine::Plan(const ActionCall& call) {
  if (call.name == action::kStop) {
    ThenStop();
    return absl::OkStatus();
  }
  if (call.name == action::kStandby) {
    ThenStop();
    ThenSetMode(*FindMode(static_cast<int>(Mode::kStandby)), /*last=*/true);
    ThenCompareMode({FindMode(static_cast<int>(Mode::kStandby)), {}});
    return absl::OkStatus();
  }
  if (call.name == action::kSetMode || call.name == action::kUpdateParameters) {
    absl::StatusOr<ModeSetting> setting = ReadModeSetting(parts_.config.id, call.arguments);
    if (!setting.ok()) return setting.status();
    if (call.name == action::kUpdateParameters) {
      PlanUpdate(*std::move(setting));
    } else {
      PlanMode(*std::move(setting), Flag(call.arguments, power_converter::kStopFirstArgument));
    }
    return absl::OkStatus();
  }
  if (call.name == action::kStart) {
    PlanStart();
    return absl::OkStatus();
  }
  if (call.name == action::kClearFaults) {
    PlanClear();
    return absl::OkStatus();
  }
  if (call.name == action::kSetSelfStart) {
    const Value* enable = FindArgument(call.arguments, kEnableArgument);
    if (enable == nullptr) {
      return Error(StatusCode::kInvalidArgument, "ARGUMENT_MISSING",
                   "set_self_start: self_start is missing, expected true or false");
    }
    PlanSelfStart(enable->flag());
    return absl::OkStatus();
  }
  if (call.name == action::kSetTime) return PlanTime(call.arguments);
  const std::vector<const SettingFrame*> frames = SettingFramesOf(call.name);
  if (!frames.empty()) return PlanSettings(frames, call.arguments);
  return Error(StatusCode::kUnimplemented, "ACTION_UNKNOWN", "cannot do " + call.name);
}

// ---------------------------------------------------------------- mode

absl::Status CommandEngine::RequireStopped(const std::string& what) const {
  switch (parts_.image.state_class()) {
    case StateClass::kStopped:
    case StateClass::kFault:
      return absl::OkStatus();
    case StateClass::kUnknown:
      return Error(StatusCode::kFailedPrecondition, "STATE_UNKNOWN",
                   what + " needs a converter that is known to be stopped; nothing was sent");
    case StateClass::kStarting:
    case StateClass::kRunning:
      return Error(StatusCode::kFailedPrecondition, "CONVERTER_RUNS",
                   what + " needs a stopped converter: stop it first; nothing was sent");
  }
  return absl::OkStatus();
}

absl::StatusOr<Protection> CommandEngine::KnownProtection() const {
  const std::optional<Message> one = parts_.image.Latest(Pf::kProtectionParams1Reply);
  const std::optional<Message> two = parts_.image.Latest(Pf::kProtectionParams2Reply);
  const std::optional<Message> three = parts_.image.Latest(Pf::kProtectionParams3Reply);
  if (!one || !two || !three) {
    return Error(StatusCode::kUnavailable, "PROTECTION_UNKNOWN",
                 "its protection parameters are not known; nothing was sent");
  }
  return Protection{As<ProtectionParams1>(*one), As<ProtectionParams2>(*two),
                    As<ProtectionParams3>(*three)};
}

absl::Status CommandEngine::CheckMode(const ModeSetting& setting) const {
  const absl::StatusOr<Protection> protection = KnownProtection();
  if (!protection.ok()) return protection.status();
  absl::Status status = CheckModeSetting(parts_.config, *protection, setting);
  if (status.ok()) status = ToCounts(*setting.mode, setting.values).status();
  return status;
}

ModeSetting CommandEngine::SettingNow() const {
  ModeSetting setting{parts_.image.mode(), {}};
  const std::optional<Message> first = parts_.image.Latest(Pf::kModeParams12Reply);
  const std::optional<Message> second = parts_.image.Latest(Pf::kModeParams34Reply);
  if (setting.mode == nullptr || !first || !second) return {};
  const auto one = As<ModeParams>(*first), two = As<ModeParams>(*second);
  const ModeCounts counts = {one.first, one.second, two.first, two.second};
  for (size_t i = 0; i < setting.mode->parameters.size(); ++i) {
    setting.values.push_back(FromCounts(*setting.mode, i, counts[i]));
  }
  return setting;
}

void CommandEngine::ThenSetMode(const ModeSpec& mode, bool last) {
  ThenSet(
      [this, &mode] {
        return EncodeAs(Pf::kSetWorkingMode, parts_.settings.address,
                        WorkingMode{.mode = static_cast<int>(mode.mode)}, parts_.settings.codec);
      },
      Pf::kSetModeReply, -1, "the mode " + LowerName(mode.name), last);
}

// All parameters that the mode has: those of another mode may still stand in the device.
void CommandEngine::ThenSetParameters(const ModeSetting& setting) {
  const size_t count = setting.mode->parameters.size();
  const auto set = [&](Pf pf, size_t first, const char* what) {
    ThenSet(
        [this, pf, first, setting]() -> absl::StatusOr<CanFrame> {
          const absl::StatusOr<ModeCounts> counts = ToCounts(*setting.mode, setting.values);
          if (!counts.ok()) return counts.status();
          return EncodeAs(pf, parts_.settings.address,
                          ModeParams{.first = (*counts)[first], .second = (*counts)[first + 1]},
                          parts_.settings.codec);
        },
        Pf::kSetModeReply, -1, what, /*last=*/first + 2 >= count);
  };
  if (count > 0) set(Pf::kSetModeParams12, 0, "parameters 1 and 2");
  if (count > 2) set(Pf::kSetModeParams34, 2, "parameters 3 and 4");
}

void CommandEngine::ThenCompareMode(const ModeSetting& setting) {
  ThenRead(ReadSpecial(parts_.settings, kSpecialWorkingMode));
  ThenCheck([this, setting]() -> absl::Status {
    const auto mode = As<WorkingMode>(*parts_.image.Latest(Pf::kWorkingModeReply));
    const auto differs = [&](const std::string& what, const std::string& found,
                             const std::string& expected) {
      return Error(StatusCode::kAborted, "READ_BACK_DIFFERS",
                   what + " reads back as " + found + ", expected " + expected,
                   {{"found", found}, {"expected", expected}});
    };
    if (mode.mode != static_cast<int>(setting.mode->mode)) {
      const ModeSpec* found = FindMode(mode.mode);
      return differs("the mode",
                     found == nullptr ? std::to_string(mode.mode) : LowerName(found->name),
                     LowerName(setting.mode->name));
    }
    job_->read_back.push_back(IdOf(item::kMode));
    const absl::StatusOr<ModeCounts> counts = ToCounts(*setting.mode, setting.values);
    if (!counts.ok()) return counts.status();
    const auto first = As<ModeParams>(*parts_.image.Latest(Pf::kModeParams12Reply));
    const auto second = As<ModeParams>(*parts_.image.Latest(Pf::kModeParams34Reply));
    const ModeCounts found = {first.first, first.second, second.first, second.second};
    for (size_t i = 0; i < setting.mode->parameters.size(); ++i) {
      const ModeParameter& parameter = setting.mode->parameters[i];
      if (found[i] != (*counts)[i]) {
        return differs(parameter.name,
                       Value::Number(FromCounts(*setting.mode, i, found[i])).ToString(),
                       Value::Number(FromCounts(*setting.mode, i, (*counts)[i])).ToString());
      }
      job_->read_back.push_back(IdOf(item::kParameterPrefix + std::to_string(i + 1)));
    }
    return absl::OkStatus();
  });
}

void CommandEngine::PlanMode(ModeSetting setting, bool stop_first) {
  ThenCheck(
      [this, stop_first] { return stop_first ? absl::OkStatus() : RequireStopped("a mode"); });
  // Read now: somebody may have changed them at the display.
  for (const int set : {1, 2, 3}) ThenRead(ReadProtection(parts_.settings, set));
  ThenCheck([this, setting] { return CheckMode(setting); });
  if (stop_first) {
    Then([this] {
      if (RequireStopped("").ok()) return Next();
      SendStop();
    });
  }
  ThenCheck([this] { return RequireStopped("a mode"); });
  ThenSetMode(*setting.mode, setting.mode->parameters.empty());
  ThenSetParameters(setting);
  ThenCompareMode(setting);
}

void CommandEngine::PlanUpdate(ModeSetting setting) {
  for (const int set : {1, 2, 3}) ThenRead(ReadProtection(parts_.settings, set));
  ThenRead(ReadSpecial(parts_.settings, kSpecialWorkingMode));
  ThenCheck([this, setting]() -> absl::Status {
    const ModeSpec* now = parts_.image.mode();
    if (now != setting.mode) {
      return Error(StatusCode::kFailedPrecondition, "OTHER_MODE",
                   "the mode is " + (now == nullptr ? "not known" : LowerName(now->name)) +
                       ", not " + LowerName(setting.mode->name) +
                       ": set the mode, which needs a stopped converter; nothing was sent",
                   {{"expected", LowerName(setting.mode->name)}});
    }
    if (setting.values.empty()) {
      return Error(StatusCode::kInvalidArgument, "NO_PARAMETERS",
                   LowerName(setting.mode->name) + " has no parameters; nothing was sent");
    }
    return CheckMode(setting);
  });
  ThenSetParameters(setting);
  ThenCompareMode(setting);
}

void CommandEngine::PlanSetPoints(const std::vector<ItemWrite>& writes) {
  for (const int set : {1, 2, 3}) ThenRead(ReadProtection(parts_.settings, set));
  // The others of the mode stay what the device has.
  ThenRead(ReadSpecial(parts_.settings, kSpecialWorkingMode));
  Then([this, writes] {
    ModeSetting setting = SettingNow();
    for (const ItemWrite& write : writes) {
      const char* const name = ItemRows()[write.item].spec.name;
      size_t i = 0;
      while (i < setting.values.size() &&
             std::string_view(setting.mode->parameters[i].name) != name) {
        ++i;
      }
      if (i == setting.values.size()) {
        const std::string mode =
            setting.mode == nullptr ? "is not known" : "is " + LowerName(setting.mode->name);
        return Fail(Error(StatusCode::kFailedPrecondition, "OTHER_MODE",
                          "the mode " + mode + ", which has no " + name + "; nothing was sent",
                          {{"item", name}}));
      }
      setting.values[i] = write.value.AsNumber();
      job_->read_back.push_back(write.item);
    }
    if (const absl::Status status = CheckMode(setting); !status.ok()) return Fail(status);
    ThenSetParameters(setting);
    ThenCompareMode(setting);
    Next();
  });
}

// ---------------------------------------------------------------- start, clear, self-start

void CommandEngine::PlanStart() {
  ThenCheck([this]() -> absl::Status {
    if (parts_.image.state_class() == StateClass::kFault || parts_.image.fault().value_or(0) != 0) {
      return Error(StatusCode::kFailedPrecondition, "FAULT_STANDS",
                   "a fault stands: remove its cause, clear it, then start; nothing was sent");
    }
    return RequireStopped("a start");
  });
  // What will run is what the device holds now, whoever set it.
  for (const int set : {1, 2, 3}) ThenRead(ReadProtection(parts_.settings, set));
  ThenRead(ReadSpecial(parts_.settings, kSpecialWorkingMode));
  ThenCheck([this]() -> absl::Status {
    const ModeSetting setting = SettingNow();
    if (setting.mode == nullptr || setting.mode->mode == Mode::kIdle ||
        setting.mode->mode == Mode::kStandby) {
      return Error(StatusCode::kFailedPrecondition, "NO_MODE",
                   "it has no mode to run in: set one first; nothing was sent");
    }
    const absl::StatusOr<Protection> protection = KnownProtection();
    if (!protection.ok()) return protection.status();
    job_->results.emplace_back("mode", Value::Text(ToText(setting)));
    return Annotate(CheckModeSetting(parts_.config, *protection, setting),
                    "what the device would run is out of bounds: ");
  });
  ThenStartStop(/*start=*/true, /*clear=*/false, [this] { return SelfStart(); }, "the start");
  ThenWatch(
      [this, begun = std::make_shared<bool>(false)] {
        switch (parts_.image.state_class()) {
          case StateClass::kRunning:
            job_->read_back.push_back(IdOf(item::kState));
            return true;
          case StateClass::kStarting:
            *begun = true;
            return false;
          case StateClass::kUnknown:
            return false;
          case StateClass::kFault:
            Fail(Error(StatusCode::kAborted, "START_FAILED", "a fault ended the start"));
            return false;
          case StateClass::kStopped:
            if (*begun) Fail(Error(StatusCode::kAborted, "START_FAILED", "it stopped again"));
            return false;
        }
        return false;
      },
      kStartTime,
      [this] {
        return Error(StatusCode::kDeadlineExceeded, "NOT_STARTED",
                     "the start was taken, but it does not run");
      });
}

void CommandEngine::PlanClear() {
  // The same frame would stop a converter that runs.
  ThenCheck([this] { return RequireStopped("clearing a fault"); });
  ThenStartStop(/*start=*/false, /*clear=*/true, [this] { return SelfStart(); },
                "the clearing of the fault");
  ThenWatch(
      [this] {
        if (parts_.image.fault() != kNoFault || parts_.image.state_class() == StateClass::kFault) {
          return false;
        }
        job_->read_back.push_back(IdOf(item::kFaultCode));
        return true;
      },
      kClearTime,
      [this] {
        return Error(StatusCode::kAborted, "FAULT_STANDS",
                     "the device took it, but the fault is still there: its cause is");
      });
}

void CommandEngine::PlanSelfStart(bool enable) {
  // The same frame starts or stops. One that says start would start a converter that has stopped
  // since it was heard last.
  const auto require_stopped = [this] { return RequireStopped("self-start"); };
  ThenCheck(require_stopped);
  // On disk before the device has it: nothing else knows it afterwards.
  Then([this, enable, id = job_->command.id] {
    job_->keeps_self_start = true;
    job_->refused = [this, before = self_start_] { self_start_ = before; };
    parts_.memory.Put(
        MemoryKey(item::kSelfStart), Value::Flag(enable).ToString(),
        [this, id](const absl::Status& kept) {
          if (job_ == nullptr || job_->command.id != id) return;
          if (kept.ok()) return Next();
          Fail(Error(StatusCode::kUnavailable, "NOT_REMEMBERED",
                     "it cannot be written to disk, and the device does not tell it: " +
                         std::string(kept.message()) + "; nothing was sent"));
        });
  });
  ThenCheck(require_stopped);  // the disk may have taken its time
  ThenStartStop(/*start=*/false, /*clear=*/false, [enable] { return enable; },
                enable ? "self-start on" : "self-start off");
}

absl::Status CommandEngine::PlanTime(const Arguments& arguments) {
  SetTime time = TimeOf(parts_.clock.WallNow());
  if (!arguments.empty()) {
    const auto field = [&](const char* name, int* out) -> absl::Status {
      const Value* value = FindArgument(arguments, name);
      if (value == nullptr) {
        return Error(StatusCode::kInvalidArgument, "ARGUMENT_MISSING",
                     std::string("set_time: ") + name +
                         " is missing; give all six, or none for the daemon's time in UTC");
      }
      *out = static_cast<int>(std::clamp<int64_t>(value->integer(), -1, 65536));
      return absl::OkStatus();
    };
    absl::Status status = field("year", &time.year);
    if (status.ok()) status = field("month", &time.month);
    if (status.ok()) status = field("day", &time.day);
    if (status.ok()) status = field("hour", &time.hour);
    if (status.ok()) status = field("minute", &time.minute);
    if (status.ok()) status = field("second", &time.second);
    if (!status.ok()) return status;
  }
  const absl::StatusOr<CanFrame> frame =
      EncodeAs(parts_.settings.address, time, parts_.settings.codec);
  if (!frame.ok()) return Annotate(frame.status(), parts_.config.id + ": ");
  ThenSet([frame] { return frame; }, Pf::kSetTimeReply, -1, "the time", /*last=*/true);
  return absl::OkStatus();
}

// ---------------------------------------------------------------- settings

absl::Status CommandEngine::CheckPhases(const SettingFrame& frame,
                                        const std::vector<double>& values) const {
  const bool active = frame.set == Pf::kSetPhaseActivePower;
  if (!active && frame.set != Pf::kSetPhaseReactivePower) return absl::OkStatus();
  double sum = 0;
  for (const double value : values) sum += value;
  const std::optional<ConfiguredLimit> limit = FindLimit(parts_.config, kLimitPower);
  if (limit && 1000 * std::abs(sum) > limit->value) {
    const char* const unit = active ? " W" : " var";
    const std::string found = Value::Number(1000 * sum).ToString() + unit;
    const std::string most = Value::Number(limit->value).ToString() + unit;
    return Error(StatusCode::kOutOfRange, "SETPOINT_ABOVE_LIMIT",
                 "the phases' sum of " + found + " is above the limit of " + most + " (" +
                     limit->origin + "); nothing was sent",
                 {{"requested", found}, {"limit", most}, {"origin", limit->origin}});
  }
  if (!active) return absl::OkStatus();
  const absl::StatusOr<Protection> protection = KnownProtection();
  if (!protection.ok()) return protection.status();
  const double bound =
      sum < 0 ? protection->two.max_charge_power_kw : protection->two.max_discharge_power_kw;
  if (std::abs(sum) <= bound) return absl::OkStatus();
  const std::string found = Value::Number(sum).ToString() + " kW";
  const std::string most = Value::Number(bound).ToString() + " kW";
  return Error(StatusCode::kOutOfRange, "BEYOND_PROTECTION",
               "the phases' sum of " + found + " is above " + most + ", the device's " +
                   (sum < 0 ? "max_charge_power" : "max_discharge_power") + "; nothing was sent",
               {{"requested", found}, {"bound", most}});
}

// After a setting was taken: read back and equal, or remembered.
absl::Status CommandEngine::CheckSetting(const SettingFrame& frame,
                                         const std::vector<double>& sent) {
  for (size_t i = 0; i < frame.items.size(); ++i) {
    const ItemRow& row = ItemRows()[IdOf(frame.items[i])];
    job_->read_back.push_back(IdOf(frame.items[i]));
    if (!frame.stored) {
      Remember(frame.items[i], ToValue(row, sent[i]));
      continue;
    }
    const FieldSpec& field = FrameOf(frame.set).fields[i];
    const double found = parts_.image.Latest(*frame.stored)->values[i];
    if (std::abs(found - sent[i]) * field.counts <= 0.5 + 1e-6) continue;
    const std::string expected = ToValue(row, sent[i]).ToString();
    return Error(StatusCode::kAborted, "READ_BACK_DIFFERS",
                 std::string(frame.items[i]) + " reads back as " + ToValue(row, found).ToString() +
                     ", expected " + expected,
                 {{"item", frame.items[i]}, {"expected", expected}});
  }
  return absl::OkStatus();
}

absl::Status CommandEngine::PlanSettings(const std::vector<const SettingFrame*>& frames,
                                         const Arguments& arguments) {
  std::vector<const SettingFrame*> wanted;
  for (const SettingFrame* frame : frames) {
    if (Concerns(*frame, arguments)) wanted.push_back(frame);
  }
  if (wanted.empty()) {
    return Error(StatusCode::kInvalidArgument, "ARGUMENT_MISSING",
                 job_->name + ": found nothing to set, expected at least one argument");
  }
  const auto values_of = [this, arguments](const SettingFrame& frame) {
    return SettingValues(parts_.config.id, frame, arguments,
                         [&](size_t field) -> std::optional<double> {
                           if (frame.stored) {
                             const std::optional<Message> now = parts_.image.Latest(*frame.stored);
                             if (!now) return std::nullopt;
                             return now->values[field];
                           }
                           const auto text = parts_.memory.Get(MemoryKey(frame.items[field]));
                           if (!text) return std::nullopt;
                           const ItemRow& row = ItemRows()[IdOf(frame.items[field])];
                           if (row.spec.type == ValueType::kFlag) return *text == "true" ? 1 : 0;
                           return std::strtod(text->c_str(), nullptr) / row.factor;
                         });
  };
  const auto frame_of = [this, values_of](const SettingFrame& frame) -> absl::StatusOr<CanFrame> {
    const absl::StatusOr<std::vector<double>> values = values_of(frame);
    if (!values.ok()) return values.status();
    if (absl::Status status = CheckPhases(frame, *values); !status.ok()) return status;
    absl::StatusOr<CanFrame> encoded =
        Encode(frame.set, parts_.settings.address, *values, parts_.settings.codec);
    if (encoded.ok()) return encoded;
    return Annotate(encoded.status(), parts_.config.id + ": ");
  };

  const bool stopped = std::any_of(wanted.begin(), wanted.end(),
                                   [](const SettingFrame* f) { return !f->while_running; });
  if (stopped) ThenCheck([this] { return RequireStopped(job_->name); });
  for (const SettingFrame* frame : wanted) {
    if (frame->stored) ThenRead(*ReadOf(parts_.settings, *frame->stored));
    if (frame->set == Pf::kSetPhaseActivePower) {
      for (const int set : {1, 2, 3}) ThenRead(ReadProtection(parts_.settings, set));
    }
  }
  // All of them before the first is sent.
  for (const SettingFrame* frame : wanted) {
    ThenCheck([frame_of, frame] { return frame_of(*frame).status(); });
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    const SettingFrame& frame = *wanted[i];
    const auto sent = std::make_shared<std::vector<double>>();
    ThenSet(
        [frame_of, values_of, &frame, sent]() -> absl::StatusOr<CanFrame> {
          absl::StatusOr<CanFrame> encoded = frame_of(frame);
          if (encoded.ok()) *sent = *values_of(frame);
          return encoded;
        },
        frame.reply, frame.selector, FrameName(frame.set), /*last=*/i + 1 == wanted.size());
    if (frame.stored) ThenRead(*ReadOf(parts_.settings, *frame.stored));
    ThenCheck([this, &frame, sent] { return CheckSetting(frame, *sent); });
  }
  return absl::OkStatus();
}

}  // namespace canhub::ystech_pcs
