#include "drivers/battery-module/settings.h"

#include <chrono>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/battery-module/layout.h"

namespace canhub::battery_module {
namespace {

Duration Seconds(const Value& value) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value.number()));
}

ParameterSpec Time(const char* name, const char* otherwise, double minimum, double maximum,
                   const char* description) {
  return {.name = name,
          .type = ParameterType::kDuration,
          .default_text = otherwise,
          .minimum = minimum,
          .maximum = maximum,
          .description = description};
}

ParameterSpec Whole(const char* name, const char* otherwise, double minimum, double maximum,
                    const char* description) {
  return {.name = name,
          .type = ParameterType::kInteger,
          .default_text = otherwise,
          .minimum = minimum,
          .maximum = maximum,
          .description = description};
}

ParameterSpec Bound(const char* name, const char* unit, const char* otherwise,
                    const char* description) {
  return {.name = name,
          .type = ParameterType::kNumber,
          .unit = unit,
          .default_text = otherwise,
          .minimum = -1000,
          .maximum = 1000,
          .description = description,
          .may_be_none = true};
}

ParameterSpec Step(const char* name, const char* unit, const char* otherwise,
                   const char* description) {
  return {.name = name,
          .type = ParameterType::kNumber,
          .unit = unit,
          .default_text = otherwise,
          .minimum = 0,
          .maximum = 100,
          .description = description};
}

ParameterSpec Name(const char* name, const char* otherwise, const char* description) {
  return {.name = name,
          .type = ParameterType::kText,
          .default_text = otherwise,
          .description = description};
}

absl::Status Wrong(const DeviceConfig& config, const std::string& what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BATTERY_CONFIG", config.id + ": " + what,
                   {{"device_id", config.id}});
}

std::optional<double> Optional(const DeviceConfig& config, const std::string& name) {
  const Value& value = config.Parameter(name);
  return value.has_value() ? std::optional(value.number()) : std::nullopt;
}

LevelLimits ReadLimits(const DeviceConfig& config, const std::string& prefix) {
  return {.dangerous_low = Optional(config, prefix + "_dangerous_low"),
          .warning_low = Optional(config, prefix + "_warning_low"),
          .warning_high = Optional(config, prefix + "_warning_high"),
          .dangerous_high = Optional(config, prefix + "_dangerous_high")};
}

}  // namespace

std::vector<ParameterSpec> DriverParameters() {
  return {
      {.name = "dbc",
       .type = ParameterType::kFile,
       .default_text = "",
       .description = "database of the modules' messages; empty: the built-in battery-module.dbc"},
      Name("message_prefix", "BMU",
           "letters before the two digits of the module in the names of its messages"),
      Whole("cells_per_module", "12", 1, kMaxCells,
            "fitted cells; positions above it are not looked at"),
      Whole("temps_per_module", "7", 0, kMaxSensors, "fitted temperature sensors"),
      Whole("expected_modules", "0", 0, kMaxModules,
            "modules that must be there; 0: as many as answer at the start"),
      {.name = "current_positive_is",
       .type = ParameterType::kChoice,
       .default_text = "charge",
       .choices = {"charge", "discharge"},
       .description = "what a positive current on the bus means; items are discharge-positive"},
      {.name = "poll",
       .type = ParameterType::kFlag,
       .default_text = "true",
       .description = "send SYNC and requests; false: only listen, somebody else polls"},
      Time("sync_period", "100 ms", 0.05, 60,
           "period of SYNC; longer where the bus's share for polling does not allow it"),
      Time("request_period", "1 s", 0, 3600,
           "period in which each module is asked for its temperature sensors; 0 s: never"),
      Time("stale_after", "1 s", 0.1, 300, "a module is silent after this time without its values"),
      Time("sensors_stale_after", "10 s", 1, 36000,
           "the same for the temperature sensors; at least two request_period"),
      Time("dangerous_after", "3 s", 0, 600,
           "a silent module, a warning at once, is dangerous after this time more"),
      Bound("cell_dangerous_low", "V", "2.7 V", "every fitted cell"),
      Bound("cell_warning_low", "V", "2.8 V", "every fitted cell"),
      Bound("cell_warning_high", "V", "4.1 V", "every fitted cell"),
      Bound("cell_dangerous_high", "V", "4.2 V", "every fitted cell"),
      Step("cell_hysteresis", "V", "0.02 V", "back from a bound before its level ends"),
      Bound("module_dangerous_low", "V", "33 V", "every module's voltage"),
      Bound("module_warning_low", "V", "34 V", "every module's voltage"),
      Bound("module_warning_high", "V", "48 V", "every module's voltage"),
      Bound("module_dangerous_high", "V", "49 V", "every module's voltage"),
      Step("module_hysteresis", "V", "0.2 V", "back from a bound before its level ends"),
      Bound("temperature_dangerous_low", "degC", "none", "for example -20 degC"),
      Bound("temperature_warning_low", "degC", "none", "for example -10 degC"),
      Bound("temperature_warning_high", "degC", "40 degC",
            "every module's highest temperature and every sensor"),
      Bound("temperature_dangerous_high", "degC", "50 degC",
            "every module's highest temperature and every sensor"),
      Bound("temperature_release", "degC", "30 degC",
            "too hot ends at or below; none: 2 degC below the bound"),
      Step("temperature_low_hysteresis", "degC", "2 degC",
           "above a low bound before its level ends"),
      Whole("samples_to_warning", "2", 1, 100, "values in a row at or beyond a bound"),
      Whole("samples_to_dangerous", "2", 1, 100, "values in a row at or beyond a bound"),
      Step("cell_sum_tolerance", "V", "0.3 V",
           "difference of a module's voltage and the sum of its cells that is believed"),
      Step("cell_extreme_tolerance", "V", "0.01 V",
           "difference of a module's own lowest and highest cell and what its cells say"),
      {.name = "pack_voltage_item",
       .type = ParameterType::kItem,
       .default_text = "",
       .description = "voltage of the whole pack as another device measures it"},
      {.name = "pack_tolerance",
       .type = ParameterType::kNumber,
       .unit = "%",
       .default_text = "2 %",
       .minimum = 0.1,
       .maximum = 100,
       .description = "difference of the sum of the modules and pack_voltage_item"},
      Name("signal_voltage", "CMA_Voltage", "signal: voltage of the module"),
      Name("signal_current", "CMA_Current", "signal: current of the module"),
      Name("signal_cell", "Cell_#_Voltage", "signal: voltage of a cell, # its number"),
      Name("signal_cell_min", "Min_Cell_Voltage", "signal: lowest cell, as the module says"),
      Name("signal_cell_max", "Max_Cell_Voltage", "signal: highest cell, as the module says"),
      Name("signal_sensor", "CMA_Temp#", "signal: temperature of a sensor, # its number"),
      Name("signal_temperature_min", "CMA_Min_Temp", "signal: lowest temperature"),
      Name("signal_temperature_max", "CMA_Max_Temp", "signal: highest temperature"),
      Name("signal_soc", "SOC", "signal: state of charge"),
      Name("signal_soh", "SOH", "signal: state of health"),
  };
}

