// SimulationService: the simulated devices inside this daemon.
#include <chrono>
#include <cmath>
#include <utility>

#include "canhub/v1/simulation_service.grpc.pb.h"
#include "daemon/rpc/call.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/services.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

constexpr Duration kMaxAdvance = std::chrono::hours(1);

absl::Status CheckLoad(std::string_view field, bool given, double value) {
  if (!given || (std::isfinite(value) && value >= 0)) return absl::OkStatus();
  if (!std::isfinite(value)) return InvalidField(field, "a value that is not finite", "at least 0");
  const std::string found = Value::Number(value).ToString();
  return MakeError(absl::StatusCode::kOutOfRange, "LOAD_BELOW_ZERO",
                   std::string(field) + ": found " + found + ", expected at least 0",
                   {{"field", std::string(field)}, {"requested", found}, {"minimum", "0"}});
}

class SimulationServiceImpl final : public v1::SimulationService::CallbackService {
 public:
  explicit SimulationServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  grpc::ServerUnaryReactor* ListFaults(grpc::CallbackServerContext* context,
                                       const v1::ListFaultsRequest* request,
                                       v1::ListFaultsResponse* response) override {
    return AnswerFrom(
        rpc_.simulation, rpc_, context, Role::kViewer, request, response,
        [this](const Caller&,
               const v1::ListFaultsRequest& request) -> absl::StatusOr<v1::ListFaultsResponse> {
          v1::ListFaultsResponse response;
          const absl::StatusOr<Chosen> chosen = Choose(request.device_id());
          if (!chosen.ok()) return chosen.status();
          for (const auto& [id, simulator] : *chosen) {
            v1::DeviceFaults* device = response.add_devices();
            device->set_device_id(id);
            if (const std::optional<Hub::DeviceView> view = rpc_.hub->FindDevice(id)) {
              for (const FaultSpec& spec : view->setup->driver->faults) {
                v1::FaultKind* fault = device->add_faults();
                fault->set_fault(spec.name);
                fault->set_description(spec.description);
                for (const auto& [name, text] : spec.parameters) {
                  (*fault->mutable_parameters())[name] = text;
                }
              }
            }
            for (const auto& [fault, parameters] : simulator->ActiveFaults()) {
              v1::ActiveFault* active = response.add_active();
              active->set_device_id(id);
              active->set_fault(fault);
              for (const auto& [name, value] : parameters) {
                SetValue(value, &(*active->mutable_parameters())[name]);
              }
            }
          }
          return response;
        });
  }

  grpc::ServerUnaryReactor* InjectFault(grpc::CallbackServerContext* context,
                                        const v1::InjectFaultRequest* request,
                                        v1::InjectFaultResponse* response) override {
    return AnswerFrom(
        rpc_.simulation, rpc_, context, Role::kOperator, request, response,
        [this](const Caller& caller,
               const v1::InjectFaultRequest& request) -> absl::StatusOr<v1::InjectFaultResponse> {
          v1::InjectFaultResponse response;
          const absl::StatusOr<SimulatorAccess*> simulator = Require(request.device_id());
          if (!simulator.ok()) return simulator.status();
          if (request.fault().empty()) return MissingField("fault", "one that ListFaults names");
          Arguments parameters;
          for (const auto& [name, value] : request.parameters()) {
            absl::StatusOr<Value> read = ReadValue(value, "parameters." + CleanText(name, 80));
            if (!read.ok()) return read.status();
            parameters.emplace_back(name, *std::move(read));
          }
          const absl::Status status = (*simulator)->InjectFault(request.fault(), parameters);
          if (status.ok())
            Log(caller, request.device_id(), "fault " + request.fault() + " injected");
          if (!status.ok()) return status;
          return response;
        });
  }

  grpc::ServerUnaryReactor* ClearFaults(grpc::CallbackServerContext* context,
                                        const v1::ClearFaultsRequest* request,
                                        v1::ClearFaultsResponse* response) override {
    return AnswerFrom(
        rpc_.simulation, rpc_, context, Role::kOperator, request, response,
        [this](const Caller& caller,
               const v1::ClearFaultsRequest& request) -> absl::StatusOr<v1::ClearFaultsResponse> {
          v1::ClearFaultsResponse response;
          const absl::StatusOr<Chosen> chosen = Choose(request.device_id());
          if (!chosen.ok()) return chosen.status();
          absl::Status failure;
          bool any = false;
          uint32_t cleared = 0;
          for (const auto& [id, simulator] : *chosen) {
            const absl::StatusOr<int> count = simulator->ClearFaults(request.fault());
            if (count.ok()) {
              any = true;
              cleared += static_cast<uint32_t>(*count);
              if (*count > 0) Log(caller, id, "faults cleared");
            } else {
              failure = count.status();
            }
          }
          // A fault that one kind of device does not know is no error when all are asked.
          if (!any && !failure.ok()) return failure;
          response.set_cleared(cleared);
          return response;
        });
  }

