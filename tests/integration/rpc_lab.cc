#include "tests/integration/rpc_lab.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "daemon/config/loader.h"
#include "drivers/all_drivers.h"
#include "google/rpc/status.pb.h"

namespace canhub {
namespace {

constexpr char kConfig[] = R"(
listen: [127.0.0.1:0]
state_directory: /nonexistent
buses:
  lab: {type: simulated, bitrate: 250000}
devices:
)";

constexpr char kDevices[] = R"(
  crate0: {driver: iseg, bus: lab, class: crate, address: 0, simulate: true}
  hv0:
    driver: iseg
    bus: lab
    address: 0
    simulate: true
    sim_model: E16C1
    limits: {voltage: 1000 V}
  hv1: {driver: iseg, bus: lab, address: 1, simulate: true, sim_model: E16C1}
)";

}  // namespace

absl::Status MemoryAudit::Append(AuditEntry entry) { return AppendReserved(std::move(entry)); }

absl::Status MemoryAudit::AppendReserved(AuditEntry entry) {
  const std::lock_guard lock(mutex_);
  entry.sequence = entries_.size() + 1;
  entries_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::StatusOr<AuditPage> MemoryAudit::Query(const AuditQuery& query) {
  const std::lock_guard lock(mutex_);
  AuditPage page;
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (!query.device_id.empty() && entry->device_id != query.device_id) continue;
    if (entry->identity.find(query.identity) == std::string::npos) continue;
    if (query.before_sequence != 0 && entry->sequence >= query.before_sequence) continue;
    if ((query.from && entry->time < *query.from) || (query.to && entry->time >= *query.to)) {
      continue;
    }
    if (page.entries.size() == query.limit) {
      page.more = true;
      break;
    }
    page.entries.push_back(*entry);
  }
  return page;
}

absl::Status MemoryAlarmStore::Save(const AlarmRecord& alarm) {
  if (broken_) return absl::UnavailableError("the disk is full");
  const std::lock_guard lock(mutex_);
  alarms_[alarm.id()] = alarm;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<AlarmRecord>> MemoryAlarmStore::LoadAll() {
  const std::lock_guard lock(mutex_);
  std::vector<AlarmRecord> all;
  for (const auto& [id, alarm] : alarms_) all.push_back(alarm);
  return all;
}

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (!details.ParseFromString(status.error_details()) || details.details_size() != 1 ||
      !details.details(0).UnpackTo(&info)) {
    ADD_FAILURE() << "no ErrorInfo in " << status.error_code() << ": " << status.error_message();
  }
  return info;
}

RpcLab::RpcLab(RpcOptions options, RpcHooks hooks, const RpcLabSetup& setup) {
  const absl::StatusOr<Config> config =
      ParseConfig(std::string(kConfig) + (setup.devices.empty() ? kDevices : setup.devices),
                  "/nonexistent/lab.yaml", AllDrivers());
  LabOptions lab_options;
  lab_options.clock = &clock_;
  lab_options.audit = &audit_;
  lab_options.alarm_store = setup.alarm_store != nullptr ? setup.alarm_store : &own_alarm_store_;
  absl::StatusOr<std::unique_ptr<Lab>> lab =
      config.ok() ? Lab::Create(*config, lab_options) : config.status();
  if (!lab.ok()) {
    ADD_FAILURE() << lab.status();
    std::abort();
  }
  lab_ = *std::move(lab);
  SetRole(Role::kEngineer);
  stepper_ = std::make_unique<LabStepper>(lab_.get(), &clock_);
  options.start_threads = false;
  hooks.simulators = lab_->simulators();
  absl::StatusOr<std::unique_ptr<RpcServer>> server =
      RpcServer::Start(&lab_->hub(), std::move(hooks), std::move(options));
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    std::abort();
  }
  server_ = *std::move(server);
  for (Steppable* step : server_->steppables()) stepper_->Add(step);
  channel_ = server_->InProcessChannel();
  hub_stub = v1::HubService::NewStub(channel_);
  devices = v1::DeviceService::NewStub(channel_);
  items = v1::ItemService::NewStub(channel_);
  buses = v1::BusService::NewStub(channel_);
  leases = v1::LeaseService::NewStub(channel_);
  alarms = v1::AlarmService::NewStub(channel_);
  hv = v1::HighVoltageService::NewStub(channel_);
  simulation = v1::SimulationService::NewStub(channel_);
}

