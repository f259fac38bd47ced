// studer: units behind an Xcom-CAN, by ids and names of the vendor's catalogue.
#include <memory>
#include <string>
#include <vector>

#include "canhub/v1/studer_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/live_watch.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::StuderService;

template <typename Request, typename Response>
using Method = grpc::Status (StuderService::Stub::*)(grpc::ClientContext*, const Request&,
                                                     Response*);

// A call that only reads; JSON is printed here. `show` prints the rest.
template <typename Request, typename Response, typename Show>
ExitCode Read(Session& session, Method<Request, Response> method, const Request& request,
              Show show) {
  Response response;
  const grpc::Status status = session.Call<StuderService>(method, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    show(response);
  }
  return ExitCode::kOk;
}

// A command; `describe` adds to the receipt's line.
template <typename Request, typename Response, typename Describe>
ExitCode Act(Session& session, Method<Request, Response> method, Request request,
             Describe describe) {
  *request.mutable_options() = session.CommandOptions();
  Response response;
  const grpc::Status status = session.Command<StuderService>(method, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line(request.device_id() + ": " + FormatReceipt(response.receipt()) +
                          describe(response));
  }
  return ExitCode::kOk;
}

std::string WithLabel(const std::string& value, const std::string& label) {
  return label.empty() ? value : value + " (" + label + ")";
}

ExitCode ReadInfo(Session& session, const std::string& device, const std::string& info) {
  v1::ReadUserInfoRequest request;
  request.set_device_id(device);
  request.set_info(info);
  return Read(
      session, &StuderService::Stub::ReadUserInfo, request,
      [&](const v1::ReadUserInfoResponse& response) {
        session.output().Line(response.reading().name() + ": " +
                              WithLabel(FormatReadingValue(response.reading()), response.label()));
      });
}

ExitCode ReadParameter(Session& session, const std::string& device, const std::string& parameter) {
  v1::ReadParameterRequest request;
  request.set_device_id(device);
  request.set_parameter(parameter);
  return Read(session, &StuderService::Stub::ReadParameter, request,
              [&](const v1::ReadParameterResponse& response) {
                const std::string& unit = response.ram().unit();
                std::string line = device + "/" + response.name() + " (" +
                                   std::to_string(response.id()) + "): in force " +
                                   WithLabel(FormatReadingValue(response.ram()), response.label()) +
                                   ", stored " + FormatReadingValue(response.flash());
                if (response.has_minimum() && response.has_maximum()) {
                  line += ", from " + FormatQuantity(response.minimum(), unit) + " to " +
                          FormatQuantity(response.maximum(), unit);
                }
                session.output().Line(line);
              });
}

struct WriteArguments {
  std::string device, parameter, value;
  bool flash = false;
  bool force = false;
};

ExitCode Write(Session& session, const WriteArguments& arguments) {
  v1::WriteParameterRequest request;
  request.set_device_id(arguments.device);
  request.set_parameter(arguments.parameter);
  request.set_part(arguments.flash ? v1::STUDER_PART_FLASH : v1::STUDER_PART_RAM);
  request.set_force(arguments.force);
  // A number, yes or no; anything else is a choice in words.
  const v1::Value value = GuessValue(arguments.value);
  switch (value.kind_case()) {
    case v1::Value::kFlag:
      request.set_value(value.flag() ? 1 : 0);
      break;
    case v1::Value::kInteger:
      request.set_value(static_cast<double>(value.integer()));
      break;
    case v1::Value::kNumber:
      request.set_value(value.number());
      break;
    default:
      request.set_label(arguments.value);
  }
  return Act(session, &StuderService::Stub::WriteParameter, request,
             [](const v1::WriteParameterResponse& response) {
               if (response.skipped()) return std::string("; it had the value already");
               std::string text =
                   "; " + FormatValue(response.written(), "") + " written to " +
                   (response.part() == v1::STUDER_PART_FLASH
                        ? "flash, write " + std::to_string(response.flash_writes()) + " of 1000"
                        : std::string("RAM"));
               if (!response.warning().empty()) text += "\nnote: " + response.warning();
               return text;
             });
}

struct MessageArguments {
  std::string device;
  bool all = false;
  bool watch = false;
  std::string duration;
};

std::string MessageState(const v1::StuderMessage& message) {
  return message.active() ? "active" : message.acknowledged() ? "acknowledged" : "new";
}

ExitCode ListMessages(Session& session, const MessageArguments& arguments) {
  v1::ListMessagesRequest request;
  request.set_device_id(arguments.device);
  request.set_include_history(arguments.all);
  return Read(session, &StuderService::Stub::ListMessages, request,
              [&](const v1::ListMessagesResponse& response) {
                if (response.messages().empty()) return session.output().Line("no message");
                TextTable table({{"DEVICE"},
                                 {"NUMBER", Align::kRight},
                                 {"LAST"},
                                 {"COUNT", Align::kRight},
                                 {"STATE"},
                                 {"WHAT"}});
                for (const v1::StuderMessage& message : response.messages()) {
                  table.AddRow({message.device_id(), std::to_string(message.number()),
                                FormatTime(message.last_time()), std::to_string(message.count()),
                                MessageState(message), message.text()});
                }
                session.output().out() << table.ToString();
              });
}

