#include "daemon/wiring_fault_command.h"

#include <vector>

#include "daemon/config/problems.h"
#include "daemon/config/quantity.h"

namespace canhub {
namespace {

std::vector<std::string> Split(std::string_view text, std::string_view separators) {
  std::vector<std::string> words;
  while (true) {
    const size_t start = text.find_first_not_of(separators);
    if (start == std::string_view::npos) return words;
    text.remove_prefix(start);
    const size_t end = text.find_first_of(separators);
    words.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return words;
    text.remove_prefix(end);
  }
}

Value ParseValue(const std::string& text) {
  if (text == "true" || text == "false") return Value::Flag(text == "true");
  if (const auto integer = ParseInteger(text)) return Value::Integer(*integer);
  if (const auto number = ParseNumber(text)) return Value::Number(*number);
  return Value::Text(text);
}

absl::Status AddParameter(const std::string& word, Arguments* parameters) {
  const size_t equals = word.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == word.size()) {
    return absl::InvalidArgumentError("found " + Quote(word) + ", expected NAME=VALUE");
  }
  const std::string name = word.substr(0, equals);
  if (FindArgument(*parameters, name) != nullptr) {
    return absl::InvalidArgumentError("found " + name + " twice, expected it once");
  }
  parameters->emplace_back(name, ParseValue(word.substr(equals + 1)));
  return absl::OkStatus();
}

// A positive number of a load's parameter; other names are refused.
absl::Status ReadLoad(const Arguments& parameters, std::optional<int>* channel,
                      std::optional<double>* resistance, std::optional<double>* capacitance) {
  for (const auto& [name, value] : parameters) {
    const bool numeric = value.type() == ValueType::kInteger || value.type() == ValueType::kNumber;
    if (name == "channel" && value.type() == ValueType::kInteger && value.integer() >= 0 &&
        value.integer() < 65536) {
      *channel = static_cast<int>(value.integer());
    } else if (name == "resistance" && numeric) {
      *resistance = value.AsNumber();
    } else if (name == "capacitance" && numeric) {
      *capacitance = value.AsNumber();
    } else {
      return absl::InvalidArgumentError("found " + name + "=" + value.ToString() +
                                        ", expected channel, resistance or capacitance, a number");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FaultCommand> ParseFaultCommand(std::string_view line) {
  static const std::vector<std::string> kVerbs = {"inject", "clear", "load", "faults"};
  const std::vector<std::string> words = Split(line, " \t\r\n");
  const auto wrong = [](const std::string& found, const std::string& expected) {
    return absl::InvalidArgumentError("found " + found + ", expected " + expected);
  };
  if (words.empty()) return wrong("nothing", JoinNames(kVerbs));
  FaultCommand command;
  size_t next = 2;
  if (words[0] == "inject") {
    command.what = FaultCommand::What::kInject;
    if (words.size() < 3) return wrong(Quote(line), "inject DEVICE FAULT [NAME=VALUE …]");
    command.fault = words[next++];
  } else if (words[0] == "clear") {
    command.what = FaultCommand::What::kClear;
    if (words.size() < 2 || words.size() > 3) return wrong(Quote(line), "clear DEVICE [FAULT]");
    if (words.size() == 3) command.fault = words[next++];
  } else if (words[0] == "load") {
    command.what = FaultCommand::What::kLoad;
    if (words.size() < 3) {
      return wrong(Quote(line), "load DEVICE [channel=N] [resistance=OHM] [capacitance=FARAD]");
    }
  } else if (words[0] == "faults") {
    command.what = FaultCommand::What::kList;
    if (words.size() != 2) return wrong(Quote(line), "faults DEVICE");
  } else {
    return wrong(Quote(words[0]), JoinNames(kVerbs) + Suggestion(words[0], kVerbs));
  }
  command.device = words[1];
  for (; next < words.size(); ++next) {
    if (absl::Status status = AddParameter(words[next], &command.parameters); !status.ok()) {
      return status;
    }
  }
  return command;
}

absl::StatusOr<FaultCommand> ParseInjectFlag(std::string_view text) {
  FaultCommand command{.what = FaultCommand::What::kInject};
  const size_t first = text.find(':');
  const size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (first != std::string_view::npos) {
    command.device = text.substr(0, first);
    command.fault = text.substr(
        first + 1, second == std::string_view::npos ? std::string_view::npos : second - first - 1);
  }
  if (command.device.empty() || command.fault.empty()) {
    return absl::InvalidArgumentError("found " + Quote(text) +
                                      ", expected DEVICE:FAULT[:NAME=VALUE,…]");
  }
  if (second == std::string_view::npos) return command;
  for (const std::string& word : Split(text.substr(second + 1), ",")) {
    if (absl::Status status = AddParameter(word, &command.parameters); !status.ok()) return status;
  }
  return command;
}

absl::StatusOr<std::string> RunFaultCommand(const FaultCommand& command,
                                            SimulatorAccess& simulator) {
  switch (command.what) {
    case FaultCommand::What::kInject:
      if (absl::Status status = simulator.InjectFault(command.fault, command.parameters);
          !status.ok()) {
        return status;
      }
      return "";
    case FaultCommand::What::kClear: {
      const absl::StatusOr<int> cleared = simulator.ClearFaults(command.fault);
      if (!cleared.ok()) return cleared.status();
      return std::to_string(*cleared) + " cleared";
    }
    case FaultCommand::What::kLoad: {
      std::optional<int> channel;
      std::optional<double> resistance, capacitance;
      absl::Status status = ReadLoad(command.parameters, &channel, &resistance, &capacitance);
      if (status.ok()) status = simulator.SetLoad(channel, resistance, capacitance);
      if (!status.ok()) return status;
      return "";
    }
    case FaultCommand::What::kList: {
      std::string text;
      for (const auto& [fault, parameters] : simulator.ActiveFaults()) {
        text += (text.empty() ? "" : "\n") + fault;
        for (const auto& [name, value] : parameters) text += " " + name + "=" + value.ToString();
      }
      return text;
    }
  }
  return "";
}

}  // namespace canhub
