// ItemService against simulated iseg modules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class ItemsRpcTest : public testing::Test {
 protected:
  void SetUp() override { lab_.WaitPolled(); }

  grpc::Status Get(const std::vector<std::string>& names, int64_t max_age_s = -1) {
    v1::GetItemsRequest request;
    for (const std::string& name : names) request.add_names(name);
    if (max_age_s >= 0) request.mutable_max_age()->set_seconds(max_age_s);
    return GetBy(request);
  }
  grpc::Status GetBy(const v1::GetItemsRequest& request) {
    got_.Clear();
    return lab_.Call([&](auto* context, auto done) {
      lab_.items->async()->GetItems(context, &request, &got_, done);
    });
  }
  static v1::ItemWrite Write(const std::string& name, double number) {
    v1::ItemWrite write;
    write.set_name(name);
    write.mutable_value()->set_number(number);
    return write;
  }
  grpc::Status Set(const std::vector<v1::ItemWrite>& writes) {
    v1::SetItemsRequest request;
    for (const v1::ItemWrite& write : writes) *request.add_writes() = write;
    set_.Clear();
    return lab_.Call([&](auto* context, auto done) {
      lab_.items->async()->SetItems(context, &request, &set_, done);
    });
  }

  RpcLab lab_;
  v1::GetItemsResponse got_;
  v1::SetItemsResponse set_;
};

TEST_F(ItemsRpcTest, ReadsByNamePatternAndVendorName) {
  ASSERT_TRUE(Get({"hv0/ch3.voltage_measure"}).ok());
  ASSERT_EQ(got_.readings_size(), 1);
  EXPECT_EQ(got_.readings(0).name(), "hv0/ch3.voltage_measure");
  EXPECT_EQ(got_.readings(0).quality(), v1::QUALITY_GOOD);
  EXPECT_EQ(got_.readings(0).unit(), "V");
  ASSERT_TRUE(Get({"hv*/ch*.voltage_measure"}).ok());
  EXPECT_EQ(got_.readings_size(), 32);
  ASSERT_TRUE(Get({"hv9/*"}).ok());
  EXPECT_EQ(got_.readings_size(), 0);
  ASSERT_TRUE(Get({"hv0/ch3.Status.voltageMeasure"}).ok());
  EXPECT_EQ(got_.readings(0).name(), "hv0/ch3.voltage_measure");
}

TEST_F(ItemsRpcTest, AReadMaskNamesTheFieldsOfCachedAndFreshReadings) {
  for (const bool fresh : {false, true}) {
    v1::GetItemsRequest request;
    request.add_names("hv0/ch3.voltage_set");
    request.mutable_read_mask()->add_paths("quality");
    if (fresh) request.mutable_max_age();
    ASSERT_TRUE(GetBy(request).ok());
    ASSERT_EQ(got_.readings_size(), 1);
    EXPECT_EQ(got_.readings(0).ShortDebugString(), "quality: QUALITY_GOOD");
  }
}

TEST_F(ItemsRpcTest, MaxAgeReadsFromTheDevice) {
  lab_.RunFor(std::chrono::milliseconds(123));
  const WallTime before = lab_.clock().WallNow();
  const grpc::Status status = Get({"hv0/ch3.voltage_set"}, 0);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const WallTime read(seconds(got_.readings(0).read_time().seconds()) +
                      Duration(got_.readings(0).read_time().nanos()));
  EXPECT_GE(read, before);
}

TEST_F(ItemsRpcTest, NamesThatMatchNothingAreNotFound) {
  const grpc::Status status = Get({"hv0/ch3.voltage_measured"});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("voltage_measure"));
  EXPECT_TRUE(Get({"hv0/nothing*"}).ok());
  EXPECT_EQ(got_.readings_size(), 0);
}

TEST_F(ItemsRpcTest, MalformedPatternsNameThePosition) {
  const grpc::Status status = Get({"hv0/ch[3-"});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("position"));
  EXPECT_EQ(Get({}).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ItemsRpcTest, SetsAndReadsBack) {
  const grpc::Status status = Set({Write("hv0/ch1.voltage_set", 250)});
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(set_.receipts_size(), 1);
  ASSERT_TRUE(Get({"hv0/ch1.voltage_set"}).ok());
  EXPECT_EQ(got_.readings(0).value().number(), 250);
}

TEST_F(ItemsRpcTest, AnIntegerMayStandForANumber) {
  v1::ItemWrite write;
  write.set_name("hv0/ch1.voltage_set");
  write.mutable_value()->set_integer(40);
  ASSERT_TRUE(Set({write}).ok());
  ASSERT_TRUE(Get({"hv0/ch1.voltage_set"}).ok());
  EXPECT_EQ(got_.readings(0).value().number(), 40);
}

