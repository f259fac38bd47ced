#include "clients/canhubctl/completion.h"

#include <algorithm>
#include <set>

#include "canhub/v1/alarm_service.grpc.pb.h"
#include "canhub/v1/bus_service.grpc.pb.h"
#include "canhub/v1/device_service.grpc.pb.h"
#include "canhub/v1/item_service.grpc.pb.h"
#include "canhub/v1/lease_service.grpc.pb.h"
#include "canhub/v1/simulation_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"

namespace canhub::ctl {
namespace {

// A shell waits while we ask.
constexpr std::chrono::milliseconds kPatience(500);

// "--json" → the option, of this command or of one above it.
const CLI::Option* FindOption(const CLI::App* command, const std::string& name) {
  for (; command != nullptr; command = command->get_parent()) {
    if (const CLI::Option* option = command->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

const CLI::Option* Positional(const CLI::App* command, size_t index) {
  const CLI::Option* last = nullptr;
  for (const CLI::Option* option : command->get_options()) {
    if (!option->get_positional()) continue;
    last = option;
    if (index-- == 0) return option;
  }
  // The last positional of a list takes all further words.
  return last != nullptr && last->get_items_expected_max() > 1 ? last : nullptr;
}

std::vector<std::string> Ask(Session& session, Complete kind, const CompletionPoint& point) {
  std::vector<std::string> names;
  switch (kind) {
    case Complete::kDevice: {
      v1::ListDevicesResponse response;
      session.Call<v1::DeviceService>(&v1::DeviceService::Stub::ListDevices,
                                      v1::ListDevicesRequest(), &response, kPatience);
      for (const v1::Device& device : response.devices()) names.push_back(device.device_id());
      break;
    }
    case Complete::kBus: {
      v1::ListBusesResponse response;
      session.Call<v1::BusService>(&v1::BusService::Stub::ListBuses, v1::ListBusesRequest(),
                                   &response, kPatience);
      for (const v1::Bus& bus : response.buses()) names.push_back(bus.bus_id());
      break;
    }
    case Complete::kItem: {
      const size_t slash = point.prefix.find('/');
      if (slash == std::string::npos) {
        for (const std::string& device : Ask(session, Complete::kDevice, point)) {
          names.push_back(device + "/");
        }
        break;
      }
      v1::ListItemsRequest request;
      *request.add_patterns() = point.prefix.substr(0, slash) + "/*";
      v1::ListItemsResponse response;
      session.Call<v1::ItemService>(&v1::ItemService::Stub::ListItems, request, &response,
                                    kPatience);
      for (const v1::ItemDescriptor& item : response.items()) names.push_back(item.name());
      return StepwiseNames(names, point.prefix);
    }
    case Complete::kAlarm: {
      v1::ListAlarmsResponse response;
      session.Call<v1::AlarmService>(&v1::AlarmService::Stub::ListAlarms, v1::ListAlarmsRequest(),
                                     &response, kPatience);
      for (const v1::Alarm& alarm : response.alarms()) names.push_back(alarm.alarm_id());
      break;
    }
    case Complete::kLease: {
      v1::ListLeasesResponse response;
      session.Call<v1::LeaseService>(&v1::LeaseService::Stub::ListLeases, v1::ListLeasesRequest(),
                                     &response, kPatience);
      for (const v1::Lease& lease : response.leases()) names.push_back(lease.lease_id());
      break;
    }
    case Complete::kFault: {
      v1::ListFaultsRequest request;
      if (!point.positionals.empty()) request.set_device_id(point.positionals[0]);
      v1::ListFaultsResponse response;
      session.Call<v1::SimulationService>(&v1::SimulationService::Stub::ListFaults, request,
                                          &response, kPatience);
      for (const v1::DeviceFaults& device : response.devices()) {
        for (const v1::FaultKind& fault : device.faults()) names.push_back(fault.fault());
      }
      break;
    }
    case Complete::kNothing:
    case Complete::kChoice:
      break;
  }
  return names;
}

}  // namespace

CompletionPoint FindCompletionPoint(const CLI::App& app, Session& session,
                                    const std::vector<std::string>& words) {
  CompletionPoint point;
  point.command = &app;
  if (words.empty()) return point;
  const CLI::Option* pending = nullptr;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (pending != nullptr) {
      if (pending == app.get_option_no_throw("--address")) session.options.address = word;
      pending = nullptr;
      continue;
    }
    if (word.size() > 1 && word[0] == '-') {
      const size_t equals = word.find('=');
      const CLI::Option* option = FindOption(point.command, word.substr(0, equals));
      if (option == nullptr) continue;
      const bool takes_value = option->get_items_expected_max() > 0;
      if (takes_value && equals == std::string::npos) pending = option;
      if (equals != std::string::npos && option == app.get_option_no_throw("--address")) {
        session.options.address = word.substr(equals + 1);
      }
      continue;
    }
    const auto subcommands = point.command->get_subcommands(
        [&word](const CLI::App* subcommand) { return subcommand->get_name() == word; });
    if (!subcommands.empty()) {
      point.command = subcommands.front();
      point.positionals.clear();
    } else {
      point.positionals.push_back(word);
    }
  }
  point.prefix = words.back();
  if (pending != nullptr) {
    point.value = pending;
  } else if (point.prefix.starts_with('-')) {
    point.options = true;
  } else {
    point.value = Positional(point.command, point.positionals.size());
  }
  return point;
}

std::vector<std::string> Candidates(const CompletionPoint& point, const Session& session,
                                    const AskDaemon& ask) {
  std::set<std::string> candidates;
  if (point.options) {
    for (const CLI::App* command = point.command; command != nullptr;
         command = command->get_parent()) {
      for (const CLI::Option* option : command->get_options()) {
        for (const std::string& name : option->get_lnames()) candidates.insert("--" + name);
      }
    }
  } else {
    const bool is_positional = point.value == nullptr || point.value->get_positional();
    if (is_positional && point.positionals.empty()) {
      for (const CLI::App* subcommand :
           point.command->get_subcommands([](const CLI::App*) { return true; })) {
        candidates.insert(subcommand->get_name());
      }
    }
    const CompletionHint* hint = point.value == nullptr ? nullptr : session.HintOf(point.value);
    if (hint != nullptr) {
      candidates.insert(hint->choices.begin(), hint->choices.end());
      // `set` takes NAME VALUE NAME VALUE: only names can be completed.
      const bool is_value = point.command->get_name() == "set" &&
                            point.command->get_parent() != nullptr &&
                            hint->kind == Complete::kItem && point.positionals.size() % 2 == 1;
      if (!is_value && hint->kind != Complete::kChoice && hint->kind != Complete::kNothing) {
        for (const std::string& name : ask(hint->kind, point)) candidates.insert(name);
      }
    }
  }
  std::vector<std::string> result;
  for (const std::string& candidate : candidates) {
    if (candidate.starts_with(point.prefix)) result.push_back(candidate);
  }
  return result;
}

std::vector<std::string> StepwiseNames(const std::vector<std::string>& names,
                                       const std::string& prefix) {
  std::set<std::string> steps;
  for (const std::string& name : names) {
    if (!name.starts_with(prefix)) continue;
    const size_t dot = name.find('.', prefix.size());
    steps.insert(dot == std::string::npos ? name : name.substr(0, dot + 1));
  }
  return {steps.begin(), steps.end()};
}

ExitCode RunComplete(const CLI::App& app, Session& session, const std::vector<std::string>& words) {
  const CompletionPoint point = FindCompletionPoint(app, session, words);
  // Only a connection knows the ids; without one, words and options are still completed.
  const ExitCode started = session.Start(&session.output());
  const auto ask = [&](Complete kind, const CompletionPoint& at) {
    return started == ExitCode::kOk ? Ask(session, kind, at) : std::vector<std::string>();
  };
  for (const std::string& candidate : Candidates(point, session, ask)) {
    session.output().Line(candidate);
  }
  return ExitCode::kOk;
}

std::string CompletionScript(const std::string& shell) {
  if (shell == "bash") {
    return R"(# bash completion for canhubctl.
# Now: source <(canhubctl completion bash)
# Always: canhubctl completion bash > /etc/bash_completion.d/canhubctl
_canhubctl() {
  local IFS=$'\n'
  COMPREPLY=($("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  # "hv0/" and "hv0/ch3." go on.
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/.] ]]; then
    compopt -o nospace
  fi
}
complete -o default -F _canhubctl canhubctl
)";
  }
  if (shell == "zsh") {
    return R"(#compdef canhubctl
# zsh completion for canhubctl.
# Now: source <(canhubctl completion zsh)
# Always: canhubctl completion zsh > "${fpath[1]}/_canhubctl"
_canhubctl() {
  local -a candidates steps
  candidates=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  # "hv0/" and "hv0/ch3." go on: no space after them.
  steps=("${(@M)candidates:#*[/.]}")
  candidates=("${(@)candidates:#*[/.]}")
  [[ -n "${candidates[*]}" ]] && compadd -- "${candidates[@]}"
  [[ -n "${steps[*]}" ]] && compadd -S '' -- "${steps[@]}"
  [[ -z "${candidates[*]}${steps[*]}" ]] && _files
}
if [[ "${funcstack[1]}" == _canhubctl ]]; then
  _canhubctl "$@"
else
  compdef _canhubctl canhubctl
fi
)";
  }
  return R"(# fish completion for canhubctl.
# Now: canhubctl completion fish | source
# Always: canhubctl completion fish > ~/.config/fish/completions/canhubctl.fish
function __canhubctl_complete
    set -l words (commandline -opc)
    $words[1] __complete -- $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c canhubctl -f -a '(__canhubctl_complete)'
)";
}

void AddCompletionCommand(CLI::App& app, Session& session) {
  CLI::App* command =
      AddCommand(app, "completion",
                 "print the shell's completion script; it completes commands, options, devices and "
                 "items",
                 "source <(canhubctl completion bash)\n"
                 "canhubctl completion fish | source");
  auto shell = std::make_shared<std::string>();
  session.Choices(command->add_option("shell", *shell, "which")->required(),
                  {"bash", "zsh", "fish"});
  command->callback([&session, shell] {
    session.action = [&session, shell] {
      session.output().out() << CompletionScript(*shell);
      return ExitCode::kOk;
    };
  });
}

}  // namespace canhub::ctl
