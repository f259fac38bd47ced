// dbc: what a DBC file says, offline. Needs no daemon.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <set>

#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/text_table.h"
#include "drivers/api/can_frame.h"
#include "drivers/formats/dbc.h"
#include "nlohmann/json.hpp"

namespace canhub::ctl {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostFileBytes = size_t{16} << 20;

// kOk, or reported.
ExitCode LoadDbc(Session& session, const std::string& file, dbc::Database* database) {
  std::ifstream stream(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (!stream.is_open() || stream.bad()) return session.FailLocal(file + ": cannot be read");
  if (text.size() > kMostFileBytes) return session.FailLocal(file + ": has more than 16 MiB");
  absl::StatusOr<dbc::Database> loaded = dbc::Parse(text, file);
  if (!loaded.ok()) {
    return session.output().Fail({.exit_code = ExitCode::kRefused,
                                  .code = "INVALID_ARGUMENT",
                                  .reason = "DBC_INVALID",
                                  .text = std::string(loaded.status().message()),
                                  .metadata = {{"file", file}}});
  }
  *database = *std::move(loaded);
  return ExitCode::kOk;
}

std::string IdText(const dbc::Message& message) {
  char text[16];
  std::snprintf(text, sizeof text, message.extended ? "%08X" : "%03X", message.id);
  return text;
}

ExitCode CheckDbc(Session& session, const std::string& file) {
  dbc::Database database;
  if (const ExitCode code = LoadDbc(session, file, &database); code != ExitCode::kOk) return code;
  Output& output = session.output();
  size_t signals = 0, unusable = 0;
  for (const dbc::Message& message : database.messages) {
    signals += message.signals.size();
    unusable += message.problem.empty() ? 0 : 1;
  }
  if (output.json()) {
    Json messages = Json::array();
    for (const dbc::Message& message : database.messages) {
      Json names = Json::array();
      for (const dbc::Signal& signal : message.signals) names.push_back(signal.name);
      messages.push_back({{"name", message.name},
                          {"id", IdText(message)},
                          {"extended", message.extended},
                          {"length", message.length},
                          {"senders", message.senders},
                          {"cycle_ms", message.cycle / std::chrono::milliseconds(1)},
                          {"usable", message.problem.empty()},
                          {"signals", std::move(names)}});
    }
    output.out() << Json{{"file", file},
                         {"messages", std::move(messages)},
                         {"warnings", database.warnings}}
                        .dump(2)
                 << "\n";
    return ExitCode::kOk;
  }
  for (const std::string& warning : database.warnings) {
    output.Line(output.Paint(Colour::kWarn, "warning: ") + warning);
  }
  TextTable table({{"ID"},
                   {"MESSAGE"},
                   {"BYTES", Align::kRight},
                   {"SIGNALS", Align::kRight},
                   {"PERIOD"},
                   {"SENDERS"}});
  for (const dbc::Message& message : database.messages) {
    std::string senders;
    for (const std::string& sender : message.senders) {
      senders += (senders.empty() ? "" : ", ") + sender;
    }
    const auto cycle = message.cycle / std::chrono::milliseconds(1);
    table.AddRow({IdText(message), message.name, std::to_string(message.length),
                  std::to_string(message.signals.size()),
                  cycle > 0 ? std::to_string(cycle) + " ms" : "", senders});
  }
  output.out() << table.ToString();
  output.Line(
      file + ": " + std::to_string(database.messages.size()) + " messages, " +
      std::to_string(signals) + " signals, " + std::to_string(database.warnings.size()) +
      " warnings" +
      (unusable > 0 ? ", " + std::to_string(unusable) + " messages that cannot be used" : ""));
  return ExitCode::kOk;
}

std::string ValueText(const dbc::Signal& signal, dbc::Bits bits) {
  if (const std::string* name = signal.NameOf(bits)) return *name;
  char text[64];
  if (const std::optional<int64_t> whole = signal.PhysicalInteger(bits)) {
    std::snprintf(text, sizeof text, "%lld", static_cast<long long>(*whole));
  } else {
    std::snprintf(text, sizeof text, "%.10g", signal.Physical(bits));
  }
  return signal.unit.empty() ? text : text + (" " + signal.unit);
}

Json SignalJson(const dbc::Signal& signal, dbc::Bits bits) {
  Json json;
  // A float's raw value is its pattern.
  if (signal.is_signed && !signal.is_float) {
    json["raw"] = static_cast<int64_t>(bits);
  } else {
    json["raw"] = bits;
  }
  const double value = signal.Physical(bits);
  if (const std::optional<int64_t> whole = signal.PhysicalInteger(bits)) {
    json["value"] = *whole;
  } else if (std::isfinite(value)) {
    json["value"] = value;
  }
  if (!signal.unit.empty()) json["unit"] = signal.unit;
  if (const std::string* name = signal.NameOf(bits)) json["name"] = *name;
  return json;
}

// One frame; false when it cannot be decoded.
bool ShowFrame(Output& output, const dbc::Message& message, const CandumpLine& line,
               const std::string& stamp) {
  const std::span<const uint8_t> bytes = line.frame.payload();
  if (bytes.size() < static_cast<size_t>(message.length)) {
    output.err() << "canhubctl: " << stamp << " " << FormatFrame(line.frame) << ": " << message.name
                 << " has " << message.length << " bytes, this frame " << bytes.size() << "\n";
    return false;
  }
  std::string text;
  Json signals = Json::object();
  const int unknown = message.ForEach(dbc::Payload(bytes), [&](int index, dbc::Bits bits) {
    const dbc::Signal& signal = message.signals[static_cast<size_t>(index)];
    if (output.json()) {
      signals[signal.name] = SignalJson(signal, bits);
    } else {
      text += " " + signal.name + "=" + ValueText(signal, bits);
    }
  });
  const std::string selector =
      unknown >= 0 ? message.signals[static_cast<size_t>(unknown)].name : "";
  if (output.json()) {
    Json json{{"time", stamp},
              {"interface", line.interface},
              {"message", message.name},
              {"id", IdText(message)},
              {"signals", std::move(signals)}};
    if (unknown >= 0) json["unknown_page_of"] = selector;
    output.out() << json.dump() << "\n";
  } else {
    output.Line(stamp + " " + line.interface + " " + message.name + ":" + text +
                (unknown >= 0 ? " (no page of " + selector + " that the file knows)" : ""));
  }
  return true;
}

ExitCode DecodeLog(Session& session, const std::string& file, const std::string& names) {
  dbc::Database database;
  if (const ExitCode code = LoadDbc(session, file, &database); code != ExitCode::kOk) return code;
  Output& output = session.output();
  std::string text;
  size_t number = 0, strange = 0, unknown = 0, wrong = 0;
  std::set<std::string> refused;
  while (std::getline(std::cin, text)) {
    ++number;
    if (!text.empty() && text.back() == '\r') text.pop_back();
    if (text.empty()) continue;
    const absl::StatusOr<CandumpLine> line = ParseCandumpLine(text);
    if (!line.ok()) {
      if (strange++ == 0) {
        output.err() << "canhubctl: line " << number << ": " << line.status().message() << "\n";
      }
      continue;
    }
    const dbc::Message* message = database.Find(line->frame.id, line->frame.extended);
    if (message == nullptr || line->frame.remote) {
      ++unknown;
      continue;
    }
    if (!names.empty() && !dbc::MatchesAny(names, message->name)) continue;
    if (!message->problem.empty()) {
      if (refused.insert(message->name).second) {
        output.err() << "canhubctl: " << message->problem << "\n";
      }
      ++wrong;
      continue;
    }
    const std::string stamp = text.substr(0, text.find(' '));
    wrong += ShowFrame(output, *message, *line, stamp) ? 0 : 1;
  }
  if (unknown > 0) {
    output.err() << "canhubctl: " << unknown << " frames are of no message in " << file << "\n";
  }
  if (strange > 0) {
    return session.FailLocal(std::to_string(strange) + " of " + std::to_string(number) +
                             " lines are not in the form of candump -l, \"(1700000000.123456) "
                             "can0 181#3DFC7A12AEAF1416\"");
  }
  return wrong > 0 ? session.FailLocal(std::to_string(wrong) + " frames could not be decoded")
                   : ExitCode::kOk;
}

std::string ExpectedAssignment(const dbc::Message& message) {
  std::string signals;
  for (const dbc::Signal& signal : message.signals) {
    signals += (signals.empty() ? "" : ", ") + signal.name;
  }
  return ": expected SIGNAL=NUMBER, SIGNAL one of " + signals;
}

ExitCode EncodeFrame(Session& session, const std::string& file, const std::string& name,
                     const std::vector<std::string>& assignments) {
  dbc::Database database;
  if (const ExitCode code = LoadDbc(session, file, &database); code != ExitCode::kOk) return code;
  const dbc::Message* message = database.Find(name);
  if (message == nullptr) return session.FailLocal(file + ": has no message " + name);
  if (!message->problem.empty()) return session.FailLocal(message->problem);
  if (message->length > 8) return session.FailLocal(name + ": has more than 8 bytes");
  CanFrame frame{.id = message->id,
                 .extended = message->extended,
                 .dlc = static_cast<uint8_t>(message->length)};
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    const int index = message->FindSignal(assignment.substr(0, equals));
    char* end = nullptr;
    const std::string number = equals == std::string::npos ? "" : assignment.substr(equals + 1);
    const double value = std::strtod(number.c_str(), &end);
    if (index < 0 || number.empty() || *end != '\0') {
      return session.Usage("\"" + assignment + "\"" + ExpectedAssignment(*message));
    }
    const dbc::Signal& signal = message->signals[static_cast<size_t>(index)];
    const absl::StatusOr<dbc::Bits> bits = signal.FromPhysical(value);
    if (!bits.ok()) {
      return session.output().Fail(
          {.exit_code = ExitCode::kRefused,
           .code = "OUT_OF_RANGE",
           .reason = "VALUE_DOES_NOT_FIT",
           .text = signal.name + ": " + std::string(bits.status().message())});
    }
    dbc::InsertBits(signal, *bits, {frame.data.data(), frame.dlc});
  }
  session.output().Line(FormatFrame(frame));
  return ExitCode::kOk;
}

}  // namespace