TEST_F(ItemsRpcTest, APatternSetsEveryMatchOnEveryDevice) {
  ASSERT_TRUE(Set({Write("hv*/ch[0-1].voltage_set", 30)}).ok());
  EXPECT_EQ(set_.receipts_size(), 2);
  ASSERT_TRUE(Get({"hv*/ch[0-1].voltage_set"}).ok());
  for (const v1::Reading& reading : got_.readings()) EXPECT_EQ(reading.value().number(), 30);
}

TEST_F(ItemsRpcTest, NothingIsSentToAnyDeviceWhenOneWriteIsWrong) {
  // The limit of 1000 V holds for hv0 only; hv1 comes first.
  const grpc::Status status =
      Set({Write("hv1/ch0.voltage_set", 1200), Write("hv0/ch0.voltage_set", 1200)});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(InfoOf(status).metadata().at("device_id"), "hv0");
  ASSERT_TRUE(Get({"hv1/ch0.voltage_set"}, 0).ok());
  EXPECT_NE(got_.readings(0).value().number(), 1200);
}

TEST_F(ItemsRpcTest, WrongWritesAreRefusedEachWithItsCode) {
  EXPECT_EQ(Set({}).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Set({Write("hv0/ch1.voltage_set", NAN)}).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Set({Write("hv0/ch1.voltage_measure", 1)}).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Set({Write("hv0/ch1.nonsense", 1)}).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Set({Write("hv9/ch1.voltage_set", 1)}).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Set({Write("hv0/nonsense*", 1)}).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Set({Write("hv0/ch1.voltage_set", 1e9)}).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  v1::ItemWrite text;
  text.set_name("hv0/ch1.voltage_set");
  text.mutable_value()->set_text("12");
  EXPECT_EQ(Set({text}).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::ItemWrite none;
  none.set_name("hv0/ch1.voltage_set");
  EXPECT_EQ(Set({none}).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ItemsRpcTest, DescribesItemsWithTheTighterLimit) {
  v1::ListItemsRequest request;
  request.add_patterns("hv0/ch0.voltage_set");
  v1::ListItemsResponse response;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.items->async()->ListItems(context, &request, &response, done);
                  })
                  .ok());
  ASSERT_EQ(response.items_size(), 1);
  const v1::ItemDescriptor& item = response.items(0);
  EXPECT_EQ(item.type(), v1::VALUE_TYPE_NUMBER);
  EXPECT_EQ(item.access(), v1::ACCESS_READ_WRITE);
  EXPECT_EQ(item.maximum(), 1000);
  EXPECT_EQ(item.unit(), "V");
  EXPECT_FALSE(item.description().empty());
}

class WatchItemsTest : public ItemsRpcTest {
 protected:
  std::unique_ptr<StreamClient<v1::WatchItemsResponse>> Watch(v1::WatchItemsRequest request,
                                                              Reads reads = Reads::kAlways) {
    request_ = std::move(request);
    return std::make_unique<StreamClient<v1::WatchItemsResponse>>(
        [&](auto* context, auto* reactor) {
          lab_.items->async()->WatchItems(context, &request_, reactor);
        },
        reads);
  }
  v1::WatchItemsRequest Names(const std::string& name) {
    v1::WatchItemsRequest request;
    request.add_names(name);
    return request;
  }
  v1::WatchItemsRequest request_;
};

TEST_F(WatchItemsTest, SendsTheStateThenSyncedThenChanges) {
  auto watch = Watch(Names("hv0/ch*.voltage_set"));
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->synced(); }));
  const auto first = watch->messages();
  EXPECT_EQ(first[0].readings_size(), 16);
  EXPECT_TRUE(first[1].synced());
  ASSERT_TRUE(Set({Write("hv0/ch5.voltage_set", 321)}).ok());
  EXPECT_TRUE(lab_.StepUntil([&] {
    const auto messages = watch->messages();
    const auto& last = messages.back();
    return last.readings_size() > 0 && last.readings(0).name() == "hv0/ch5.voltage_set" &&
           last.readings(0).value().number() == 321;
  }));
}

TEST_F(WatchItemsTest, AReadMaskNamesTheFields) {
  v1::WatchItemsRequest request = Names("hv0/ch5.voltage_set");
  request.mutable_read_mask()->add_paths("name");
  auto watch = Watch(request);
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->synced(); }));
  EXPECT_EQ(watch->messages()[0].readings(0).ShortDebugString(), "name: \"hv0/ch5.voltage_set\"");
}

TEST_F(WatchItemsTest, MinIntervalHoldsMessagesBack) {
  v1::WatchItemsRequest request = Names("hv0/ch5.voltage_set");
  request.mutable_min_interval()->set_seconds(60);
  auto watch = Watch(request);
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->synced(); }));
  const size_t before = watch->count();
  for (const double volts : {10, 20, 30}) {
    ASSERT_TRUE(Set({Write("hv0/ch5.voltage_set", volts)}).ok());
  }
  EXPECT_EQ(watch->count(), before);
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->count() > before; }, seconds(90)));
  EXPECT_EQ(watch->messages().back().readings(0).value().number(), 30);
}

