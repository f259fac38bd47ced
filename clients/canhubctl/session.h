// What every command needs: global options, the connection, the output, the command options.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "canhub/v1/common.pb.h"
#include "clients/canhubctl/clock.h"
#include "clients/canhubctl/connection.h"
#include "clients/canhubctl/output.h"
#include "clients/canhubctl/units.h"

namespace canhub::ctl {

struct GlobalOptions {
  std::string address;
  TlsFiles tls;
  std::string timeout;  // "": 10 s, or 10 min where a ramp is waited for
  bool json = false;
  bool no_colour = false;
  std::string lease;
  std::string wait;  // "", "sent", "confirmed", "settled"
  std::string request_id;
};

// What the shell may complete at a positional argument or an option's value.
enum class Complete { kNothing, kDevice, kBus, kItem, kAlarm, kLease, kFault, kChoice };
struct CompletionHint {
  Complete kind = Complete::kNothing;
  std::vector<std::string> choices;
};

class Session {
 public:
  explicit Session(std::map<std::string, std::string> environment)
      : environment_(std::move(environment)) {}

  GlobalOptions options;
  // Set by the subcommand that was named; run after all options are known.
  std::function<ExitCode()> action;
  // What follows "--" of `lease run`.
  std::vector<std::string> command_tail;

  // Checks the global options and opens the connection; does not connect. `output` outlives this.
  // Nothing but kOk has been reported already.
  ExitCode Start(Output* output);
  // Only sets where output goes.
  void Attach(Output* output) { output_ = output; }

  Output& output() { return *output_; }
  Connection& connection() { return *connection_; }
  const std::string* Environment(const std::string& name) const;
  const std::map<std::string, std::string>& environment() const { return environment_; }

  std::chrono::nanoseconds timeout() const { return timeout_; }
  bool timeout_given() const { return !options.timeout.empty(); }
  // For calls that wait for the end of a ramp.
  std::chrono::nanoseconds long_timeout() const {
    return timeout_given() ? timeout_ : std::chrono::minutes(10);
  }
  // --wait, --request-id and --lease. `part` tells several commands of one command line apart:
  // the request id gets "-2" for the second.
  v1::CommandOptions CommandOptions(int part = 1) const;
  // A deadline for a call with these options.
  std::chrono::nanoseconds CommandTimeout() const {
    return options.wait == "settled" ? long_timeout() : timeout_;
  }

  template <typename Service, typename Stub, typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response, std::chrono::nanoseconds timeout) {
    const std::unique_ptr<typename Service::Stub> stub = Service::NewStub(connection_->channel());
    grpc::ClientContext context;
    context.set_deadline(Now() + std::chrono::duration_cast<WallTime::duration>(timeout));
    return (stub.get()->*method)(&context, request, response);
  }
  template <typename Service, typename Stub, typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    return Call<Service>(method, request, response, timeout_);
  }
  // A command to a device, with CommandOptions already in it.
  template <typename Service, typename Stub, typename Request, typename Response>
  grpc::Status Command(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                    Response*),
                       const Request& request, Response* response) {
    return Call<Service>(method, request, response, CommandTimeout());
  }

  ExitCode Fail(const grpc::Status& status) { return output_->Fail(connection_->Explain(status)); }
  ExitCode Usage(std::string text) { return output_->Fail(Failure::Usage(std::move(text))); }
  ExitCode FailLocal(std::string text) { return output_->Fail(Failure::Local(std::move(text))); }

  // Completion of an argument; kept beside the CLI11 tree, which has no place for it.
  void Hint(const CLI::Option* option, Complete kind) { hints_[option].kind = kind; }
  // Also checks that the value is one of the choices.
  void Choices(CLI::Option* option, std::vector<std::string> choices);
  const CompletionHint* HintOf(const CLI::Option* option) const;

 private:
  const std::map<std::string, std::string> environment_;
  Output* output_ = nullptr;
  std::unique_ptr<Connection> connection_;
  std::chrono::nanoseconds timeout_ = std::chrono::seconds(10);
  std::map<const CLI::Option*, CompletionHint> hints_;
};

// Adds a subcommand with its examples, shown below its help.
CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& description,
                     const std::string& examples);

}  // namespace canhub::ctl
