// What clients are told when devices, clients or time fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/core/real_clock.h"
#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using Hv = v1::HighVoltageService::StubInterface::async_interface;
using Items = v1::ItemService::StubInterface::async_interface;
using Leases = v1::LeaseService::StubInterface::async_interface;

v1::SetVoltageRequest Voltage(const std::string& device, uint32_t channel, double volts) {
  v1::SetVoltageRequest request;
  request.set_device_id(device);
  request.set_channel(channel);
  request.set_voltage_v(volts);
  return request;
}

class FaultsTest : public testing::Test {
 protected:
  void SetUp() override { lab_.WaitPolled(); }

  grpc::Status SetVoltage(const v1::SetVoltageRequest& request,
                          grpc::ClientContext* context = nullptr) {
    return lab_.Rpc(lab_.hv->async(), &Hv::SetVoltage, request, &set_voltage_, context);
  }
  // A deadline that the daemon's virtual clock meets after `left`, and the client's library, which
  // has the real one, not within this test.
  void SetDeadline(grpc::ClientContext* context, Duration left) {
    constexpr auto kNeverHere = std::chrono::hours(1);
    const WallTime real = RealClock().WallNow();
    lab_.clock().JumpWall(real + kNeverHere - left - lab_.clock().WallNow());
    context->set_deadline(
        std::chrono::time_point_cast<std::chrono::system_clock::duration>(real + kNeverHere));
  }
  grpc::Status GetNow(const std::vector<std::string>& names) {
    v1::GetItemsRequest request;
    for (const std::string& name : names) request.add_names(name);
    request.mutable_max_age();
    return lab_.Rpc(lab_.items->async(), &Items::GetItems, request, &got_);
  }
  LinkState Link(const std::string& device) {
    return lab_.hub().cache().Snapshot(lab_.hub().FindDevice(device)->index)->link();
  }
  void Lose(const std::string& device) {
    lab_.Inject(device, "silence");
    ASSERT_TRUE(lab_.StepUntil([&] { return Link(device) == LinkState::kLost; }));
  }

  RpcLab lab_;
  v1::SetVoltageResponse set_voltage_;
  v1::GetItemsResponse got_;
};

TEST_F(FaultsTest, ALostDeviceIsUnavailable) {
  Lose("hv0");
  const grpc::Status status = SetVoltage(Voltage("hv0", 0, 100));
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(InfoOf(status).metadata().at("device_id"), "hv0");
  EXPECT_TRUE(SetVoltage(Voltage("hv1", 0, 100)).ok());
}

TEST_F(FaultsTest, ADeviceLostUnderACommandIsUnavailableAndWhatWasSentIsTold) {
  lab_.Inject("hv0", "silence");
  const grpc::Status status = SetVoltage(Voltage("hv0", 0, 100));
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_THAT(status.error_message(), HasSubstr("done: ch0.voltage_set = 100 V"));
}

TEST_F(FaultsTest, ACommandThatIsNotConfirmedInTimeExceedsItsDeadline) {
  lab_.Inject("hv0", "silence");
  grpc::ClientContext context;
  SetDeadline(&context, milliseconds(200));
  const grpc::Status status = SetVoltage(Voltage("hv0", 0, 100), &context);
  EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED) << status.error_message();
  EXPECT_EQ(InfoOf(status).metadata().at("device_id"), "hv0");
  EXPECT_THAT(status.error_message(), HasSubstr("done: ch0.voltage_set = 100 V"));
}

TEST_F(FaultsTest, TheDeadlineOfTheCallIsTheCommands) {
  v1::SetVoltageRequest request = Voltage("hv0", 2, 1000);
  v1::SwitchOnRequest on;
  on.set_device_id("hv0");
  on.set_channel(2);
  v1::SwitchOnResponse on_response;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::SwitchOn, on, &on_response).ok());
  v1::SetRampRequest ramp;
  ramp.set_device_id("hv0");
  ramp.set_up_v_per_s(10);  // 100 s to 1000 V
  v1::SetRampResponse ramp_response;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::SetRamp, ramp, &ramp_response).ok());

  const MonoTime start = lab_.clock().Now();
  grpc::ClientContext context;
  SetDeadline(&context, seconds(30));
  request.mutable_options()->set_wait_for(v1::WAIT_FOR_SETTLED);
  const grpc::Status status = SetVoltage(request, &context);
  EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(InfoOf(status).metadata().at("device_id"), "hv0");
  EXPECT_LT(lab_.clock().Now() - start, seconds(31));
}

