// grpc.health.v1, reflection and channelz.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using grpc::StatusCode;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";
constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
// Of grpc.health.v1.HealthCheckResponse.
enum Health : uint32_t { kServing = 1, kNotServing = 2, kServiceUnknown = 3 };

grpc::ByteBuffer ToBuffer(const google::protobuf::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

std::string ToBytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// A message of gRPC's own services, whose generated headers no package has.
std::unique_ptr<google::protobuf::Message> NewMessage(const std::string& type) {
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  if (descriptor == nullptr) return nullptr;
  return std::unique_ptr<google::protobuf::Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
}

// Health messages have the wire form of these wrappers: one field, number 1.
grpc::ByteBuffer HealthRequest(const std::string& service) {
  google::protobuf::StringValue request;
  request.set_value(service);
  return ToBuffer(request);
}
uint32_t HealthOf(const grpc::ByteBuffer& response) {
  google::protobuf::UInt32Value status;
  EXPECT_TRUE(status.ParseFromString(ToBytes(response)));
  return status.value();
}

// One request, then all that comes until the stream ends or is cancelled.
class GenericStream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  GenericStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                grpc::ByteBuffer request)
      : stub_(channel), request_(std::move(request)) {
    stub_.PrepareBidiStreamingCall(&context_, method, {}, this);
    StartRead(&response_);
    StartWriteLast(&request_, {});
    StartCall();
  }
  ~GenericStream() override {
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    over_changed_.wait(lock, [this] { return over_; });
  }
  std::vector<grpc::ByteBuffer> responses() {
    const std::lock_guard lock(mutex_);
    return responses_;
  }
  bool over() {
    const std::lock_guard lock(mutex_);
    return over_;
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    {
      const std::lock_guard lock(mutex_);
      responses_.push_back(response_);
    }
    response_.Clear();
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override {
    const std::lock_guard lock(mutex_);
    over_ = true;
    over_changed_.notify_all();
  }

  grpc::ClientContext context_;
  grpc::GenericStub stub_;
  grpc::ByteBuffer request_, response_;
  std::mutex mutex_;
  std::condition_variable over_changed_;
  std::vector<grpc::ByteBuffer> responses_;
  bool over_ = false;
};

class StandardServicesTest : public testing::Test {
 protected:
  grpc::Status Unary(const std::string& method, const grpc::ByteBuffer& request,
                     grpc::ByteBuffer* response) {
    grpc::GenericStub stub(lab_.channel());
    return lab_.Call([&](auto* context, auto done) {
      stub.UnaryCall(context, method, {}, &request, response, done);
    });
  }
  // 0: unknown there.
  uint32_t Check(const std::string& service) {
    grpc::ByteBuffer response;
    const grpc::Status status = Unary(kCheck, HealthRequest(service), &response);
    if (status.error_code() == StatusCode::NOT_FOUND) return 0;
    EXPECT_TRUE(status.ok()) << status.error_message();
    return HealthOf(response);
  }

  RpcLab lab_;
};

TEST_F(StandardServicesTest, TheDaemonAndItsServicesServeFromTheStart) {
  EXPECT_EQ(Check(""), kServing);
  for (const char* service :
       {"HubService", "DeviceService", "ItemService", "BusService", "LeaseService", "AlarmService",
        "InterlockService", "HighVoltageService", "PowerConverterService", "StuderService",
        "BatteryService", "SimulationService"}) {
    EXPECT_EQ(Check(std::string("canhub.v1.") + service), kServing) << service;
  }
  EXPECT_EQ(Check("hv9"), 0u);
}