TEST_F(WatchItemsTest, MaxIntervalSendsWhatHasNotChanged) {
  v1::WatchItemsRequest request = Names("hv0/serial_number");
  request.mutable_max_interval()->set_seconds(5);
  auto watch = Watch(request);
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->synced(); }));
  const size_t before = watch->count();
  EXPECT_TRUE(lab_.StepUntil([&] { return watch->count() >= before + 3; }, seconds(60)));
}

TEST_F(WatchItemsTest, ASlowReaderGetsTheNewestValueAndACount) {
  auto watch = Watch(Names("hv0/ch5.voltage_set"), Reads::kUntilSynced);
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->synced(); }));
  const size_t before = watch->count();
  for (int volts = 1; volts <= 60; ++volts) {
    ASSERT_TRUE(Set({Write("hv0/ch5.voltage_set", volts)}).ok());
  }
  watch->Resume();
  ASSERT_TRUE(lab_.StepUntil([&] {
    const auto messages = watch->messages();
    return messages.back().readings_size() > 0 &&
           messages.back().readings(0).value().number() == 60;
  }));
  // One message was on its way to a client that did not read; all later changes were merged.
  const auto messages = watch->messages();
  const size_t changes = messages.size() - before;
  EXPECT_LE(changes, 2u);
  uint64_t coalesced = 0;
  for (const auto& message : messages) coalesced += message.coalesced_count();
  EXPECT_EQ(changes + coalesced, 60u);
}

// What they share is the readings, not who was slow.
TEST_F(WatchItemsTest, OfTwoThatWatchTheSameOnlyTheSlowOneCountsWhatItMissed) {
  auto slow = Watch(Names("hv0/ch5.voltage_set"), Reads::kUntilSynced);
  auto fast = Watch(Names("hv0/ch5.voltage_set"));
  ASSERT_TRUE(lab_.StepUntil([&] { return slow->synced() && fast->synced(); }));
  const auto newest = [](const auto& stream) {
    const auto messages = stream->messages();
    return messages.back().readings_size() > 0 ? messages.back().readings(0).value().number() : 0;
  };
  for (int volts = 1; volts <= 60; ++volts) {
    ASSERT_TRUE(Set({Write("hv0/ch5.voltage_set", volts)}).ok());
    ASSERT_TRUE(lab_.StepUntil([&] { return newest(fast) == volts; }));
  }
  slow->Resume();
  ASSERT_TRUE(lab_.StepUntil([&] { return newest(slow) == 60; }));
  for (const auto& message : fast->messages()) EXPECT_EQ(message.coalesced_count(), 0u);
  uint64_t missed = 0;
  for (const auto& message : slow->messages()) missed += message.coalesced_count();
  EXPECT_GE(missed, 58u);
}

TEST_F(WatchItemsTest, TwoWithDifferentMasksEachGetTheirFields) {
  v1::WatchItemsRequest named = Names("hv0/ch5.voltage_set");
  named.mutable_read_mask()->add_paths("name");
  v1::WatchItemsRequest unit = Names("hv0/ch5.voltage_set");
  unit.mutable_read_mask()->add_paths("unit");
  auto first = Watch(named);
  ASSERT_TRUE(lab_.StepUntil([&] { return first->synced(); }));
  auto second = Watch(unit);
  ASSERT_TRUE(lab_.StepUntil([&] { return second->synced(); }));
  EXPECT_EQ(first->messages()[0].readings(0).ShortDebugString(), "name: \"hv0/ch5.voltage_set\"");
  EXPECT_EQ(second->messages()[0].readings(0).ShortDebugString(), "unit: \"V\"");
}

TEST_F(WatchItemsTest, AMalformedIntervalIsRefused) {
  v1::WatchItemsRequest request = Names("hv0/*");
  request.mutable_min_interval()->set_seconds(10);
  request.mutable_max_interval()->set_seconds(5);
  auto watch = Watch(request);
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->over(); }));
  const grpc::Status status = watch->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(InfoOf(status).metadata().at("field"), "max_interval");
}

TEST_F(WatchItemsTest, ClientsThatVanishReleaseTheirStreams) {
  for (int round = 0; round < 300; ++round) {  // more than max_streams_per_client
    auto watch = Watch(Names("hv0/ch*.voltage_measure"));
    lab_.RunFor(std::chrono::milliseconds(1));
  }
  // The server hears of the last ones a little later: as long as they count, a watch is refused.
  auto watch = Watch(Names("hv0/ch0.voltage_measure"));
  EXPECT_TRUE(lab_.StepUntil([&] {
    if (watch->over()) watch = Watch(Names("hv0/ch0.voltage_measure"));
    return watch->synced();
  }));
}

}  // namespace
}  // namespace canhub