TEST_F(FaultsTest, AReadFromASilentDeviceFailsByNameAndByPattern) {
  Lose("hv0");
  EXPECT_EQ(GetNow({"hv0/ch0.voltage_measure"}).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(GetNow({"hv0/*"}).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(GetNow({"hv1/ch0.voltage_measure"}).ok());
}

// ------------------------------------------------------------------ items a device does not have

class AbsentItemsTest : public FaultsTest {
 protected:
  void SetUp() override {
    FaultsTest::SetUp();
    v1::GetItemsRequest all;
    all.add_names("hv0/*");
    v1::GetItemsResponse response;
    ASSERT_TRUE(lab_.Rpc(lab_.items->async(), &Items::GetItems, all, &response).ok());
    for (const v1::Reading& reading : response.readings()) {
      if (reading.quality() == v1::QUALITY_BAD) absent_.push_back(reading.name());
    }
    ASSERT_FALSE(absent_.empty()) << "this model has all items of its family";
  }
  std::vector<std::string> absent_;
};

TEST_F(AbsentItemsTest, APatternReadsTheOthersAndTheseStayBad) {
  const MonoTime asked = lab_.clock().Now();
  const WallTime before = lab_.clock().ToWall(asked);
  const grpc::Status status = GetNow({"hv0/*"});
  ASSERT_TRUE(status.ok()) << status.error_message();
  int bad = 0;
  for (const v1::Reading& reading : got_.readings()) {
    if (reading.quality() == v1::QUALITY_BAD) ++bad;
    if (reading.name() != "hv0/ch3.voltage_measure") continue;
    const WallTime read(seconds(reading.read_time().seconds()) +
                        Duration(reading.read_time().nanos()));
    EXPECT_GE(read, before);
    EXPECT_EQ(reading.quality(), v1::QUALITY_GOOD);
  }
  EXPECT_EQ(static_cast<size_t>(bad), absent_.size());
}

TEST_F(AbsentItemsTest, AskedForByNameTheyFailTheCall) {
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{absent_[0]}, {"hv0/*", absent_[0]}}) {
    const grpc::Status status = GetNow(names);
    EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(InfoOf(status).reason(), "ITEM_NOT_AVAILABLE");
    EXPECT_EQ("hv0/" + InfoOf(status).metadata().at("items"), absent_[0]);
  }
}

TEST_F(AbsentItemsTest, TheyDoNotHideThatTheDeviceIsSilent) {
  lab_.Inject("hv0", "silence");
  const grpc::Status status = GetNow({"hv0/*"});
  EXPECT_FALSE(status.ok());
  EXPECT_NE(InfoOf(status).reason(), "ITEM_NOT_AVAILABLE");
}

// ------------------------------------------------------------------ several devices

class SeveralDevicesTest : public FaultsTest {
 protected:
  grpc::Status SetBoth() {
    v1::SetItemsRequest request;
    for (const char* name : {"hv0/ch1.voltage_set", "hv1/ch1.voltage_set"}) {
      v1::ItemWrite* write = request.add_writes();
      write->set_name(name);
      write->mutable_value()->set_number(120);
    }
    v1::SetItemsResponse response;
    return lab_.Rpc(lab_.items->async(), &Items::SetItems, request, &response);
  }
};

TEST_F(SeveralDevicesTest, S08_AFailureNamesTheDevicesThatWereSet) {
  lab_.Inject("hv1", "silence");
  const grpc::Status status = SetBoth();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
  const google::rpc::ErrorInfo info = InfoOf(status);
  EXPECT_EQ(info.metadata().at("devices_done"), "hv0");
  EXPECT_EQ(info.metadata().at("devices_failed"), "hv1");
  EXPECT_EQ(info.metadata().at("devices_not_sent"), "");
  EXPECT_THAT(status.error_message(), HasSubstr("only set completely: hv0"));
  ASSERT_TRUE(GetNow({"hv0/ch1.voltage_set"}).ok());
  EXPECT_EQ(got_.readings(0).value().number(), 120);
}

TEST_F(SeveralDevicesTest, S08_AFailureOfAllNamesThemAll) {
  lab_.Inject("hv0", "silence");
  lab_.Inject("hv1", "silence");
  const grpc::Status status = SetBoth();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  const google::rpc::ErrorInfo info = InfoOf(status);
  EXPECT_EQ(info.metadata().at("devices_done"), "");
  EXPECT_EQ(info.metadata().at("devices_failed"), "hv0, hv1");
  EXPECT_THAT(status.error_message(), HasSubstr("no device was set completely"));
  EXPECT_THAT(status.error_message(), HasSubstr("hv1: "));
}

