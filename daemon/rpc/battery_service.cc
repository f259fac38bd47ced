// BatteryService: typed views of the items of the kind "battery".
#include "canhub/v1/battery_service.grpc.pb.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/rpc/command_call.h"
#include "daemon/rpc/device_watch.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/typed_fields.h"
#include "drivers/api/battery.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

// nullopt: a battery that tells only of itself as a whole, or is not known yet.
std::optional<ItemBlock> ModuleBlock(const ItemTable& items) {
  for (const ItemBlock& block : items.blocks()) {
    if (block.prefix == battery::kModuleBlock) return block;
  }
  return std::nullopt;
}

std::string ModulePrefix(int module) {
  return battery::kModuleBlock + std::to_string(module) + ".";
}

// Of an item that is there and GOOD.
std::optional<Value> Good(const DeviceSnapshot& snapshot, const TimeView& time, ItemId item) {
  const Reading reading = snapshot.Read(item);
  if (reading.EffectiveQuality(time.now()) != Quality::kGood) return std::nullopt;
  return reading.value;
}

class BatteryServiceImpl final : public v1::BatteryService::CallbackService {
 private:
  using Unary = grpc::ServerUnaryReactor*;
  using Context = grpc::CallbackServerContext*;

 public:
  explicit BatteryServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  Unary GetBattery(Context context, const v1::GetBatteryRequest* request,
                   v1::GetBatteryResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const absl::StatusOr<std::vector<Hub::DeviceView>> devices = Devices(request->device_id());
      if (!devices.ok()) return devices.status();
      const TimeView time(rpc_.hub->clock());
      for (const Hub::DeviceView& device : *devices) {
        SetBattery(device, *rpc_.hub->cache().Snapshot(device.index), time,
                   response->add_batteries());
      }
      return absl::OkStatus();
    });
  }

  Unary ListModules(Context context, const v1::ListModulesRequest* request,
                    v1::ListModulesResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) -> absl::Status {
      const absl::StatusOr<Hub::DeviceView> device = Find(request->device_id());
      if (!device.ok()) return device.status();
      const auto snapshot = rpc_.hub->cache().Snapshot(device->index);
      const std::optional<ItemBlock> block = ModuleBlock(snapshot->items());
      if (!block) {
        return MakeError(absl::StatusCode::kUnimplemented, "NO_MODULES",
                         request->device_id() + " tells only of itself as a whole",
                         {{"device_id", request->device_id()}});
      }
      const TimeView time(rpc_.hub->clock());
      std::set<uint32_t> wanted(request->modules().begin(), request->modules().end());
      for (const uint32_t module : wanted) {
        if (module < 1 || module > static_cast<uint32_t>(block->count)) {
          return InvalidField("modules", std::to_string(module),
                              "1 … " + std::to_string(block->count));
        }
        AddModule(*device, *snapshot, static_cast<int>(module), time, response->add_modules());
      }
      if (wanted.empty()) AddModules(*device, *snapshot, time, response);
      return absl::OkStatus();
    });
  }

  grpc::ServerWriteReactor<v1::WatchBatteryResponse>* WatchBattery(
      Context context, const v1::WatchBatteryRequest* request) override {
    using Response = v1::WatchBatteryResponse;
    return WatchStream<Response>::Start(
        rpc_, context,
        [&](const Caller&,
            Kicks kicks) -> absl::StatusOr<std::unique_ptr<MessageSource<Response>>> {
          const absl::StatusOr<std::vector<Hub::DeviceView>> found = Devices(request->device_id());
          if (!found.ok()) return found.status();
          const absl::StatusOr<Duration> min_interval = ReadMinInterval(*request);
          if (!min_interval.ok()) return min_interval.status();
          std::vector<WatchedDevice<Response>> devices;
          for (const Hub::DeviceView& device : *found) {
            devices.push_back(
                {device.index, device.setup->config.id,
                 [this, device, with_modules = request->with_modules()](
                     const DeviceSnapshot& snapshot, const TimeView& time, Response* out) {
                   SetBattery(device, snapshot, time, out->add_batteries());
                   if (with_modules) AddModules(device, snapshot, time, out);
                 }});
          }
          return DeviceWatch<Response>::Open(&rpc_, std::move(devices), *min_interval,
                                             std::move(kicks));
        });
  }

  Unary DetectModules(Context context, const v1::DetectModulesRequest* request,
                      v1::DetectModulesResponse* response) override {
    return AnswerCommand(
        rpc_, context, response, [&](const Caller& caller) -> absl::StatusOr<CommandRequest> {
          const absl::StatusOr<Hub::DeviceView> device = Find(request->device_id());
          if (!device.ok()) return device.status();
          const auto action = RequireAction(*device, battery::action::kDetect);
          if (!action.ok()) return action.status();
          return MakeCommand(rpc_, *context, caller, request->device_id(),
                             ActionCall{battery::action::kDetect, {}}, request->options());
        });
  }

 private:
  absl::StatusOr<Hub::DeviceView> Find(const std::string& device_id) const {
    return RequireDeviceOfKind(*rpc_.hub, device_id, battery::kKind);
  }

  // One, or all; at least one.
  absl::StatusOr<std::vector<Hub::DeviceView>> Devices(const std::string& device_id) const {
    absl::StatusOr<std::vector<Hub::DeviceView>> devices =
        DevicesOfKind(*rpc_.hub, device_id, battery::kKind);
    if (devices.ok() && devices->empty()) {
      return MakeError(absl::StatusCode::kNotFound, "NO_BATTERY", "this daemon has no battery");
    }
    return devices;
  }

  void SetBattery(const Hub::DeviceView& device, const DeviceSnapshot& snapshot,
                  const TimeView& time, v1::Battery* out) const {
    SetFields(snapshot, time, out, battery::kPackPrefix);
    out->set_device_id(device.setup->config.id);
    out->set_simulated(rpc_.simulated[device.index]);
    SetConfiguredFields(*device.setup->driver, device.setup->config, out->mutable_limits());
    out->set_quality(v1::QUALITY_NEVER_READ);
    if (const std::optional<ItemId> voltage = snapshot.items().Find(battery::pack::kVoltage)) {
      const Reading reading = snapshot.Read(*voltage);
      out->set_quality(ToProto(reading.EffectiveQuality(time.now())));
      if (reading.value.has_value()) {
        SetTimestamp(time.ToWall(reading.read_time), out->mutable_read_time());
      }
    }
  }

  static void AddModule(const Hub::DeviceView& device, const DeviceSnapshot& snapshot, int module,
                        const TimeView& time, v1::BatteryModule* out) {
    const std::string prefix = ModulePrefix(module);
    const ItemTable& items = snapshot.items();
    SetFields(snapshot, time, out, prefix);
    out->set_device_id(device.setup->config.id);
    out->set_module(module);
    if (const auto fault = items.Find(prefix + battery::module::kFaultCode);
        fault && out->has_fault_code()) {
      out->set_fault_name(std::string(LabelOf(items.Spec(*fault), out->fault_code())));
    }
    for (int k = 1;; ++k) {
      const std::string cell = prefix + battery::module::kCell + std::to_string(k) + "_";
      if (!items.Find(cell + battery::module::kVoltage)) break;
      v1::BatteryCell* added = out->add_cells();
      added->set_cell(k);
      SetFields(snapshot, time, added, cell);
    }
    for (int k = 1;; ++k) {
      const auto item = items.Find(prefix + battery::module::kSensor + std::to_string(k));
      if (!item) break;
      v1::BatterySensor* added = out->add_sensors();
      added->set_sensor(k);
      if (const auto value = Good(snapshot, time, *item)) {
        added->set_temperature_degc(value->AsNumber());
      }
    }
  }

  // Those that are there.
  template <typename Response>
  static void AddModules(const Hub::DeviceView& device, const DeviceSnapshot& snapshot,
                         const TimeView& time, Response* out) {
    const std::optional<ItemBlock> block = ModuleBlock(snapshot.items());
    for (int module = 1; block && module <= block->count; ++module) {
      const auto item = snapshot.items().Find(ModulePrefix(module) + battery::module::kPresence);
      const auto presence = item ? Good(snapshot, time, *item) : std::nullopt;
      const bool is_there =
          presence && presence->integer() != static_cast<int>(battery::Presence::kAbsent);
      if (is_there) AddModule(device, snapshot, module, time, out->add_modules());
    }
  }

  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeBatteryService(RpcContext* rpc) {
  return std::make_unique<BatteryServiceImpl>(rpc);
}

}  // namespace canhub