TEST_F(StandardServicesTest, ADeviceServesWhileItIsOnlineAndPolled) {
  EXPECT_EQ(Check("hv0"), kNotServing);
  lab_.WaitPolled();
  EXPECT_TRUE(lab_.StepUntil([&] { return Check("hv0") == kServing; }, seconds(1)));
  lab_.Inject("hv0", "silence");
  EXPECT_TRUE(lab_.StepUntil([&] { return Check("hv0") == kNotServing; }, seconds(60)));
  EXPECT_EQ(Check("hv1"), kServing);
  lab_.ClearFaults("hv0");
  EXPECT_TRUE(lab_.StepUntil([&] { return Check("hv0") == kServing; }));
}

TEST_F(StandardServicesTest, HealthIsWatched) {
  GenericStream watch(lab_.channel(), kWatch, HealthRequest("hv0"));
  const auto states = [&] {
    std::vector<uint32_t> states;
    for (const grpc::ByteBuffer& response : watch.responses()) states.push_back(HealthOf(response));
    return states;
  };
  ASSERT_TRUE(lab_.StepUntil([&] { return !states().empty(); }));
  ASSERT_TRUE(lab_.StepUntil([&] { return states().back() == kServing; }));
  lab_.Inject("hv0", "silence");
  ASSERT_TRUE(lab_.StepUntil([&] { return states().back() == kNotServing; }));
}

TEST_F(StandardServicesTest, ReflectionListsAllServices) {
  const auto request = NewMessage("grpc.reflection.v1alpha.ServerReflectionRequest");
  const auto response = NewMessage("grpc.reflection.v1alpha.ServerReflectionResponse");
  ASSERT_NE(request, nullptr);
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString("list_services: \"\"", request.get()));
  GenericStream stream(lab_.channel(), kReflection, ToBuffer(*request));
  ASSERT_TRUE(lab_.StepUntil([&] { return !stream.responses().empty(); }));
  ASSERT_TRUE(response->ParseFromString(ToBytes(stream.responses()[0])));
  const std::string listed = response->ShortDebugString();
  for (const char* service :
       {"canhub.v1.HubService", "canhub.v1.DeviceService", "canhub.v1.ItemService",
        "canhub.v1.BusService", "canhub.v1.LeaseService", "canhub.v1.AlarmService",
        "canhub.v1.InterlockService", "canhub.v1.HighVoltageService",
        "canhub.v1.PowerConverterService", "canhub.v1.StuderService", "canhub.v1.BatteryService",
        "canhub.v1.SimulationService", "grpc.health.v1.Health", "grpc.channelz.v1.Channelz"}) {
    EXPECT_THAT(listed, HasSubstr("\"" + std::string(service) + "\""));
  }
}

TEST_F(StandardServicesTest, ReflectionDescribesAService) {
  const auto request = NewMessage("grpc.reflection.v1alpha.ServerReflectionRequest");
  const auto response = NewMessage("grpc.reflection.v1alpha.ServerReflectionResponse");
  ASSERT_NE(request, nullptr);
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "file_containing_symbol: \"canhub.v1.HighVoltageService\"", request.get()));
  GenericStream stream(lab_.channel(), kReflection, ToBuffer(*request));
  ASSERT_TRUE(lab_.StepUntil([&] { return !stream.responses().empty(); }));
  ASSERT_TRUE(response->ParseFromString(ToBytes(stream.responses()[0])));
  EXPECT_THAT(response->ShortDebugString(), HasSubstr("SetVoltageRequest"));
}

TEST_F(StandardServicesTest, ChannelzCountsTheCallsOfTheServer) {
  EXPECT_EQ(Check(""), kServing);
  const auto request = NewMessage("grpc.channelz.v1.GetServersRequest");
  const auto response = NewMessage("grpc.channelz.v1.GetServersResponse");
  ASSERT_NE(request, nullptr);
  grpc::ByteBuffer answer;
  const grpc::Status status =
      Unary("/grpc.channelz.v1.Channelz/GetServers", ToBuffer(*request), &answer);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_TRUE(response->ParseFromString(ToBytes(answer)));
  EXPECT_THAT(response->ShortDebugString(), HasSubstr("calls_started"));
}

}  // namespace
}  // namespace canhub
