#include "daemon/rpc/command_call.h"

#include "drivers/api/errors.h"
#include "drivers/api/mutex.h"

namespace canhub {
namespace {

class Results {
 public:
  Results(size_t count, absl::AnyInvocable<void(std::vector<CommandResult>)> done)
      : done_(std::move(done)), results_(count), waiting_(count) {}

  void Ended(size_t place, CommandResult result) {
    std::vector<CommandResult> all;
    {
      MutexLock lock(&mutex_);
      results_[place] = std::move(result);
      if (--waiting_ > 0) return;
      all = std::move(results_);
    }
    done_(std::move(all));
  }

 private:
  absl::AnyInvocable<void(std::vector<CommandResult>)> done_;  // called by the last alone
  Mutex mutex_;
  std::vector<CommandResult> results_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

void SubmitAll(Hub& hub, std::vector<CommandRequest> commands,
               absl::AnyInvocable<void(std::vector<CommandResult>)> done) {
  const auto results = std::make_shared<Results>(commands.size(), std::move(done));
  for (size_t i = 0; i < commands.size(); ++i) {
    hub.gate().Submit(std::move(commands[i]),
                      [results, i](CommandResult result) { results->Ended(i, std::move(result)); });
  }
}

absl::StatusOr<Stage> ReadWaitFor(const v1::CommandOptions& options, Stage otherwise) {
  switch (options.wait_for()) {
    case v1::WAIT_FOR_UNSPECIFIED:
      return otherwise;
    case v1::WAIT_FOR_SENT:
      return Stage::kSent;
    case v1::WAIT_FOR_CONFIRMED:
      return Stage::kConfirmed;
    case v1::WAIT_FOR_SETTLED:
      return Stage::kSettled;
    default:
      return InvalidField("options.wait_for", std::to_string(options.wait_for()),
                          "WAIT_FOR_SENT, WAIT_FOR_CONFIRMED or WAIT_FOR_SETTLED");
  }
}

absl::StatusOr<CommandRequest> MakeCommand(const RpcContext& rpc,
                                           const grpc::ServerContextBase& context,
                                           const Caller& caller, const std::string& device_id,
                                           CommandContent what, const v1::CommandOptions& options) {
  const absl::StatusOr<Stage> wait_for = ReadWaitFor(options, Stage::kConfirmed);
  if (!wait_for.ok()) return wait_for.status();
  return CommandRequest{.caller = caller,
                        .device_id = device_id,
                        .what = std::move(what),
                        .wait_for = *wait_for,
                        .deadline = DeadlineOf(rpc, context),
                        .request_id = options.request_id(),
                        .lease_id = options.lease_id()};
}

absl::Status OfDevice(const std::string& device_id, const absl::Status& status) {
  return Annotate(status, "", {{"device_id", device_id}});
}

bool IsSimulated(const Hub& hub, const std::string& device_id) {
  const std::optional<Hub::DeviceView> device = hub.FindDevice(device_id);
  return device && device->setup->simulated;
}

}  // namespace canhub