// ------------------------------------------------------------------ leases

class LeaseFaultsTest : public FaultsTest {
 protected:
  std::string Acquire(const std::string& device, seconds window) {
    v1::AcquireLeaseRequest request;
    request.add_device_ids(device);
    request.mutable_window()->set_seconds(window.count());
    v1::AcquireLeaseResponse response;
    const grpc::Status status =
        lab_.Rpc(lab_.leases->async(), &Leases::AcquireLease, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.lease().lease_id();
  }
  v1::HighVoltageChannel Channel(uint32_t channel) {
    v1::GetChannelsRequest request;
    request.set_device_id("hv0");
    request.add_channels(channel);
    v1::GetChannelsResponse response;
    EXPECT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::GetChannels, request, &response).ok());
    return response.channels(0);
  }
};

TEST_F(LeaseFaultsTest, ALapseAbortsTheRunningCommandAndRampsDown) {
  v1::SetRampRequest ramp;
  ramp.set_device_id("hv0");
  ramp.set_up_v_per_s(20);
  v1::SetRampResponse ramp_response;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::SetRamp, ramp, &ramp_response).ok());
  const std::string lease = Acquire("hv0", seconds(5));
  v1::SetVoltageRequest set = Voltage("hv0", 2, 1000);
  set.mutable_options()->set_lease_id(lease);
  ASSERT_TRUE(SetVoltage(set).ok());
  v1::SwitchOnRequest on;
  on.set_device_id("hv0");
  on.set_channel(2);
  on.mutable_options()->set_lease_id(lease);
  on.mutable_options()->set_wait_for(v1::WAIT_FOR_SETTLED);
  v1::SwitchOnResponse on_response;
  // Nobody keeps the lease alive meanwhile.
  const grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::SwitchOn, on, &on_response);
  EXPECT_EQ(status.error_code(), StatusCode::ABORTED) << status.error_message();
  EXPECT_TRUE(lab_.StepUntil([&] { return Channel(2).state() == "off"; }, seconds(60)));

  // The lapse is on record, and the lease is gone.
  const auto page = lab_.audit().Query({.device_id = "hv0", .limit = 1000});
  ASSERT_TRUE(page.ok());
  EXPECT_TRUE(std::any_of(page->entries.begin(), page->entries.end(),
                          [](const AuditEntry& entry) { return entry.kind == "safe_action"; }));
  v1::ListLeasesResponse leases;
  ASSERT_TRUE(lab_.Rpc(lab_.leases->async(), &Leases::ListLeases, {}, &leases).ok());
  EXPECT_EQ(leases.leases_size(), 0);
}

TEST_F(LeaseFaultsTest, AReleaseRunsTheSafeActionsOnlyWhenAsked) {
  for (const bool run : {false, true}) {
    const std::string lease = Acquire("hv0", seconds(60));
    v1::SwitchOnRequest on;
    on.set_device_id("hv0");
    on.set_channel(2);
    on.mutable_options()->set_lease_id(lease);
    v1::SwitchOnResponse on_response;
    ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::SwitchOn, on, &on_response).ok());
    v1::ReleaseLeaseRequest release;
    release.set_lease_id(lease);
    release.set_run_safe_actions(run);
    v1::ReleaseLeaseResponse released;
    const grpc::Status status =
        lab_.Rpc(lab_.leases->async(), &Leases::ReleaseLease, release, &released);
    ASSERT_TRUE(status.ok()) << status.error_message();
    lab_.RunFor(seconds(5));
    EXPECT_EQ(Channel(2).on(), !run);
  }
}

TEST_F(LeaseFaultsTest, ALeasedDeviceCannotBeLeasedAgain) {
  Acquire("hv0", seconds(60));
  v1::AcquireLeaseRequest request;
  request.add_device_ids("hv0");
  v1::AcquireLeaseResponse response;
  EXPECT_EQ(lab_.Rpc(lab_.leases->async(), &Leases::AcquireLease, request, &response).error_code(),
            StatusCode::FAILED_PRECONDITION);
  request.clear_device_ids();
  EXPECT_EQ(lab_.Rpc(lab_.leases->async(), &Leases::AcquireLease, request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace canhub
