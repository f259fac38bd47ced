// pcs: modes, start, stop, faults, settings.
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>

#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/pcs_call.h"

namespace canhub::ctl {
namespace {

using Service = v1::PowerConverterService;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Soft start takes up to 10 s; a stop that insists as long.
constexpr std::chrono::nanoseconds kStartTime = std::chrono::seconds(30);

std::chrono::nanoseconds StartTimeout(const Session& session) {
  return session.timeout_given() ? session.timeout() : kStartTime;
}

struct SetArguments {
  std::string device;
  std::vector<std::string> words;  // "cv" "400"; "mode" NAME P1 …
  bool stop_first = false;
  bool update = false;
  bool divide = false;
};

// The Python application's words, and its aliases.
const std::map<std::string, std::string>& ShortModes() {
  static const auto* const modes = new std::map<std::string, std::string>{
      {"cv", "dc_constant_voltage"}, {"voltage", "dc_constant_voltage"},
      {"cc", "dc_constant_current"}, {"current", "dc_constant_current"},
      {"cp", "dc_constant_power"},   {"power", "dc_constant_power"},
      {"cccv", "dc_cc_cv"}};
  return *modes;
}

std::string ModeNames() {
  std::string names;
  const auto* type = v1::PowerConverterMode::descriptor();
  for (int i = 0; i < type->field_count(); ++i)
    names += (i == 0 ? "" : ", ") + type->field(i)->name();
  return names;
}

// Fills in the mode from the words; an error otherwise.
Parsed<bool> ReadMode(std::vector<std::string> words, v1::PowerConverterMode* mode) {
  std::string name = words.front();
  words.erase(words.begin());
  if (name == "mode") {
    if (words.empty())
      return Parsed<bool>::Error("mode: found no name, expected one of " + ModeNames());
    name = words.front();
    words.erase(words.begin());
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  } else if (const auto found = ShortModes().find(name); found != ShortModes().end()) {
    name = found->second;
  } else {
    return Parsed<bool>::Error("found \"" + name +
                               "\", expected cv, cc, cp, cccv, or mode and its name");
  }
  const FieldDescriptor* field = mode->GetDescriptor()->FindFieldByName(name);
  if (field == nullptr) {
    return Parsed<bool>::Error("mode: found \"" + name + "\", expected one of " + ModeNames());
  }
  Message* parameters = mode->GetReflection()->MutableMessage(mode, field);
  const auto count = static_cast<size_t>(field->message_type()->field_count());
  if (words.size() != count) {
    std::string expected;
    for (size_t i = 0; i < count; ++i) {
      expected +=
          (i == 0 ? "" : ", ") + SplitUnit(*field->message_type()->field(static_cast<int>(i))).name;
    }
    return Parsed<bool>::Error(name + ": found " + std::to_string(words.size()) +
                               " values, expected " + std::to_string(count) +
                               (count == 0 ? "" : ": " + expected));
  }
  for (size_t i = 0; i < count; ++i) {
    Parsed<bool> set =
        SetFieldFromText(*field->message_type()->field(static_cast<int>(i)), words[i], parameters);
    if (!set.ok()) return set;
  }
  return true;
}

// The Python application takes a mode's code as well, decimal or "0x29": puts the name in its
// place.
bool NameMode(Session& session, const std::string& device, std::string* word, ExitCode* exit_code) {
  char* end = nullptr;
  const long code = std::strtol(word->c_str(), &end, 0);
  if (word->empty() || *end != '\0') return true;
  v1::ListModesRequest request;
  request.set_device_id(device);
  v1::ListModesResponse response;
  const grpc::Status status = session.Call<Service>(&Service::Stub::ListModes, request, &response);
  if (!status.ok()) {
    *exit_code = session.Fail(status);
    return false;
  }
  for (const v1::PowerConverterModeInfo& mode : response.modes()) {
    if (mode.code() == code) *word = mode.name();
  }
  return true;
}

ExitCode Set(Session& session, SetArguments arguments) {
  if (arguments.device == "mode" || ShortModes().contains(arguments.device)) {
    return session.Usage("found \"" + arguments.device +
                         "\" where the converter's id stands: canhubctl pcs set ID " +
                         arguments.device + " …");
  }
  if (arguments.words.size() > 1 && arguments.words[0] == "mode") {
    ExitCode failed = ExitCode::kOk;
    if (!NameMode(session, arguments.device, &arguments.words[1], &failed)) return failed;
  }
  if (arguments.update && arguments.stop_first) {
    return session.Usage("--update is for a converter that runs on; --stop-first stops it");
  }
  v1::PowerConverterMode mode;
  const Parsed<bool> read = ReadMode(arguments.words, &mode);
  if (!read.ok()) return session.Usage(read.error());
  if (arguments.update) {
    v1::UpdateParametersRequest request;
    *request.mutable_mode() = mode;
    request.set_divide(arguments.divide);
    return PcsCommand(session, arguments.device, &Service::Stub::UpdateParameters, request,
                      session.CommandTimeout());
  }
  v1::SetModeRequest request;
  *request.mutable_mode() = mode;
  request.set_stop_first(arguments.stop_first);
  request.set_divide(arguments.divide);
  return PcsCommand(session, arguments.device, &Service::Stub::SetMode, request,
                    StartTimeout(session));
}

ExitCode SetTime(Session& session, const std::string& device, const std::string& text) {
  v1::SetTimeRequest request;
  if (text != "utc") {
    WallTime time = Now();
    if (!text.empty()) {
      const Parsed<WallTime> parsed = ParseTimePoint(text, time);
      if (!parsed.ok()) return session.Usage("time " + parsed.error());
      time = *parsed;
    }
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm local{};
    localtime_r(&seconds, &local);
    v1::PowerConverterTime* out = request.mutable_time();
    out->set_year(local.tm_year + 1900);
    out->set_month(local.tm_mon + 1);
    out->set_day(local.tm_mday);
    out->set_hour(local.tm_hour);
    out->set_minute(local.tm_min);
    out->set_second(local.tm_sec);
  }
  return PcsCommand(session, device, &Service::Stub::SetTime, request, session.CommandTimeout());
}

// `type`: one of the device's three sets of four, as the Python application shows them; 0: all.
ExitCode Protection(Session& session, const std::string& device,
                    const std::vector<std::string>& assignments, int type) {
  if (assignments.empty()) {
    v1::GetProtectionResponse response;
    ExitCode exit_code;
    if (!PcsRead(session, device, &Service::Stub::GetProtection, &response, &exit_code)) {
      return exit_code;
    }
    const auto* fields = v1::PowerConverterProtection::descriptor();
    v1::PowerConverterProtection shown = response.protection();
    for (int i = 0; type != 0 && i < fields->field_count(); ++i) {
      if (i / 4 + 1 != type) shown.GetReflection()->ClearField(&shown, fields->field(i));
    }
    for (const std::string& line : FieldLines(shown)) session.output().Line(line);
    return ExitCode::kOk;
  }
  v1::SetProtectionRequest request;
  const Parsed<bool> set = SetFieldsFromText(assignments, request.mutable_protection());
  if (!set.ok()) return session.Usage(set.error());
  return PcsCommand(session, device, &Service::Stub::SetProtection, request,
                    session.CommandTimeout());
}

// Shows or sets settings, "" for all.
ExitCode Setting(Session& session, const std::string& device, const std::string& name,
                 const std::vector<std::string>& assignments) {
  if (!assignments.empty()) {
    v1::SetSettingRequest request;
    const FieldDescriptor* field = request.GetDescriptor()->FindFieldByName(name);
    const Parsed<bool> set =
        SetFieldsFromText(assignments, request.GetReflection()->MutableMessage(&request, field));
    if (!set.ok()) return session.Usage(set.error());
    return PcsCommand(session, device, &Service::Stub::SetSetting, request,
                      session.CommandTimeout());
  }
  v1::GetSettingsResponse response;
  ExitCode exit_code;
  if (!PcsRead(session, device, &Service::Stub::GetSettings, &response, &exit_code)) {
    return exit_code;
  }
  const auto* type = response.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    if (!name.empty() && type->field(i)->name() != name) continue;
    const std::vector<std::string> lines =
        FieldLines(response.GetReflection()->GetMessage(response, type->field(i)));
    if (name.empty()) session.output().Line(type->field(i)->name());
    for (const std::string& line : lines) session.output().Line((name.empty() ? "  " : "") + line);
  }
  return ExitCode::kOk;
}

std::vector<std::string> SettingNames() {
  std::vector<std::string> names;
  const auto* type = v1::GetSettingsResponse::descriptor();
  for (int i = 0; i < type->field_count(); ++i) names.push_back(type->field(i)->name());
  return names;
}

struct SettingArguments {
  std::string device;
  std::string name;
  std::vector<std::string> assignments;
};

void AddSetting(CLI::App& pcs, Session& session, const char* name, const char* description,
                const char* examples, std::vector<std::string> choices,
                std::function<std::string(const std::string&)> setting_of) {
  CLI::App* command = AddCommand(pcs, name, description, examples);
  auto arguments = std::make_shared<SettingArguments>();
  AddConverter(*command, session, arguments->device);
  if (!choices.empty()) {
    session.Choices(command->add_option("which", arguments->name, "which setting"),
                    std::move(choices));
  }
  command->add_option("assignments", arguments->assignments,
                      "NAME=VALUE: what to set; without: show");
  command->callback([&session, arguments, setting_of] {
    session.action = [&session, arguments, setting_of] {
      return Setting(session, arguments->device, setting_of(arguments->name),
                     arguments->assignments);
    };
  });
}

// A command to a converter without anything else to say.
template <typename Request, typename Response>
void AddPlain(CLI::App& pcs, Session& session, const char* name, const char* description,
              PcsMethod<Request, Response> method) {
  CLI::App* command =
      AddCommand(pcs, name, description, "canhubctl pcs " + std::string(name) + " pcs1");
  auto device = std::make_shared<std::string>();
  AddConverter(*command, session, *device);
  command->callback([&session, device, method] {
    session.action = [&session, device, method] {
      return PcsCommand(session, *device, method, Request(), StartTimeout(session));
    };
  });
}

}  // namespace