void AddDbcCommands(CLI::App& app, Session& session) {
  CLI::App* dbc = AddCommand(app, "dbc", "what a DBC file says; needs no daemon",
                             "canhubctl dbc check cells.dbc\n"
                             "canhubctl dbc decode cells.dbc < candump.log\n"
                             "canhubctl bus watch can0 | canhubctl dbc decode cells.dbc");
  dbc->require_subcommand(1);
  {
    CLI::App* command =
        AddCommand(*dbc, "check", "messages of the file; what is wrong with it, with line and name",
                   "canhubctl dbc check cells.dbc");
    auto file = std::make_shared<std::string>();
    command->add_option("file", *file, "the DBC")->required();
    command->callback([&session, file] {
      session.action = [&session, file] { return CheckDbc(session, *file); };
    });
  }
  {
    CLI::App* command =
        AddCommand(*dbc, "decode", "decode frames from standard input, in the form of candump -l",
                   "canhubctl dbc decode cells.dbc < candump.log\n"
                   "canhubctl dbc decode cells.dbc --json --messages 'BMU*_pdo1' < candump.log");
    auto file = std::make_shared<std::string>();
    auto names = std::make_shared<std::string>();
    command->add_option("file", *file, "the DBC")->required();
    command->add_option("--messages", *names, "only these; patterns separated by commas")
        ->type_name("NAMES");
    command->callback([&session, file, names] {
      session.action = [&session, file, names] { return DecodeLog(session, *file, *names); };
    });
  }
  {
    CLI::App* command = AddCommand(
        *dbc, "encode", "make a frame, as cansend takes it; signals that are not named are 0",
        "canhubctl dbc encode cells.dbc BMU01_pdo1 CMA_Voltage=47.3 CMA_Current=-96.3");
    struct Arguments {
      std::string file, message;
      std::vector<std::string> signals;
    };
    auto arguments = std::make_shared<Arguments>();
    command->add_option("file", arguments->file, "the DBC")->required();
    command->add_option("message", arguments->message, "its name")->required();
    command->add_option("signals", arguments->signals, "SIGNAL=NUMBER, physical");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] {
        return EncodeFrame(session, arguments->file, arguments->message, arguments->signals);
      };
    });
  }
}

}  // namespace canhub::ctl
