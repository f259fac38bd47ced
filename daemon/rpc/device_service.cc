// DeviceService: all devices, whatever their kind.
#include <algorithm>
#include <map>
#include <utility>

#include "canhub/v1/device_service.grpc.pb.h"
#include "daemon/rpc/call.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/item_query.h"
#include "daemon/rpc/lease_view.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/stream.h"

namespace canhub {
namespace {

v1::LinkState ToProto(LinkState link) {
  switch (link) {
    case LinkState::kSearching:
      return v1::LINK_STATE_SEARCHING;
    case LinkState::kIdentifying:
      return v1::LINK_STATE_IDENTIFYING;
    case LinkState::kOnline:
      return v1::LINK_STATE_ONLINE;
    case LinkState::kLost:
      return v1::LINK_STATE_LOST;
    case LinkState::kBusDown:
      return v1::LINK_STATE_BUS_DOWN;
    case LinkState::kUnsupported:
      return v1::LINK_STATE_UNSUPPORTED;
  }
  return v1::LINK_STATE_UNSPECIFIED;
}

// "voltage" → "1500 V".
std::string LimitText(const DriverInfo& driver, const std::string& name, double value) {
  std::string text = Value::Number(value).ToString();
  for (const LimitSpec& spec : driver.limits) {
    if (name == spec.name && *spec.unit != '\0') return text + " " + spec.unit;
  }
  return text;
}

void SetDevice(const RpcContext& rpc, const Caller& caller, const Hub::DeviceView& view,
               const DeviceCounters& counters, const TimeView& time, v1::Device* out) {
  Hub& hub = *rpc.hub;
  const DeviceSetup& setup = *view.setup;
  const std::shared_ptr<const DeviceSnapshot> snapshot = hub.cache().Snapshot(view.index);
  out->set_device_id(setup.config.id);
  out->set_driver(setup.driver->name);
  out->set_kind(setup.driver->kind);
  out->set_bus(setup.bus_id);
  out->set_address(setup.driver->address(setup.config));
  out->set_link(ToProto(snapshot->link()));
  out->set_link_text(CleanText(snapshot->link_text()));
  out->set_polled(snapshot->polled());
  out->set_simulated(setup.simulated);
  for (const auto& [key, value] : snapshot->identity()) {
    (*out->mutable_identity())[CleanText(key)] = CleanText(value);
  }
  if (counters.last_frame_time) {
    SetTimestamp(time.ToWall(*counters.last_frame_time), out->mutable_last_frame_time());
  }
  out->set_item_count(snapshot->items().size());
  out->set_active_alarms(static_cast<uint32_t>(hub.alarms().ActiveCount(setup.config.id)));
  if (const std::optional<LeaseInfo> lease = hub.leases().Covering(setup.config.id)) {
    out->set_lease_id(ShownLeaseId(*lease, caller));
    out->set_lease_holder(CleanText(lease->holder));
  }
  for (const auto& [name, limit] : setup.config.limits) {
    (*out->mutable_limits())[name] = LimitText(*setup.driver, name, limit);
  }
}

// One device per message; at most one message per device in min_interval.
class DeviceWatch final : public MessageSource<v1::WatchDevicesResponse> {
 public:
  DeviceWatch(RpcContext* rpc, Caller caller, Duration min_interval)
      : rpc_(*rpc), caller_(std::move(caller)), min_interval_(min_interval) {}
  absl::Status Open(const std::vector<std::string>& device_ids, Kicks kicks) {
    auto watch = rpc_.hub->watches().WatchDevices(device_ids, std::move(kicks.direct));
    if (!watch.ok()) return watch.status();
    watch_ = *std::move(watch);
    return absl::OkStatus();
  }

  bool Next(MonoTime now, v1::WatchDevicesResponse* out, MonoTime* ask_again) override {
    const WatchBatch batch = watch_->Drain();
    for (const DeviceIndex device : batch.devices) {
      // The safety system has readings, but is no device.
      if (!rpc_.hub->FindDevice(rpc_.hub->cache().DeviceId(device))) continue;
      const auto [entry, added] = pending_.emplace(device, 0);
      if (!added) ++entry->second;
    }
    coalesced_ += batch.coalesced;
    for (auto entry = pending_.begin(); entry != pending_.end(); ++entry) {
      const auto [device, merged] = *entry;
      const MonoTime allowed = allowed_[device];
      if (now < allowed) {
        *ask_again = std::min(*ask_again, allowed);
        continue;
      }
      // Looked up each time: a reload may have replaced its setup.
      SetDevice(rpc_, caller_, *rpc_.hub->FindDevice(rpc_.hub->cache().DeviceId(device)),
                rpc_.hub->Counters(device), TimeView(rpc_.hub->clock()), out->mutable_device());
      out->set_coalesced_count(merged + static_cast<uint32_t>(std::exchange(coalesced_, 0)));
      allowed_[device] = now + min_interval_;
      pending_.erase(entry);
      return true;
    }
    if (!synced_) {
      synced_ = true;
      out->set_synced(true);
      return true;
    }
    return false;
  }

