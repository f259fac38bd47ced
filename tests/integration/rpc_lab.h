// A lab of simulated iseg devices behind a real gRPC server, on a virtual clock that moves only
// while a test waits for something.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "canhub/v1/alarm_service.grpc.pb.h"
#include "canhub/v1/bus_service.grpc.pb.h"
#include "canhub/v1/device_service.grpc.pb.h"
#include "canhub/v1/high_voltage_service.grpc.pb.h"
#include "canhub/v1/hub_service.grpc.pb.h"
#include "canhub/v1/item_service.grpc.pb.h"
#include "canhub/v1/lease_service.grpc.pb.h"
#include "canhub/v1/simulation_service.grpc.pb.h"
#include "daemon/lab_stepper.h"
#include "daemon/rpc/server.h"
#include "daemon/wiring.h"
#include "google/rpc/error_details.pb.h"

namespace canhub {

// Keeps what is appended, newest last.
class MemoryAudit final : public AuditLog {
 public:
  absl::Status Append(AuditEntry entry) override;
  absl::Status AppendReserved(AuditEntry entry) override;
  bool writable() const override { return true; }
  std::string problem() const override { return ""; }
  absl::StatusOr<AuditPage> Query(const AuditQuery& query) override;

 private:
  std::mutex mutex_;
  std::vector<AuditEntry> entries_;
};

class MemoryAlarmStore final : public AlarmStore {
 public:
  // UNAVAILABLE while broken.
  absl::Status Save(const AlarmRecord& alarm) override;
  absl::StatusOr<std::vector<AlarmRecord>> LoadAll() override;
  void SetBroken(bool broken) { broken_ = broken; }

 private:
  std::atomic<bool> broken_{false};
  std::mutex mutex_;
  std::map<std::string, AlarmRecord> alarms_;
};

// google.rpc.ErrorInfo of a failed call; fails the test when there is none.
google::rpc::ErrorInfo InfoOf(const grpc::Status& status);

// What a test may have otherwise.
struct RpcLabSetup {
  // Below `devices:` of the configuration. Default: crate0, hv0 (limit 1000 V) and hv1 on one line.
  std::string devices;
  // Outlives the lab; nullptr: one of its own.
  MemoryAlarmStore* alarm_store = nullptr;
};

class RpcLab {
 public:
  // The in-process client is an engineer.
  explicit RpcLab(RpcOptions options = {}, RpcHooks hooks = {}, const RpcLabSetup& setup = {});
  ~RpcLab();

  Hub& hub() { return lab_->hub(); }
  MemoryAudit& audit() { return audit_; }
  RpcServer& server() { return *server_; }
  SimulatedClock& clock() { return clock_; }
  std::shared_ptr<grpc::Channel> channel() { return channel_; }
  // The role of every caller from now on.
  void SetRole(Role role);

  // Moves the clock until `done`, at most for `limit`.
  bool StepUntil(const std::function<bool()>& done, Duration limit = std::chrono::minutes(10));
  // Waits for other threads; the clock stands still.
  void WaitHeld(const std::function<bool()>& done);
  void RunFor(Duration time) { stepper_->RunFor(time); }
  // Until every device has been polled.
  void WaitPolled();

  // Makes one call and steps the lab while only time can bring it on, until it is over.
  using Start = std::function<void(grpc::ClientContext*, std::function<void(grpc::Status)>)>;
  grpc::Status Call(const Start& start, grpc::ClientContext* context = nullptr);

  // The same for one method: Rpc(hv->async(), &Hv::SetVoltage, request, &response), where Hv is
  // v1::HighVoltageService::StubInterface::async_interface.
  template <typename Async, typename Request, typename Response>
  grpc::Status Rpc(std::type_identity_t<Async>* stub,
                   void (Async::*method)(grpc::ClientContext*, const Request*, Response*,
                                         std::function<void(grpc::Status)>),
                   const Request& request, Response* response,
                   grpc::ClientContext* context = nullptr) {
    return Call(
        [&](grpc::ClientContext* c, std::function<void(grpc::Status)> done) {
          response->Clear();
          (stub->*method)(c, &request, response, std::move(done));
        },
        context);
  }
  // Over SimulationService; fails the test where that does.
  void Inject(const std::string& device_id, const std::string& fault,
              std::optional<int> channel = std::nullopt);
  void ClearFaults(const std::string& device_id);

