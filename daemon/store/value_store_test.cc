// What drivers keep, on disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/store/sqlite.h"
#include "daemon/store/store.h"
#include "daemon/store/test_directory.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class ValueStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> Open() { return Store::Open(options_, &clock_).value(); }

  SimulatedClock clock_;
  TestDirectory directory_;
  StoreOptions options_{.directory = directory_ / "state",
                        .journal = {.capacity = 256 << 10, .reserve = 64 << 10}};
};

TEST_F(ValueStoreTest, S11_ValuesOfDevicesAreThereAfterARestart) {
  {
    const auto store = Open();
    ASSERT_EQ(store->device_values().Save({"pcs1", "self_start", "false"}), absl::OkStatus());
    ASSERT_EQ(store->device_values().Save({"pcs1", "self_start", "true"}), absl::OkStatus());
    ASSERT_EQ(store->device_values().Save({"xt1", "flash.1107", "12"}), absl::OkStatus());
  }
  const auto values = Open()->device_values().LoadAll();
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_THAT(*values, UnorderedElementsAre(DeviceValue{"pcs1", "self_start", "true"},
                                            DeviceValue{"xt1", "flash.1107", "12"}));
}

// An older daemon's file has no table for them.
TEST_F(ValueStoreTest, ADatabaseWithoutValuesOfDevicesGetsATable) {
  Open();
  {
    auto database = SqlDatabase::Open(options_.directory + "/state.db", false);
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_EQ((*database)->Execute("DROP TABLE device_values"), absl::OkStatus());
  }
  const auto store = Open();
  EXPECT_THAT(*store->device_values().LoadAll(), IsEmpty());
  EXPECT_EQ(store->device_values().Save({"pcs1", "self_start", "true"}), absl::OkStatus());
}

}  // namespace
}  // namespace canhub
