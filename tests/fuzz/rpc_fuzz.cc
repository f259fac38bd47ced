// Any method of any service with any bytes as its request, through gRPC itself, against a lab of
// simulated devices on a virtual clock. Every call ends, none with an error that would be our bug,
// and nothing acts on a device without a command that the gate has granted (S01, S07).
//
// A lab lives for many inputs, because making one takes longer than hundreds of calls. What an
// input leaves behind (leases, set-points, faults) is the next one's beginning: when an input alone
// does not repeat a crash, its predecessors of the same run matter.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/testing/fuzz_input.h"
#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using google::protobuf::MethodDescriptor;
using std::chrono::milliseconds;

constexpr int kInputsPerLab = 500;
constexpr int kMostCalls = 4;
// What a call may take on the virtual clock before its client goes away.
constexpr auto kPatience = milliseconds(50);

constexpr char kDevices[] = R"(
  crate0: {driver: iseg, bus: lab, class: crate, address: 0, simulate: true}
  hv0: {driver: iseg, bus: lab, address: 0, simulate: true, sim_channels: 2, limits: {voltage: 1000 V}}
)";

// A method keeps its number when others are added: it is a hash of its name, and a number that is
// none means the next.
const MethodDescriptor& FindMethod(uint16_t number) {
  static const auto* const methods = [] {
    auto* all = new std::map<uint16_t, const MethodDescriptor*>();  // lives to the end
    for (const char* name : {"Hub", "Device", "Item", "Bus", "Lease", "Alarm", "Interlock",
                             "HighVoltage", "Simulation"}) {
      const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
          "canhub.v1." + std::string(name) + "Service");
      Require(service != nullptr, "a service is described", name);
      for (int i = 0; i < service->method_count(); ++i) {
        uint32_t hash = 2166136261;
        for (const char c : service->method(i)->full_name()) {
          hash = (hash ^ static_cast<uint8_t>(c)) * 16777619;
        }
        Require(all->emplace(hash >> 16, service->method(i)).second, "two methods, two numbers",
                service->method(i)->full_name());
      }
    }
    return all;
  }();
  const auto found = methods->lower_bound(number);
  return *(found == methods->end() ? methods->begin() : found)->second;
}

// Counts own frames that act: all but reads and logging on (section 3 of the EDCP facts).
class ActingFrames final : public FrameTap {
 public:
  void OnFrame(const TappedFrame& tapped) override {
    const CanFrame& frame = tapped.frame;
    if (!tapped.own || tapped.error || (frame.id & 1) != 0) return;
    if (frame.dlc == 2 && frame.data[0] == 0xD8 && frame.data[1] == 1) return;
    last = FormatFrame(frame);
    ++count;
  }
  int count = 0;
  std::string last;
};

// The client of one call, unary or streaming.
class Client final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Client(grpc::GenericStub& stub, const MethodDescriptor& method, const std::string& request)
      : slice_(request), request_(&slice_, 1) {
    const std::string path = "/" + method.service()->full_name() + "/" + method.name();
    stub.PrepareBidiStreamingCall(&context_, path, {}, this);
    StartWriteLast(&request_, {});
    StartRead(&response_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }
  bool accepted() {
    const std::lock_guard lock(mutex_);
    return accepted_ || done_;
  }
  bool done() {
    const std::lock_guard lock(mutex_);
    return done_;
  }
  // Once it is done.
  const grpc::Status& status() const { return status_; }
  const std::vector<std::string>& responses() const { return responses_; }

 private:
  void OnReadInitialMetadataDone(bool) override {
    const std::lock_guard lock(mutex_);
    accepted_ = true;
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    std::vector<grpc::Slice> slices;
    std::string bytes;
    if (response_.Dump(&slices).ok()) {
      for (const grpc::Slice& slice : slices) {
        bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
      }
    }
    if (responses_.size() < 16) responses_.push_back(std::move(bytes));
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    const std::lock_guard lock(mutex_);
    status_ = status;
    done_ = true;
  }

  grpc::ClientContext context_;
  grpc::Slice slice_;
  grpc::ByteBuffer request_, response_;
  std::vector<std::string> responses_;  // gRPC's until it is done
  std::mutex mutex_;
  bool accepted_ = false, done_ = false;
  grpc::Status status_;
};

