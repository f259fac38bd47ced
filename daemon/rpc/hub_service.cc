// HubService: the daemon itself.
#include <algorithm>
#include <utility>

#include "canhub/v1/hub_service.grpc.pb.h"
#include "daemon/rpc/call.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/services.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kDefaultReadyTimeout = seconds(10);
// WaitReady answers this much before the call's deadline, so that the list of devices that are not
// ready reaches the client.
constexpr Duration kAnswerMargin = milliseconds(100);
constexpr uint32_t kDefaultAuditEntries = 100;
constexpr uint32_t kMaxAuditEntries = 1000;

absl::Status NotOffered(std::string_view what) {
  return MakeError(absl::StatusCode::kUnimplemented, "NOT_OFFERED",
                   "this daemon cannot " + std::string(what));
}

// Both scales are in the same order; the proto's starts with UNSPECIFIED.
std::optional<LogLevel> FromProto(v1::LogLevel level) {
  if (level < v1::LOG_LEVEL_TRACE || level > v1::LOG_LEVEL_ERROR) return std::nullopt;
  return static_cast<LogLevel>(level - v1::LOG_LEVEL_TRACE);
}
v1::LogLevel ToProto(LogLevel level) {
  return static_cast<v1::LogLevel>(static_cast<int>(level) + v1::LOG_LEVEL_TRACE);
}
static_assert(static_cast<int>(LogLevel::kTrace) == 0);
static_assert(static_cast<int>(LogLevel::kError) + v1::LOG_LEVEL_TRACE == v1::LOG_LEVEL_ERROR);

void SetAuditEntry(const AuditEntry& entry, v1::AuditEntry* out) {
  out->set_sequence(entry.sequence);
  SetTimestamp(entry.time, out->mutable_time());
  out->set_kind(entry.kind);
  out->set_identity(CleanText(entry.identity));
  out->set_device_id(CleanText(entry.device_id));
  out->set_command_id(entry.command_id);
  out->set_request_id(CleanText(entry.request_id));
  out->set_text(CleanText(entry.text));
  out->set_status(entry.status);
}

absl::StatusOr<AuditQuery> ReadQuery(const v1::QueryAuditRequest& request) {
  AuditQuery query;
  query.device_id = request.device_id();
  query.identity = request.identity();
  if (request.has_from_time()) {
    const absl::StatusOr<WallTime> time = ReadTimestamp(request.from_time(), "from_time");
    if (!time.ok()) return time.status();
    query.from = *time;
  }
  if (request.has_to_time()) {
    const absl::StatusOr<WallTime> time = ReadTimestamp(request.to_time(), "to_time");
    if (!time.ok()) return time.status();
    query.to = *time;
  }
  query.limit = request.limit() == 0 ? kDefaultAuditEntries : request.limit();
  if (query.limit > kMaxAuditEntries) {
    return InvalidField("limit", std::to_string(request.limit()),
                        "at most " + std::to_string(kMaxAuditEntries));
  }
  query.before_sequence = request.before_sequence();
  return query;
}

