#include "clients/canhubctl/session.h"

#include <sys/stat.h>

namespace canhub::ctl {

const std::string* Session::Environment(const std::string& name) const {
  const auto found = environment_.find(name);
  return found == environment_.end() ? nullptr : &found->second;
}

ExitCode Session::Start(Output* output) {
  output_ = output;
  if (!options.timeout.empty()) {
    const Parsed<std::chrono::nanoseconds> timeout = ParseDuration(options.timeout);
    if (!timeout.ok()) return Usage("--timeout: " + timeout.error());
    if (*timeout == std::chrono::nanoseconds(0)) return Usage("--timeout: 0 leaves no time");
    timeout_ = *timeout;
  }
  if (options.request_id.size() > 64) {
    return Usage("--request-id: " + std::to_string(options.request_id.size()) +
                 " characters, at most 64 are allowed");
  }
  if (options.lease.empty()) {
    if (const std::string* lease = Environment("CANHUB_LEASE")) options.lease = *lease;
  }
  const std::string* address = Environment("CANHUB_ADDRESS");
  Failure failure;
  connection_ = Connection::Open(
      ResolveAddress(options.address, address != nullptr ? address->c_str() : nullptr,
                     [](const std::string& path) {
                       struct stat status {};
                       return stat(path.c_str(), &status) == 0;
                     }),
      options.tls, &failure);
  return connection_ != nullptr ? ExitCode::kOk : output->Fail(failure);
}

v1::CommandOptions Session::CommandOptions(int part) const {
  v1::CommandOptions result;
  if (options.wait == "sent") result.set_wait_for(v1::WAIT_FOR_SENT);
  if (options.wait == "confirmed") result.set_wait_for(v1::WAIT_FOR_CONFIRMED);
  if (options.wait == "settled") result.set_wait_for(v1::WAIT_FOR_SETTLED);
  if (!options.request_id.empty()) {
    result.set_request_id(part == 1 ? options.request_id
                                    : options.request_id + "-" + std::to_string(part));
  }
  result.set_lease_id(options.lease);
  return result;
}

void Session::Choices(CLI::Option* option, std::vector<std::string> choices) {
  // The names stand in the help as the value's type, not behind it.
  std::string names;
  for (const std::string& choice : choices) names += (names.empty() ? "" : "|") + choice;
  option->type_name(names);
  option->check(CLI::IsMember(choices).description(""));
  hints_[option] = {Complete::kChoice, std::move(choices)};
}

const CompletionHint* Session::HintOf(const CLI::Option* option) const {
  const auto found = hints_.find(option);
  return found == hints_.end() ? nullptr : &found->second;
}

CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& description,
                     const std::string& examples) {
  CLI::App* command = parent.add_subcommand(name, description);
  if (!examples.empty()) {
    std::string footer = "Examples:";
    size_t start = 0;
    while (start < examples.size()) {
      const size_t end = std::min(examples.find('\n', start), examples.size());
      footer += "\n  " + examples.substr(start, end - start);
      start = end + 1;
    }
    command->footer(footer + "\n");
  }
  return command;
}

}  // namespace canhub::ctl