  std::unique_ptr<v1::HubService::Stub> hub_stub;
  std::unique_ptr<v1::DeviceService::Stub> devices;
  std::unique_ptr<v1::ItemService::Stub> items;
  std::unique_ptr<v1::BusService::Stub> buses;
  std::unique_ptr<v1::LeaseService::Stub> leases;
  std::unique_ptr<v1::AlarmService::Stub> alarms;
  std::unique_ptr<v1::HighVoltageService::Stub> hv;
  std::unique_ptr<v1::SimulationService::Stub> simulation;

 private:
  SimulatedClock clock_;
  MemoryAudit audit_;
  MemoryAlarmStore own_alarm_store_;
  std::unique_ptr<Lab> lab_;
  std::unique_ptr<LabStepper> stepper_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// When a watch's client reads.
enum class Reads { kAlways, kUntilSynced, kNot };

// The client side of a watch: collects everything it reads.
template <typename Response>
class StreamClient final : public grpc::ClientReadReactor<Response> {
 public:
  // `start`: calls the stub's async method with this context and reactor.
  template <typename Start>
  explicit StreamClient(Start start, Reads reads = Reads::kAlways) : reads_(reads) {
    start(&context_, this);
    this->AddHold();
    if (reads == Reads::kNot) {
      stopped_ = true;
    } else {
      this->StartRead(&message_);
    }
    this->StartCall();
  }
  // Cancels and waits for gRPC to be done with it.
  ~StreamClient() override {
    context_.TryCancel();
    Finish();
  }
  void Cancel() { context_.TryCancel(); }
  // The call's status, once over() or cancelled: waits for gRPC to be done with it.
  grpc::Status Finish() {
    if (!std::exchange(released_, true)) this->RemoveHold();
    std::unique_lock lock(mutex_);
    over_changed_.wait(lock, [this] { return over_; });
    return status_;
  }
  // Goes on reading, for one that stopped.
  void Resume() {
    {
      const std::lock_guard lock(mutex_);
      reads_ = Reads::kAlways;
      if (!std::exchange(stopped_, false)) return;
    }
    this->StartRead(&message_);
  }
  std::vector<Response> messages() {
    const std::lock_guard lock(mutex_);
    return messages_;
  }
  size_t count() {
    const std::lock_guard lock(mutex_);
    return messages_.size();
  }
  bool synced() {
    const std::lock_guard lock(mutex_);
    return synced_;
  }
  bool over() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }
  bool accepted() {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }

 private:
  void OnReadInitialMetadataDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    accepted_ = ok;
  }
  void OnReadDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      if (!ok) {
        ended_ = true;
        return;
      }
      messages_.push_back(message_);
      if constexpr (requires(Response r) { r.synced(); }) synced_ |= message_.synced();
      if (reads_ == Reads::kUntilSynced && synced_) {
        stopped_ = true;
        return;
      }
    }
    this->StartRead(&message_);
  }
  void OnDone(const grpc::Status& status) override {
    const std::lock_guard lock(mutex_);
    status_ = status;
    ended_ = over_ = true;
    over_changed_.notify_all();
  }

  grpc::ClientContext context_;
  bool released_ = false;
  Response message_;
  std::mutex mutex_;
  Reads reads_;
  std::condition_variable over_changed_;
  std::vector<Response> messages_;
  grpc::Status status_;
  bool synced_ = false, ended_ = false, over_ = false, accepted_ = false, stopped_ = false;
};

}  // namespace canhub