ExitCode WatchMessages(Session& session, const MessageArguments& arguments) {
  v1::WatchMessagesRequest request;
  request.set_device_id(arguments.device);
  Output& output = session.output();
  const auto show = [&](const v1::WatchMessagesResponse& response) {
    if (!response.has_message()) return true;
    const v1::StuderMessage& message = response.message();
    if (output.json()) {
      output.JsonLine(message);
    } else {
      output.out() << FormatTimeOfDay(Now()) << "  " << message.device_id() << "  "
                   << MessageState(message) << "  " << message.text() << "\n"
                   << std::flush;
    }
    return true;
  };
  return ReadWatch<StuderService>(session, &StuderService::Stub::WatchMessages, request,
                                  arguments.duration,
                                  std::function<bool(const v1::WatchMessagesResponse&)>(show));
}

ExitCode Search(Session& session, const std::vector<std::string>& words, const std::string& device,
                uint32_t limit) {
  v1::SearchCatalogueRequest request;
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  request.set_words(text);
  request.set_device_id(device);
  request.set_limit(limit);
  return Read(
      session, &StuderService::Stub::SearchCatalogue, request,
      [&](const v1::SearchCatalogueResponse& response) {
        if (response.objects().empty()) return session.output().Line("nothing found");
        TextTable table({{"KIND"},
                         {"ID", Align::kRight},
                         {"ITEM"},
                         {"UNIT"},
                         {"DEFAULT", Align::kRight},
                         {"RANGE"},
                         {"WHAT"}});
        for (const v1::StuderObject& object : response.objects()) {
          table.AddRow(
              {object.unit_kind(), std::to_string(object.id()), object.item(), object.unit(),
               object.has_default_value() ? FormatQuantity(object.default_value(), "") : "",
               object.has_minimum() && object.has_maximum()
                   ? FormatQuantity(object.minimum(), "") + " … " +
                         FormatQuantity(object.maximum(), "")
                   : "",
               object.title()});
        }
        session.output().out() << table.ToString();
        if (static_cast<uint32_t>(response.objects_size()) < response.total()) {
          session.output().Line(std::to_string(response.total()) +
                                " in all; --limit shows more, more words show fewer");
        }
      });
}

ExitCode Wear(Session& session, const std::string& device) {
  v1::GetFlashWearRequest request;
  request.set_device_id(device);
  return Read(session, &StuderService::Stub::GetFlashWear, request,
              [&](const v1::GetFlashWearResponse& response) {
                if (response.parameters().empty()) {
                  return session.output().Line("nothing was written to flash by this daemon");
                }
                TextTable table({{"DEVICE"},
                                 {"ID", Align::kRight},
                                 {"PARAMETER"},
                                 {"WRITES", Align::kRight},
                                 {"OF", Align::kRight}});
                for (const v1::FlashWear& wear : response.parameters()) {
                  table.AddRow({wear.device_id(), std::to_string(wear.id()), wear.name(),
                                std::to_string(wear.writes()), std::to_string(wear.guaranteed())});
                }
                session.output().out() << table.ToString();
              });
}

CLI::Option* AddDevice(CLI::App& command, Session& session, std::string& device) {
  CLI::Option* option = command.add_option("device", device, "the unit");
  session.Hint(option, Complete::kDevice);
  return option;
}

void AddReads(CLI::App& studer, Session& session) {
  const auto add = [&](const char* name, const char* what, const char* example, const char* object,
                       ExitCode (*run)(Session&, const std::string&, const std::string&)) {
    CLI::App* command = AddCommand(studer, name, what, example);
    auto device = std::make_shared<std::string>();
    auto id = std::make_shared<std::string>();
    AddDevice(*command, session, *device)->required();
    command->add_option(object, *id, "its id or name")->required();
    command->callback([&session, device, id, run] {
      session.action = [&session, device, id, run] { return run(session, *device, *id); };
    });
  };
  add("info", "read a user info from the unit", "canhubctl studer info xt1 battery_voltage", "info",
      &ReadInfo);
  add("param", "read a parameter: in force, stored, bounds",
      "canhubctl studer param xt1 floating_voltage", "parameter", &ReadParameter);
}