class HubServiceImpl final : public v1::HubService::CallbackService {
 public:
  explicit HubServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context, const v1::GetInfoRequest*,
                                    v1::GetInfoResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller& caller) {
      Hub& hub = *rpc_.hub;
      response->set_version(rpc_.hooks.version);
      SetTimestamp(hub.clock().ToWall(rpc_.started), response->mutable_start_time());
      response->set_config_file(CleanText(rpc_.hooks.config_file));
      const std::vector<Hub::DeviceView> devices = hub.devices();
      const std::vector<const BusSetup*> buses = hub.buses();
      response->set_device_count(static_cast<uint32_t>(devices.size()));
      response->set_bus_count(static_cast<uint32_t>(buses.size()));
      response->set_any_simulated(
          std::any_of(devices.begin(), devices.end(),
                      [](const Hub::DeviceView& d) { return d.setup->simulated; }) ||
          std::any_of(buses.begin(), buses.end(),
                      [](const BusSetup* bus) { return bus->simulated; }));
      response->set_your_identity(caller.identity);
      response->set_your_role(std::string(ToString(caller.role)));
      response->set_audit_writable(hub.audit().writable());
      for (const std::string& driver : rpc_.hooks.drivers) response->add_drivers(driver);
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* WaitReady(grpc::CallbackServerContext* context,
                                      const v1::WaitReadyRequest* request,
                                      v1::WaitReadyResponse* response) override {
    return AnswerLater(
        rpc_, context, Role::kViewer, [&](const Caller&, std::shared_ptr<PendingCall> call) {
          absl::StatusOr<Duration> timeout = kDefaultReadyTimeout;
          if (request->has_timeout()) {
            timeout = ReadDuration(request->timeout(), "timeout", Duration(0), hours(1));
            if (!timeout.ok()) return call->End(timeout.status());
          }
          MonoTime until = rpc_.hub->clock().Now() + *timeout;
          const MonoTime deadline = DeadlineOf(rpc_, *context);
          if (deadline != kNever) until = std::min(until, deadline - kAnswerMargin);
          rpc_.hub->WaitReady(
              until, [call = std::move(call), response](std::vector<std::string> not_ready) {
                call->Finish([&] {
                  response->set_ready(not_ready.empty());
                  for (const std::string& line : not_ready)
                    response->add_not_ready(CleanText(line));
                  return absl::OkStatus();
                });
              });
        });
  }

  grpc::ServerUnaryReactor* SetLogLevel(grpc::CallbackServerContext* context,
                                        const v1::SetLogLevelRequest* request,
                                        v1::SetLogLevelResponse* response) override {
    return Answer(rpc_, context, Role::kEngineer, [&](const Caller&) {
      if (request->level() == v1::LOG_LEVEL_UNSPECIFIED) {
        return MissingField("level", "LOG_LEVEL_TRACE … LOG_LEVEL_ERROR");
      }
      const std::optional<LogLevel> level = FromProto(request->level());
      if (!level) {
        return InvalidField("level", std::to_string(request->level()),
                            "LOG_LEVEL_TRACE … LOG_LEVEL_ERROR");
      }
      if (!rpc_.hooks.set_log_level) return NotOffered("change its log level");
      response->set_previous(ToProto(rpc_.hooks.set_log_level(*level)));
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* ReloadConfig(grpc::CallbackServerContext* context,
                                         const v1::ReloadConfigRequest* request,
                                         v1::ReloadConfigResponse* response) override {
    return AnswerFrom(
        rpc_.program, rpc_, context, Role::kEngineer, request, response,
        [this](const Caller& caller,
               const v1::ReloadConfigRequest& request) -> absl::StatusOr<v1::ReloadConfigResponse> {
          if (!rpc_.hooks.reload) return NotOffered("reload its configuration");
          const absl::StatusOr<ReloadOutcome> outcome = rpc_.hooks.reload(request.check_only());
          if (!request.check_only()) AuditReload(caller, outcome);
          if (!outcome.ok()) return outcome.status();
          v1::ReloadConfigResponse response;
          for (const std::string& line : outcome->applied) response.add_applied(CleanText(line));
          for (const std::string& line : outcome->needs_restart) {
            response.add_needs_restart(CleanText(line));
          }
          return response;
        });
  }

  grpc::ServerUnaryReactor* QueryAudit(grpc::CallbackServerContext* context,
                                       const v1::QueryAuditRequest* request,
                                       v1::QueryAuditResponse* response) override {
    return AnswerFrom(
        rpc_.disk, rpc_, context, Role::kViewer, request, response,
        [this](const Caller&,
               const v1::QueryAuditRequest& request) -> absl::StatusOr<v1::QueryAuditResponse> {
          const absl::StatusOr<AuditQuery> query = ReadQuery(request);
          if (!query.ok()) return query.status();
          const absl::StatusOr<AuditPage> page = rpc_.hub->audit().Query(*query);
          if (!page.ok()) return page.status();
          v1::QueryAuditResponse response;
          for (const AuditEntry& entry : page->entries)
            SetAuditEntry(entry, response.add_entries());
          response.set_more(page->more);
          return response;
        });
  }

 private:
  void AuditReload(const Caller& caller, const absl::StatusOr<ReloadOutcome>& outcome) {
    AuditEntry entry;
    entry.time = rpc_.hub->clock().WallNow();
    entry.kind = "config";
    entry.identity = caller.identity;
    entry.text = "reload of " + rpc_.hooks.config_file;
    if (outcome.ok()) {
      for (const std::string& line : outcome->applied) entry.text += "; " + line;
    } else {
      entry.text += ": " + std::string(outcome.status().message());
    }
    entry.status = absl::StatusCodeToString(outcome.status().code());
    const absl::Status kept = rpc_.hub->audit().AppendReserved(std::move(entry));
    if (!kept.ok() && rpc_.hooks.log) {
      rpc_.hooks.log(LogLevel::kError,
                     "the audit record lost a reload: " + std::string(kept.message()));
    }
  }

  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeHubService(RpcContext* rpc) {
  return std::make_unique<HubServiceImpl>(rpc);
}

}  // namespace canhub