class World {
 public:
  World() : lab_({.max_calls_per_second = 0}, Hooks(), {.devices = kDevices}) {
    lab_.WaitPolled();
    lab_.hub().FindBus("lab")->bus->AddTap(&acting_);
  }
  ~World() { lab_.hub().FindBus("lab")->bus->RemoveTap(&acting_); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void Run(FuzzInput& input, Role role) {
    lab_.SetRole(role);
    for (int i = 0; i < kMostCalls && !input.empty(); ++i) {
      const MethodDescriptor& method = FindMethod(input.Take<uint16_t>());
      Call(method, input.Text(input.Take<uint16_t>() % 2048));
    }
    lab_.RunFor(milliseconds(1));
    if (acting_.count == 0) return;
    Require(Granted(), "S01: no frame acts without a granted command", acting_.last);
  }

 private:
  static RpcHooks Hooks() {
    RpcHooks hooks;
    hooks.reload = [](bool) -> absl::StatusOr<ReloadOutcome> { return ReloadOutcome(); };
    hooks.set_log_level = [](LogLevel level) { return level; };
    hooks.advance = [](Duration) { return absl::OkStatus(); };
    return hooks;
  }

  bool Granted() {
    absl::StatusOr<AuditPage> page = lab_.audit().Query({.limit = 1'000'000});
    for (const AuditEntry& entry : page->entries) {
      if (entry.kind == "command" || entry.kind == "safe_action" || entry.kind == "frame") {
        return true;
      }
    }
    return false;
  }

  void Call(const MethodDescriptor& method, const std::string& request) {
    Client client(stub_, method, request);
    const MonoTime end = lab_.clock().Now() + kPatience;
    if (method.server_streaming()) {
      lab_.WaitHeld([&] { return client.accepted(); });
      lab_.RunFor(milliseconds(1));
      client.Cancel();
    }
    while (!client.done()) {
      if (method.server_streaming() || !lab_.server().AwaitsTime()) {
        std::this_thread::yield();
      } else if (lab_.clock().Now() >= end) {
        client.Cancel();
        lab_.WaitHeld([&] { return client.done(); });
      } else {
        lab_.RunFor(milliseconds(5));
      }
    }
    Check(method, request, client);
  }

  void Check(const MethodDescriptor& method, const std::string& request, const Client& client) {
    const grpc::Status& status = client.status();
    const std::string what = method.full_name() + ": " + std::to_string(status.error_code()) + " " +
                             status.error_message();
    std::unique_ptr<google::protobuf::Message> message(
        factory_.GetPrototype(method.input_type())->New());
    // What is no message at all is refused by gRPC, with INTERNAL.
    if (!message->ParseFromString(request)) {
      Require(!status.ok(), "nonsense is refused", what);
      return;
    }
    Require(status.error_code() != grpc::UNKNOWN && status.error_code() != grpc::INTERNAL,
            "no error is our bug", what);
    std::unique_ptr<google::protobuf::Message> response(
        factory_.GetPrototype(method.output_type())->New());
    for (const std::string& bytes : client.responses()) {
      Require(response->ParseFromString(bytes), "an answer can be read", what);
    }
    if (!status.ok() && status.error_code() != grpc::CANCELLED) {
      Require(!InfoOf(status).reason().empty(), "an error has a reason", what);
    }
  }

  ActingFrames acting_;
  RpcLab lab_;
  grpc::GenericStub stub_{lab_.channel()};
  google::protobuf::DynamicMessageFactory factory_;
};

// One for those who may only look, where nothing at all may act, and one for all others.
struct Place {
  std::unique_ptr<World> world;
  int inputs = 0;
};

void Run(FuzzInput input) {
  static constexpr Role kRoles[] = {Role::kEngineer, Role::kOperator, Role::kViewer, Role::kNone};
  static auto* const places = new std::array<Place, 2>();  // live to the end
  // A failed expectation of the lab's own is a crash.
  testing::GTEST_FLAG(break_on_failure) = true;
  const Role role = kRoles[input.Below(4)];
  Place& place = (*places)[role >= Role::kOperator ? 1 : 0];
  if (place.world == nullptr || ++place.inputs >= kInputsPerLab) {
    place.world.reset();
    place.world = std::make_unique<World>();
    place.inputs = 0;
  }
  place.world->Run(input, role);
}

}  // namespace
}  // namespace canhub

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::Run(canhub::FuzzInput(data, size));
  return 0;
}
