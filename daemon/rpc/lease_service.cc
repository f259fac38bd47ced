// LeaseService: the right of one client to command some devices.
#include <algorithm>
#include <utility>

#include "canhub/v1/lease_service.grpc.pb.h"
#include "daemon/rpc/call.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/item_query.h"
#include "daemon/rpc/lease_view.h"
#include "daemon/rpc/services.h"

namespace canhub {
namespace {

constexpr size_t kMaxPurpose = 200;  // characters, as the proto says; bytes are enough of a bound

void SetLease(const LeaseInfo& lease, const Caller& caller, const TimeView& time, v1::Lease* out) {
  out->set_lease_id(ShownLeaseId(lease, caller));
  out->set_holder(CleanText(lease.holder));
  for (const std::string& device : lease.device_ids) out->add_device_ids(device);
  out->set_purpose(CleanText(lease.purpose));
  SetDuration(lease.window, out->mutable_window());
  SetTimestamp(time.ToWall(lease.acquired), out->mutable_acquire_time());
  SetTimestamp(time.ToWall(lease.expires), out->mutable_expire_time());
  for (const auto& [device, action] : lease.safe_actions) {
    (*out->mutable_safe_actions())[device] = action;
  }
}

absl::Status RequireLeaseId(const std::string& lease_id) {
  if (lease_id.empty()) return MissingField("lease_id", "the id that AcquireLease gave");
  return absl::OkStatus();
}

class LeaseServiceImpl final : public v1::LeaseService::CallbackService {
 public:
  explicit LeaseServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  grpc::ServerUnaryReactor* AcquireLease(grpc::CallbackServerContext* context,
                                         const v1::AcquireLeaseRequest* request,
                                         v1::AcquireLeaseResponse* response) override {
    return Answer(rpc_, context, Role::kOperator, [&](const Caller& caller) -> absl::Status {
      LeaseTable::AcquireRequest acquire{.caller = caller,
                                         .device_ids = ToVector(request->device_ids()),
                                         .purpose = request->purpose(),
                                         .safe_action = request->safe_action()};
      if (acquire.device_ids.empty()) return MissingField("device_ids", "at least one device");
      if (acquire.purpose.size() > kMaxPurpose * 4) {
        return InvalidField("purpose", std::to_string(acquire.purpose.size()) + " bytes",
                            "at most " + std::to_string(kMaxPurpose) + " characters");
      }
      if (request->has_window()) {
        const absl::StatusOr<Duration> window = ReadDuration(
            request->window(), "window", LeaseTable::kMinWindow, LeaseTable::kMaxWindow);
        if (!window.ok()) return window.status();
        acquire.window = *window;
      }
      const absl::StatusOr<LeaseInfo> lease = rpc_.hub->leases().Acquire(acquire);
      if (!lease.ok()) return lease.status();
      SetLease(*lease, caller, TimeView(rpc_.hub->clock()), response->mutable_lease());
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* KeepLeaseAlive(grpc::CallbackServerContext* context,
                                           const v1::KeepLeaseAliveRequest* request,
                                           v1::KeepLeaseAliveResponse* response) override {
    // Never rate-limited: a busy client must not lose its lease because it is busy.
    return Answer(
        rpc_, context, Role::kOperator,
        [&](const Caller& caller) {
          absl::Status given = RequireLeaseId(request->lease_id());
          if (!given.ok()) return given;
          const absl::StatusOr<LeaseInfo> lease =
              rpc_.hub->leases().KeepAlive(caller, request->lease_id());
          if (!lease.ok()) return lease.status();
          SetTimestamp(TimeView(rpc_.hub->clock()).ToWall(lease->expires),
                       response->mutable_expire_time());
          return absl::OkStatus();
        },
        Limited::kNo);
  }

  grpc::ServerUnaryReactor* ReleaseLease(grpc::CallbackServerContext* context,
                                         const v1::ReleaseLeaseRequest* request,
                                         v1::ReleaseLeaseResponse*) override {
    return Answer(rpc_, context, Role::kOperator, [&](const Caller& caller) {
      absl::Status given = RequireLeaseId(request->lease_id());
      if (!given.ok()) return given;
      return rpc_.hub->leases().Release(caller, request->lease_id(), request->run_safe_actions());
    });
  }

  grpc::ServerUnaryReactor* ListLeases(grpc::CallbackServerContext* context,
                                       const v1::ListLeasesRequest*,
                                       v1::ListLeasesResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller& caller) {
      std::vector<LeaseInfo> leases = rpc_.hub->leases().List();
      std::sort(leases.begin(), leases.end(),
                [](const LeaseInfo& a, const LeaseInfo& b) { return a.acquired < b.acquired; });
      const TimeView time(rpc_.hub->clock());
      for (const LeaseInfo& lease : leases) {
        SetLease(lease, caller, time, response->add_leases());
      }
      return absl::OkStatus();
    });
  }

 private:
  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeLeaseService(RpcContext* rpc) {
  return std::make_unique<LeaseServiceImpl>(rpc);
}

}  // namespace canhub