  grpc::ServerUnaryReactor* SetLoad(grpc::CallbackServerContext* context,
                                    const v1::SetLoadRequest* request,
                                    v1::SetLoadResponse* response) override {
    return AnswerFrom(
        rpc_.simulation, rpc_, context, Role::kOperator, request, response,
        [this](const Caller& caller,
               const v1::SetLoadRequest& request) -> absl::StatusOr<v1::SetLoadResponse> {
          v1::SetLoadResponse response;
          const absl::StatusOr<SimulatorAccess*> simulator = Require(request.device_id());
          if (!simulator.ok()) return simulator.status();
          if (!request.has_resistance_ohm() && !request.has_capacitance_f()) {
            return MissingField("resistance_ohm", "this or capacitance_f, or both");
          }
          absl::Status status =
              CheckLoad("resistance_ohm", request.has_resistance_ohm(), request.resistance_ohm());
          if (status.ok()) {
            status =
                CheckLoad("capacitance_f", request.has_capacitance_f(), request.capacitance_f());
          }
          if (!status.ok()) return status;
          std::optional<int> channel;
          if (request.has_channel()) {
            if (request.channel() > 0xFFFF) {
              return InvalidField("channel", std::to_string(request.channel()),
                                  "a channel's number");
            }
            channel = static_cast<int>(request.channel());
          }
          std::optional<double> resistance, capacitance;
          if (request.has_resistance_ohm()) resistance = request.resistance_ohm();
          if (request.has_capacitance_f()) capacitance = request.capacitance_f();
          status = (*simulator)->SetLoad(channel, resistance, capacitance);
          if (status.ok()) Log(caller, request.device_id(), "load changed");
          if (!status.ok()) return status;
          return response;
        });
  }

  grpc::ServerUnaryReactor* Advance(grpc::CallbackServerContext* context,
                                    const v1::AdvanceRequest* request,
                                    v1::AdvanceResponse* response) override {
    return AnswerFrom(
        rpc_.program, rpc_, context, Role::kOperator, request, response,
        [this](const Caller&,
               const v1::AdvanceRequest& request) -> absl::StatusOr<v1::AdvanceResponse> {
          if (!rpc_.hooks.advance) {
            return MakeError(absl::StatusCode::kFailedPrecondition, "CLOCK_NOT_STEPPED",
                             "this daemon runs on the real clock, which nobody can advance; start "
                             "it with a stepped clock");
          }
          if (!request.has_by()) return MissingField("by", "more than 0, at most 1 h");
          const absl::StatusOr<Duration> by =
              ReadDuration(request.by(), "by", Duration(1), kMaxAdvance);
          if (!by.ok()) return by.status();
          const absl::Status status = rpc_.hooks.advance(*by);
          if (!status.ok()) return status;
          return v1::AdvanceResponse();
        });
  }

 private:
  using Chosen = std::vector<std::pair<std::string, SimulatorAccess*>>;

  absl::StatusOr<SimulatorAccess*> Require(const std::string& device_id) const {
    if (device_id.empty()) return MissingField("device_id", "the id of a simulated device");
    const auto found = rpc_.hooks.simulators.find(device_id);
    if (found != rpc_.hooks.simulators.end()) return found->second;
    std::string known;
    for (const auto& [id, simulator] : rpc_.hooks.simulators) {
      if (known.size() > 400) {
        known += ", …";
        break;
      }
      known += (known.empty() ? "" : ", ") + id;
    }
    const std::string name = CleanText(device_id, 80);
    return MakeError(absl::StatusCode::kNotFound, "NOT_SIMULATED",
                     "no simulated device \"" + name + "\"; there are: " + known,
                     {{"device_id", name}, {"known", known}});
  }

  // "" means all.
  absl::StatusOr<Chosen> Choose(const std::string& device_id) const {
    if (device_id.empty())
      return Chosen(rpc_.hooks.simulators.begin(), rpc_.hooks.simulators.end());
    const absl::StatusOr<SimulatorAccess*> simulator = Require(device_id);
    if (!simulator.ok()) return simulator.status();
    return Chosen{{device_id, *simulator}};
  }

  void Log(const Caller& caller, const std::string& device_id, const std::string& text) const {
    if (!rpc_.hooks.log) return;
    rpc_.hooks.log(LogLevel::kInfo, device_id + ": " + text + " by " + caller.identity);
  }

  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSimulationService(RpcContext* rpc) {
  return std::make_unique<SimulationServiceImpl>(rpc);
}

}  // namespace canhub
