#include "drivers/iseg/simulator.h"

#include "drivers/api/simulated_faults.h"
#include "drivers/iseg/models.h"
#include "drivers/iseg/simulator_crate.h"
#include "drivers/iseg/simulator_module.h"

namespace canhub::iseg {

std::vector<ParameterSpec> SimulatorParameters() {
  return {
      {.name = "sim_model",
       .type = ParameterType::kChoice,
       .default_text = "E16C1",
       .choices = SimulatedModelNames(),
       .description = "firmware name of the simulated module: its class, channels and items"},
      {.name = "sim_channels",
       .type = ParameterType::kInteger,
       .default_text = "0",
       .minimum = 0,
       .maximum = kMaxChannels,
       .description = "channels; 0: as many as the model has"},
      {.name = "sim_nominal_voltage",
       .type = ParameterType::kNumber,
       .unit = "V",
       .default_text = "0 V",
       .minimum = -100000,
       .maximum = 100000,
       .description = "nominal voltage, negative for negative polarity; 0: the model's"},
      {.name = "sim_nominal_current",
       .type = ParameterType::kNumber,
       .unit = "A",
       .default_text = "0 A",
       .minimum = 0,
       .maximum = 10,
       .description = "nominal current; 0: the model's"},
      {.name = "sim_answer_delay",
       .type = ParameterType::kDuration,
       .default_text = "2 ms",
       .minimum = 0,
       .maximum = 10,
       .description = "from a read request to the first frame of its answer"},
      {.name = "sim_load_resistance",
       .type = ParameterType::kNumber,
       .unit = "ohm",
       .default_text = "1000000000 ohm",
       .minimum = 1,
       .maximum = 1e15,
       .description = "load of every channel until SetLoad changes it"},
      {.name = "sim_load_capacitance",
       .type = ParameterType::kNumber,
       .unit = "F",
       .default_text = "0.000000001 F",
       .minimum = 0,
       .maximum = 1,
       .description = "capacitance parallel to the load"},
      {.name = "sim_noise",
       .type = ParameterType::kNumber,
       .default_text = "0.000002",
       .minimum = 0,
       .maximum = 0.1,
       .description = "standard deviation of measured values, as a share of nominal"},
      {.name = "sim_keep_set_values",
       .type = ParameterType::kFlag,
       .default_text = "false",
       .description = "set values survive a power cycle; otherwise the saved ones come back"},
      {.name = "sim_dcp_only",
       .type = ParameterType::kFlag,
       .default_text = "false",
       .description = "the module is an old one that knows DCP only"},
      {.name = "sim_anti_collision",
       .type = ParameterType::kFlag,
       .default_text = "true",
       .description = "0x12A0 makes answers carry identifier bit 2; otherwise it is a bad access"},
      {.name = "sim_crate",
       .type = ParameterType::kInteger,
       .default_text = "-1",
       .minimum = -1,
       .maximum = kMaxAddress,
       .description =
           "address of the crate controller on the line whose switch powers the module; -1: none"},
      {.name = "sim_bit_rate",
       .type = ParameterType::kInteger,
       .default_text = "125",
       .minimum = 1,
       .maximum = 1000,
       .description = "what 0x1202 says; the frames keep to the bus's own rate"},
  };
}

const std::vector<FaultSpec>& Faults() {
  using Parameters = std::vector<std::pair<const char*, const char*>>;
  static const Parameters kChannel = {{"channel", "0 …, needed"}};
  static const std::vector<FaultSpec>* const kFaults = new std::vector<FaultSpec>([] {
    std::vector<FaultSpec> faults = LineFaults();
    const std::vector<FaultSpec> own = {
        {"nan", "binary32 values in answers are NaN", {}},
        {"reboot", "restarts once, as after NMT D0: outputs off, masks and events reset", {}},
        {"power_off", "has no supply until it is cleared; starts anew then", {}},
        {"over_temperature", "too hot: outputs ramp down, cannot be switched on", {}},
        {"supply_bad", "+24 V is too low", {}},
        {"trip", "modules: a current trip happens once", kChannel},
        {"overcurrent", "modules: the output is shorted: current limit, trip or delayed trip",
         kChannel},
        {"inhibit", "modules: external inhibit; its action runs when it begins", kChannel},
        {"dead_channel", "modules: the output stays at 0 V and 0 A", kChannel},
        {"arc", "modules: status and event arc", kChannel},
        {"safety_loop_open", "modules: outputs off without ramp, cannot be switched on", {}},
        {"need_service", "modules: hardware failure, outputs off without ramp", {}},
        {"power_fail", "crates: mains failed", {}},
        {"battery_bad", "crates: battery voltage too low", {}},
    };
    faults.insert(faults.end(), own.begin(), own.end());
    return faults;
  }());
  return *kFaults;
}

std::unique_ptr<Simulator> CreateSimulator(SimulatorContext context) {
  if (context.config.Parameter("class").text() == "crate") {
    return std::make_unique<IsegCrateSimulator>(context);
  }
  return std::make_unique<IsegModuleSimulator>(context);
}

}  // namespace canhub::iseg