RpcLab::~RpcLab() {
  // The order of the daemon: first nobody can ask any more, then the lab goes. What still steps the
  // server goes before the server.
  server_->Shutdown(std::chrono::milliseconds(0));
  for (Steppable* step : server_->steppables()) stepper_->runner().Remove(step);
  stepper_.reset();
  server_.reset();
}

void RpcLab::SetRole(Role role) { hub().SetAccess(AccessRules({{"*", role}}, Role::kNone)); }

bool RpcLab::StepUntil(const std::function<bool()>& done, Duration limit) {
  const MonoTime end = clock_.Now() + limit;
  while (!done()) {
    if (clock_.Now() >= end) return false;
    stepper_->RunFor(std::chrono::milliseconds(1));
    // gRPC's threads need the processor more than the clock needs to run.
    std::this_thread::yield();
  }
  return true;
}

void RpcLab::WaitHeld(const std::function<bool()>& done) {
  while (!done()) std::this_thread::yield();
}

void RpcLab::WaitPolled() {
  // No client is waited for, so the clock may jump from one moment to the next.
  const bool polled = stepper_->RunUntilTrue(
      [this] {
        for (const Hub::DeviceView& device : hub().devices()) {
          if (!hub().cache().Snapshot(device.index)->polled()) return false;
        }
        return true;
      },
      std::chrono::minutes(2));
  if (polled) return;
  for (const Hub::DeviceView& device : hub().devices()) {
    const auto snapshot = hub().cache().Snapshot(device.index);
    ADD_FAILURE() << device.setup->config.id << ": " << ToString(snapshot->link()) << " "
                  << snapshot->link_text() << ", polled " << snapshot->polled();
  }
}

grpc::Status RpcLab::Call(const Start& start, grpc::ClientContext* context) {
  struct State {
    std::mutex mutex;
    bool done = false;
    grpc::Status status;
  } state;
  grpc::ClientContext own;
  start(context != nullptr ? context : &own, [&](grpc::Status status) {
    const std::lock_guard lock(state.mutex);
    state.status = std::move(status);
    state.done = true;
  });
  const MonoTime end = clock_.Now() + std::chrono::hours(2);
  while (true) {
    {
      const std::lock_guard lock(state.mutex);
      if (state.done) return state.status;
    }
    // The clock stands still while the request or the answer is on its way between threads: how
    // busy the machine is changes nothing.
    if (!server_->AwaitsTime()) {
      std::this_thread::yield();
      continue;
    }
    if (clock_.Now() >= end) {
      ADD_FAILURE() << "the call did not end";
      std::abort();
    }
    stepper_->RunFor(std::chrono::milliseconds(1));
  }
}

void RpcLab::Inject(const std::string& device_id, const std::string& fault,
                    std::optional<int> channel) {
  v1::InjectFaultRequest request;
  request.set_device_id(device_id);
  request.set_fault(fault);
  if (channel) (*request.mutable_parameters())["channel"].set_integer(*channel);
  v1::InjectFaultResponse response;
  const grpc::Status status =
      Rpc(simulation->async(), &v1::SimulationService::StubInterface::async_interface::InjectFault,
          request, &response);
  if (!status.ok()) ADD_FAILURE() << fault << ": " << status.error_message();
}

void RpcLab::ClearFaults(const std::string& device_id) {
  v1::ClearFaultsRequest request;
  request.set_device_id(device_id);
  v1::ClearFaultsResponse response;
  const grpc::Status status =
      Rpc(simulation->async(), &v1::SimulationService::StubInterface::async_interface::ClearFaults,
          request, &response);
  if (!status.ok()) ADD_FAILURE() << status.error_message();
}

}  // namespace canhub