void AddWrites(CLI::App& studer, Session& session) {
  {
    CLI::App* command = AddCommand(studer, "set", "write a parameter to RAM, or to flash",
                                   "canhubctl studer set xt1 1107 16\n"
                                   "canhubctl studer set xt1 1552 Fast\n"
                                   "canhubctl studer set xt1 floating_voltage 54.4 --flash");
    auto arguments = std::make_shared<WriteArguments>();
    AddDevice(*command, session, arguments->device)->required();
    command->add_option("parameter", arguments->parameter, "its id or name")->required();
    command->add_option("value", arguments->value, "a number, true, false, or a choice in words")
        ->required();
    command->add_flag("--flash", arguments->flash,
                      "stored too: a cell is guaranteed for 1000 writes");
    command->add_flag("--force", arguments->force, "also when it has the value already");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return Write(session, *arguments); };
    });
  }
  {
    CLI::App* command =
        AddCommand(studer, "trigger", "trigger a signal", "canhubctl studer trigger xt1 1467");
    auto request = std::make_shared<v1::TriggerSignalRequest>();
    AddDevice(*command, session, *request->mutable_device_id())->required();
    command->add_option("signal", *request->mutable_signal(), "its id or name")->required();
    command->callback([&session, request] {
      session.action = [&session, request] {
        return Act(session, &StuderService::Stub::TriggerSignal, *request,
                   [](const v1::TriggerSignalResponse&) { return std::string(); });
      };
    });
  }
  for (const bool on : {true, false}) {
    CLI::App* command =
        AddCommand(studer, on ? "on" : "off",
                   on ? "switch a unit on" : "switch an Xtender or a solar charger off",
                   on ? "canhubctl studer on xt1" : "canhubctl studer off xt1");
    auto request = std::make_shared<v1::SwitchUnitRequest>();
    AddDevice(*command, session, *request->mutable_device_id())->required();
    request->set_on(on);
    command->callback([&session, request] {
      session.action = [&session, request] {
        return Act(session, &StuderService::Stub::SwitchUnit, *request,
                   [](const v1::SwitchUnitResponse&) { return std::string(); });
      };
    });
  }
}

void AddLists(CLI::App& studer, Session& session) {
  {
    CLI::App* command = AddCommand(studer, "messages", "what units announced",
                                   "canhubctl studer messages\n"
                                   "canhubctl studer messages xt1 --all\n"
                                   "canhubctl studer messages --watch");
    auto arguments = std::make_shared<MessageArguments>();
    AddDevice(*command, session, arguments->device);
    CLI::Option* watch = command->add_flag("--watch", arguments->watch, "show each that comes");
    command->add_flag("--all", arguments->all, "also those that were acknowledged")
        ->excludes(watch);
    command->add_option("--duration", arguments->duration, "end --watch after this time")
        ->type_name("DURATION")
        ->needs(watch);
    command->callback([&session, arguments] {
      session.action = [&session, arguments] {
        return arguments->watch ? WatchMessages(session, *arguments)
                                : ListMessages(session, *arguments);
      };
    });
  }
  {
    CLI::App* command = AddCommand(studer, "search", "find infos and parameters by words",
                                   "canhubctl studer search battery voltage\n"
                                   "canhubctl studer search charge current --device xt1");
    auto words = std::make_shared<std::vector<std::string>>();
    auto device = std::make_shared<std::string>();
    auto limit = std::make_shared<uint32_t>(20);
    command->add_option("words", *words, "all must be found")->required();
    session.Hint(
        command->add_option("--device", *device, "only what this unit has")->type_name("ID"),
        Complete::kDevice);
    command->add_option("--limit", *limit, "at most so many")->type_name("N");
    command->callback([&session, words, device, limit] {
      session.action = [&session, words, device, limit] {
        return Search(session, *words, *device, *limit);
      };
    });
  }
  {
    CLI::App* command = AddCommand(studer, "scan", "ask every address which units there are",
                                   "canhubctl studer scan xcom1");
    auto request = std::make_shared<v1::ScanRequest>();
    AddDevice(*command, session, *request->mutable_device_id())->required();
    command->callback([&session, request] {
      session.action = [&session, request] {
        return Act(session, &StuderService::Stub::Scan, *request,
                   [](const v1::ScanResponse& response) {
                     std::string text;
                     for (const std::string& unit : response.units()) text += "\n  " + unit;
                     return text.empty() ? std::string("; nobody answers") : text;
                   });
      };
    });
  }
  {
    CLI::App* command = AddCommand(studer, "wear", "how often parameters were written to flash",
                                   "canhubctl studer wear");
    auto device = std::make_shared<std::string>();
    AddDevice(*command, session, *device);
    command->callback([&session, device] {
      session.action = [&session, device] { return Wear(session, *device); };
    });
  }
}

}  // namespace

void AddStuderCommands(CLI::App& app, Session& session) {
  CLI::App* studer = AddCommand(app, "studer", "Studer units behind an Xcom-CAN",
                                "canhubctl studer search battery voltage\n"
                                "canhubctl studer info xt1 3000\n"
                                "canhubctl studer set xt1 1107 16");
  studer->require_subcommand(1);
  AddReads(*studer, session);
  AddWrites(*studer, session);
  AddLists(*studer, session);
}

}  // namespace canhub::ctl