 private:
  RpcContext& rpc_;
  const Caller caller_;
  const Duration min_interval_;
  std::unique_ptr<Watch> watch_;
  std::map<DeviceIndex, uint32_t> pending_;  // device → changes merged
  std::map<DeviceIndex, MonoTime> allowed_;
  uint64_t coalesced_ = 0;
  bool synced_ = false;
};

class DeviceServiceImpl final : public v1::DeviceService::CallbackService {
 public:
  explicit DeviceServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  grpc::ServerUnaryReactor* ListDevices(grpc::CallbackServerContext* context,
                                        const v1::ListDevicesRequest*,
                                        v1::ListDevicesResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller& caller) {
      std::vector<Hub::DeviceView> devices = rpc_.hub->devices();
      std::sort(devices.begin(), devices.end(), [](const auto& a, const auto& b) {
        return a.setup->config.id < b.setup->config.id;
      });
      const TimeView time(rpc_.hub->clock());
      for (const Hub::DeviceView& device : devices) {
        SetDevice(rpc_, caller, device, rpc_.hub->Counters(device.index), time,
                  response->add_devices());
      }
      for (const DeviceGroup& group : rpc_.hub->groups()) {
        v1::DeviceGroup* out = response->add_groups();
        out->set_group_id(group.id);
        *out->mutable_device_ids() = {group.device_ids.begin(), group.device_ids.end()};
        out->set_on_failure(group.on_failure);
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* GetDevice(grpc::CallbackServerContext* context,
                                      const v1::GetDeviceRequest* request,
                                      v1::GetDeviceResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller& caller) {
      const absl::StatusOr<Hub::DeviceView> device = RequireDevice(*rpc_.hub, request->device_id());
      if (!device.ok()) return device.status();
      const DeviceCounters counters = rpc_.hub->Counters(device->index);
      SetDevice(rpc_, caller, *device, counters, TimeView(rpc_.hub->clock()),
                response->mutable_device());
      v1::DeviceCounters* out = response->mutable_counters();
      out->set_frames_received(counters.frames_received);
      out->set_frames_sent(counters.frames_sent);
      out->set_timeouts(counters.timeouts);
      for (const auto& [reason, count] : counters.bad_frames) {
        (*out->mutable_bad_frames())[CleanText(reason)] = count;
      }
      out->set_mailbox_overflows(counters.mailbox_overflows);
      out->set_commands(counters.commands);
      out->set_commands_refused(counters.commands_refused);
      response->set_last_bad_frame(CleanText(counters.last_bad_frame));
      for (const ActionSpec& action : device->setup->driver->actions) {
        if (action.safe) response->add_safe_actions(action.name);
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerWriteReactor<v1::WatchDevicesResponse>* WatchDevices(
      grpc::CallbackServerContext* context, const v1::WatchDevicesRequest* request) override {
    return WatchStream<v1::WatchDevicesResponse>::Start(
        rpc_, context,
        [&](const Caller& caller, Kicks kicks)
            -> absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchDevicesResponse>>> {
          Duration min_interval{0};
          if (request->has_min_interval()) {
            const absl::StatusOr<Duration> interval = ReadDuration(
                request->min_interval(), "min_interval", Duration(0), std::chrono::hours(24));
            if (!interval.ok()) return interval.status();
            min_interval = *interval;
          }
          for (const std::string& id : request->device_ids()) {
            const absl::Status known = RequireDevice(*rpc_.hub, id).status();
            if (!known.ok()) return known;
          }
          auto watch = std::make_unique<DeviceWatch>(&rpc_, caller, min_interval);
          const absl::Status status =
              watch->Open(ToVector(request->device_ids()), std::move(kicks));
          if (!status.ok()) return status;
          return watch;
        });
  }

  grpc::ServerUnaryReactor* RestartDevice(grpc::CallbackServerContext* context,
                                          const v1::RestartDeviceRequest* request,
                                          v1::RestartDeviceResponse*) override {
    return Answer(rpc_, context, Role::kEngineer, [&](const Caller& caller) {
      const absl::StatusOr<Hub::DeviceView> device = RequireDevice(*rpc_.hub, request->device_id());
      if (!device.ok()) return device.status();
      const absl::Status status = rpc_.hub->RestartDevice(request->device_id());
      AuditEntry entry;
      entry.time = rpc_.hub->clock().WallNow();
      entry.kind = "command";
      entry.identity = caller.identity;
      entry.device_id = request->device_id();
      entry.text = "restart of the driver";
      entry.status = absl::StatusCodeToString(status.code());
      const absl::Status kept = rpc_.hub->audit().AppendReserved(std::move(entry));
      if (!kept.ok() && rpc_.hooks.log) {
        rpc_.hooks.log(LogLevel::kError,
                       "the audit record lost a restart: " + std::string(kept.message()));
      }
      return status;
    });
  }

 private:
  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDeviceService(RpcContext* rpc) {
  return std::make_unique<DeviceServiceImpl>(rpc);
}

}  // namespace canhub
