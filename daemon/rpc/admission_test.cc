#include "daemon/rpc/admission.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "drivers/api/errors.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class AdmissionTest : public testing::Test {
 protected:
  SimulatedClock clock_;
  Admission admission_{
      clock_,
      {.calls_per_second = 10, .burst = 3, .streams_per_client = 2, .streams_per_identity = 3}};
};

TEST_F(AdmissionTest, ABurstPassesAndThenTheRateHolds) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admission_.AdmitCall("a", "p").ok());
  const absl::Status refused = admission_.AdmitCall("a", "p");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(refused).reason, "RATE_LIMIT");
  clock_.Advance(milliseconds(100));
  EXPECT_TRUE(admission_.AdmitCall("a", "p").ok());
  EXPECT_FALSE(admission_.AdmitCall("a", "p").ok());
}

TEST_F(AdmissionTest, TheBucketIsNeverFullerThanABurst) {
  clock_.Advance(seconds(1000));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admission_.AdmitCall("a", "p").ok());
  EXPECT_FALSE(admission_.AdmitCall("a", "p").ok());
}

TEST_F(AdmissionTest, OneClientDoesNotUseUpAnothersCalls) {
  for (int i = 0; i < 4; ++i) (void)admission_.AdmitCall("a", "p");
  EXPECT_TRUE(admission_.AdmitCall("a", "q").ok());
  EXPECT_TRUE(admission_.AdmitCall("b", "p").ok());
}

TEST_F(AdmissionTest, StreamsAreLimitedPerConnectionAndGivenBack) {
  auto one = admission_.AdmitStream("a", "p");
  auto two = admission_.AdmitStream("a", "p");
  ASSERT_TRUE(one.ok() && two.ok());
  const auto three = admission_.AdmitStream("a", "p");
  EXPECT_EQ(GetErrorInfo(three.status()).reason, "TOO_MANY_STREAMS");
  one->reset();
  EXPECT_TRUE(admission_.AdmitStream("a", "p").ok());
}

TEST_F(AdmissionTest, StreamsAreLimitedOverAllConnectionsOfAnIdentity) {
  auto one = admission_.AdmitStream("a", "p");
  auto two = admission_.AdmitStream("a", "q");
  auto three = admission_.AdmitStream("a", "r");
  ASSERT_TRUE(three.ok());
  EXPECT_FALSE(admission_.AdmitStream("a", "s").ok());
  EXPECT_TRUE(admission_.AdmitStream("b", "s").ok());
}

TEST_F(AdmissionTest, ConnectionsThatAreGoneAreForgotten) {
  for (int i = 0; i < 10'000; ++i) {
    clock_.Advance(seconds(1));
    EXPECT_TRUE(admission_.AdmitCall("a", std::to_string(i)).ok());
  }
  EXPECT_LE(admission_.clients(), 512u);
}

TEST_F(AdmissionTest, ZeroMeansNoRateLimit) {
  Admission free(clock_, {.calls_per_second = 0, .burst = 1});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(free.AdmitCall("a", "p").ok());
}

}  // namespace
}  // namespace canhub