absl::StatusOr<Settings> ParseSettings(const DeviceConfig& config) {
  const auto text = [&](const char* name) { return config.Parameter(name).text(); };
  const auto whole = [&](const char* name) {
    return static_cast<int>(config.Parameter(name).integer());
  };
  const auto file = config.files.find("dbc");
  const bool own = file != config.files.end();
  auto database = dbc::Load(own ? std::string_view(*file->second) : BuiltInDbc(),
                            own ? text("dbc") : "built-in battery-module.dbc");
  if (!database.ok()) return Annotate(database.status(), config.id + ": dbc: ");
  Settings settings{
      .database = *std::move(database),
      .message_prefix = text("message_prefix"),
      .names = {.voltage = text("signal_voltage"),
                .current = text("signal_current"),
                .cell = text("signal_cell"),
                .cell_min = text("signal_cell_min"),
                .cell_max = text("signal_cell_max"),
                .sensor = text("signal_sensor"),
                .temperature_min = text("signal_temperature_min"),
                .temperature_max = text("signal_temperature_max"),
                .soc = text("signal_soc"),
                .soh = text("signal_soh")},
      .cells = whole("cells_per_module"),
      .sensors = whole("temps_per_module"),
      .expected_modules = whole("expected_modules"),
      .charging_is_positive = text("current_positive_is") == "charge",
      .poll = config.Parameter("poll").flag(),
      .sync_period = Seconds(config.Parameter("sync_period")),
      .request_period = Seconds(config.Parameter("request_period")),
      .stale_after = Seconds(config.Parameter("stale_after")),
      .sensors_stale_after = Seconds(config.Parameter("sensors_stale_after")),
      .dangerous_after = Seconds(config.Parameter("dangerous_after")),
      .cell_limits = ReadLimits(config, "cell"),
      .module_limits = ReadLimits(config, "module"),
      .temperature_limits = ReadLimits(config, "temperature"),
      .cell_hysteresis = config.Parameter("cell_hysteresis").number(),
      .module_hysteresis = config.Parameter("module_hysteresis").number(),
      .temperature_low_hysteresis = config.Parameter("temperature_low_hysteresis").number(),
      .temperature_release = Optional(config, "temperature_release"),
      .samples_to_warning = whole("samples_to_warning"),
      .samples_to_dangerous = whole("samples_to_dangerous"),
      .cell_sum_tolerance = config.Parameter("cell_sum_tolerance").number(),
      .cell_extreme_tolerance = config.Parameter("cell_extreme_tolerance").number(),
      .pack_tolerance_percent = config.Parameter("pack_tolerance").number(),
      .pack_voltage_item = text("pack_voltage_item")};
  const std::pair<const char*, const LevelLimits&> limits[] = {
      {"cell", settings.cell_limits},
      {"module", settings.module_limits},
      {"temperature", settings.temperature_limits}};
  for (const auto& [name, limit] : limits) {
    if (absl::Status status = CheckOrder(limit); !status.ok()) {
      return Annotate(status, config.id + ": " + name + "_: ");
    }
  }
  if (settings.temperature_release && settings.temperature_limits.warning_high &&
      *settings.temperature_release >= *settings.temperature_limits.warning_high) {
    return Wrong(config, "temperature_release: found " +
                             config.Parameter("temperature_release").ToString() +
                             " degC, expected below temperature_warning_high");
  }
  if (settings.poll && settings.stale_after < 2 * settings.sync_period) {
    return Wrong(config,
                 "stale_after: found less than two sync_period, expected at least that much");
  }
  if (settings.poll && settings.sensors > 0 &&
      settings.sensors_stale_after < 2 * settings.request_period) {
    return Wrong(config,
                 "sensors_stale_after: found less than two request_period, expected at least that "
                 "much");
  }
  return settings;
}

}  // namespace canhub::battery_module