void AddPcsActCommands(CLI::App& pcs, Session& session) {
  {
    CLI::App* command = AddCommand(
        pcs, "set", "set a mode and its parameters; negative charges. Nothing is started by it",
        "canhubctl pcs set pcs1 cv 400                constant voltage\n"
        "canhubctl pcs set pcs1 cc -50A               constant current, charging\n"
        "canhubctl pcs set pcs1 cp 10kW               constant power\n"
        "canhubctl pcs set pcs1 cccv 400 -50 5        voltage, current, end current\n"
        "canhubctl pcs set pcs1 cc -30 --update       while it runs\n"
        "canhubctl pcs set rack cc -100 --divide      a group: 50 A for each of two\n"
        "canhubctl pcs set pcs1 mode dc_ramp_voltage 300 400 60\n"
        "canhubctl pcs set pcs1 mode 0x27 300 400 60  the same by its code");
    auto arguments = std::make_shared<SetArguments>();
    AddConverter(*command, session, arguments->device);
    command
        ->add_option(
            "mode", arguments->words,
            "cv V, cc A, cp W, cccv V A END, or mode NAME-OR-CODE P1 … (canhubctl pcs modes)")
        ->required();
    command->add_flag("--stop-first", arguments->stop_first, "stop it first, if it runs");
    command->add_flag("--update", arguments->update, "only the parameters, while it runs on");
    command->add_flag("--divide", arguments->divide,
                      "of a group: currents and powers are divided among its members");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return Set(session, *arguments); };
    });
  }
  AddPlain(pcs, session, "enable", "start the mode that is set", &Service::Stub::Start);
  AddPlain(pcs, session, "reset-faults", "clear the fault; start it again afterwards",
           &Service::Stub::ClearFaults);
  {
    CLI::App* command = AddCommand(pcs, "disable", "stop, ahead of every other command",
                                   "canhubctl pcs disable pcs1\n"
                                   "canhubctl pcs disable rack --standby");
    auto device = std::make_shared<std::string>();
    auto standby = std::make_shared<bool>(false);
    AddConverter(*command, session, *device);
    command->add_flag("--standby", *standby, "then set the mode standby: a start does nothing");
    command->callback([&session, device, standby] {
      session.action = [&session, device, standby] {
        v1::StopRequest request;
        request.set_standby(*standby);
        return PcsCommand(session, *device, &Service::Stub::Stop, request, StartTimeout(session));
      };
    });
  }
  {
    CLI::App* command =
        AddCommand(pcs, "protection", "show or set the protection parameters",
                   "canhubctl pcs protection pcs1\n"
                   "canhubctl pcs read-params pcs1 --type 2      AC voltages and powers alone\n"
                   "canhubctl pcs protection pcs1 max_charge_current=50A max_charge_power=20kW");
    command->alias("read-params");
    auto arguments = std::make_shared<SettingArguments>();
    AddConverter(*command, session, arguments->device);
    command->add_option("assignments", arguments->assignments,
                        "NAME=VALUE: what to set (role engineer); without: show");
    auto type = std::make_shared<int>(0);
    command->add_option("--type", *type, "shows one set: 1, 2 or 3 [all]")->check(CLI::Range(1, 3));
    command->callback([&session, arguments, type] {
      session.action = [&session, arguments, type] {
        return Protection(session, arguments->device, arguments->assignments, *type);
      };
    });
  }
  {
    CLI::App* command =
        AddCommand(pcs, "time", "set its clock",
                   "canhubctl pcs time pcs1                  this machine's local time\n"
                   "canhubctl pcs time pcs1 utc              the daemon's, UTC\n"
                   "canhubctl pcs time pcs1 '2026-03-01 14:03'");
    auto device = std::make_shared<std::string>();
    auto text = std::make_shared<std::string>();
    AddConverter(*command, session, *device);
    command->add_option("time", *text, "utc, or a date and time; without: now");
    command->callback([&session, device, text] {
      session.action = [&session, device, text] { return SetTime(session, *device, *text); };
    });
  }
  AddSetting(pcs, session, "io", "show inputs and outputs, or set outputs",
             "canhubctl pcs io pcs1\n"
             "canhubctl pcs io pcs1 io1_output=on io2_output=off io3_output=off io4_output=off",
             {}, [](const std::string&) { return std::string("io"); });
  AddSetting(pcs, session, "parallel", "show or set what runs in parallel",
             "canhubctl pcs parallel pcs1 module\n"
             "canhubctl pcs parallel pcs1 module parallel_role=host parallel_modules=3\n"
             "canhubctl pcs parallel pcs1 phase inverter_phase=a_host",
             {"module", "channel", "bus", "phase"}, [](const std::string& which) {
               if (which == "channel") return std::string("channel_parallel");
               if (which == "bus") return std::string("bus_parallel");
               if (which == "phase") return std::string("inverter_phase");
               return std::string("module_parallel");
             });
  AddSetting(pcs, session, "settings", "show all stored settings, or set one",
             "canhubctl pcs settings pcs1\n"
             "canhubctl pcs settings pcs1 bus bus_voltage_setting=750V\n"
             "canhubctl pcs settings pcs1 self_start self_start=on",
             SettingNames(), [](const std::string& which) { return which; });
}

void AddPcsCommands(CLI::App& app, Session& session) {
  CLI::App* pcs = AddCommand(app, "pcs", "power converters: typed commands",
                             "canhubctl pcs status\n"
                             "canhubctl pcs set pcs1 cccv 400 -50 5\n"
                             "canhubctl pcs enable pcs1\n"
                             "canhubctl pcs disable pcs1");
  pcs->require_subcommand(1);
  AddPcsShowCommands(*pcs, session);
  AddPcsActCommands(*pcs, session);
}

}  // namespace canhub::ctl
