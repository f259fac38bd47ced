// LeaseService over gRPC; what a lease does is in daemon/core.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using std::chrono::seconds;

class LeaseServiceTest : public testing::Test {
 protected:
  RpcLab lab_;
};

TEST_F(LeaseServiceTest, LeasesAreTakenKeptAndReleased) {
  lab_.WaitPolled();
  v1::AcquireLeaseRequest request;
  request.add_device_ids("hv0");
  request.mutable_window()->set_seconds(5);
  v1::AcquireLeaseResponse acquired;
  const grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.leases->async()->AcquireLease(context, &request, &acquired, done);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  const std::string id = acquired.lease().lease_id();
  EXPECT_EQ(acquired.lease().holder(), "inproc");

  v1::SetVoltageRequest set;
  set.set_device_id("hv0");
  set.set_channel(0);
  set.set_voltage_v(10);
  v1::SetVoltageResponse set_response;
  const auto set_voltage = [&] {
    return lab_.Call([&](auto* context, auto done) {
      lab_.hv->async()->SetVoltage(context, &set, &set_response, done);
    });
  };
  EXPECT_EQ(set_voltage().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  set.mutable_options()->set_lease_id(id);
  EXPECT_TRUE(set_voltage().ok());

  v1::KeepLeaseAliveRequest keep;
  keep.set_lease_id(id);
  v1::KeepLeaseAliveResponse kept;
  EXPECT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.leases->async()->KeepLeaseAlive(context, &keep, &kept, done);
                  })
                  .ok());
  v1::ListLeasesRequest list;
  v1::ListLeasesResponse leases;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.leases->async()->ListLeases(context, &list, &leases, done);
                  })
                  .ok());
  ASSERT_EQ(leases.leases_size(), 1);
  EXPECT_EQ(leases.leases(0).lease_id(), id);

  lab_.RunFor(seconds(6));
  EXPECT_EQ(lab_.Call([&](auto* context, auto done) {
                  lab_.leases->async()->KeepLeaseAlive(context, &keep, &kept, done);
                })
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace canhub
