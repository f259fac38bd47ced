// BusService: descriptions, raw frames, watches of frames.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::SizeIs;

using Buses = v1::BusService::StubInterface::async_interface;

class BusServiceTest : public testing::Test {
 protected:
  RpcLab lab_;
};

TEST_F(BusServiceTest, BusesAreDescribed) {
  lab_.RunFor(seconds(3));
  v1::ListBusesRequest request;
  v1::ListBusesResponse response;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.buses->async()->ListBuses(context, &request, &response, done);
                  })
                  .ok());
  ASSERT_EQ(response.buses_size(), 1);
  const v1::Bus& bus = response.buses(0);
  EXPECT_EQ(bus.type(), "simulated");
  EXPECT_EQ(bus.state(), v1::BUS_STATE_ACTIVE);
  EXPECT_EQ(bus.bitrate(), 250000u);
  EXPECT_GT(bus.frames_sent(), 0u);
  EXPECT_THAT(bus.device_ids(), SizeIs(3));
  v1::GetBusRequest unknown;
  unknown.set_bus_id("can7");
  v1::GetBusResponse none;
  EXPECT_EQ(lab_.Call([&](auto* context, auto done) {
                  lab_.buses->async()->GetBus(context, &unknown, &none, done);
                })
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(BusServiceTest, FramesAreSentAndWatched) {
  v1::WatchFramesRequest request;
  request.set_bus_id("lab");
  v1::FrameFilter* filter = request.add_filters();
  filter->set_id(0x7F0);
  filter->set_mask(0x7FF);
  StreamClient<v1::WatchFramesResponse> watch([&](auto* context, auto* reactor) {
    lab_.buses->async()->WatchFrames(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.accepted(); }));
  v1::SendFrameRequest send;
  send.set_bus_id("lab");
  send.set_text("7F0#0102");
  v1::SendFrameResponse response;
  const auto submit = [&] {
    return lab_.Call([&](auto* context, auto done) {
      lab_.buses->async()->SendFrame(context, &send, &response, done);
    });
  };
  const grpc::Status status = submit();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.receipt().has_on_wire_time());
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.count() > 0; }));
  const v1::BusFrame frame = watch.messages()[0].frames(0);
  EXPECT_EQ(frame.frame().id(), 0x7F0u);
  EXPECT_EQ(frame.frame().data(), std::string("\x01\x02"));
  EXPECT_TRUE(frame.own());
  EXPECT_THAT(frame.text(), HasSubstr("lab 7F0#0102"));

  send.set_text("nonsense");
  EXPECT_EQ(submit().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  send.mutable_frame()->set_id(0x800);
  EXPECT_EQ(submit().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  send.mutable_frame()->set_id(1);
  send.mutable_frame()->set_data(std::string(9, 'x'));
  EXPECT_EQ(submit().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  send.set_text("7F0#");
  lab_.SetRole(Role::kOperator);
  EXPECT_EQ(submit().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

class WatchFramesTest : public BusServiceTest {
 protected:
  void SetUp() override { lab_.WaitPolled(); }
  std::unique_ptr<StreamClient<v1::WatchFramesResponse>> Watch(Reads reads = Reads::kAlways) {
    auto watch = std::make_unique<StreamClient<v1::WatchFramesResponse>>(
        [this](auto* context, auto* reactor) {
          lab_.buses->async()->WatchFrames(context, &request_, reactor);
        },
        reads);
    return watch;
  }
  grpc::Status Send(const std::string& text) {
    v1::SendFrameRequest request;
    request.set_bus_id("lab");
    request.set_text(text);
    v1::SendFrameResponse response;
    return lab_.Rpc(lab_.buses->async(), &Buses::SendFrame, request, &response);
  }
  static std::vector<v1::BusFrame> Frames(StreamClient<v1::WatchFramesResponse>& watch) {
    std::vector<v1::BusFrame> frames;
    for (const auto& message : watch.messages()) {
      frames.insert(frames.end(), message.frames().begin(), message.frames().end());
    }
    return frames;
  }
  v1::WatchFramesRequest request_;
};

TEST_F(WatchFramesTest, FiltersCompareIdentifierAndForm) {
  v1::FrameFilter* filter = request_.add_filters();
  filter->set_id(0x7A5);
  filter->set_mask(0x1FFFFFFF);
  filter->set_extended(true);
  auto watch = Watch();
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->accepted(); }));
  for (const char* text : {"7A5#01", "000007A5#02", "000007A6#03", "7A4#04", "000007A5#05"}) {
    ASSERT_TRUE(Send(text).ok()) << text;
  }
  ASSERT_TRUE(lab_.StepUntil([&] { return Frames(*watch).size() >= 2; }));
  const auto frames = Frames(*watch);
  EXPECT_EQ(frames[0].frame().data(), "\x02");
  EXPECT_EQ(frames[1].frame().data(), "\x05");
  EXPECT_TRUE(frames[1].frame().extended());
}

TEST_F(WatchFramesTest, AnyOfSeveralFiltersPasses) {
  for (const uint32_t id : {0x7A1, 0x7A2}) {
    v1::FrameFilter* filter = request_.add_filters();
    filter->set_id(id);
    filter->set_mask(0x7FF);
  }
  auto watch = Watch();
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->accepted(); }));
  for (const char* text : {"7A0#", "7A1#", "7A3#", "7A2#"}) ASSERT_TRUE(Send(text).ok());
  ASSERT_TRUE(lab_.StepUntil([&] { return Frames(*watch).size() >= 2; }));
  EXPECT_EQ(Frames(*watch)[0].frame().id(), 0x7A1u);
  EXPECT_EQ(Frames(*watch)[1].frame().id(), 0x7A2u);
}

TEST_F(WatchFramesTest, MalformedFiltersAreRefused) {
  const auto refused = [&](const std::function<void(v1::FrameFilter*)>& set) {
    request_.Clear();
    set(request_.add_filters());
    auto watch = Watch();
    EXPECT_TRUE(lab_.StepUntil([&] { return watch->over(); }));
    return watch->Finish().error_code();
  };
  EXPECT_EQ(refused([](auto* f) { f->set_id(0x20000000); }), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(refused([](auto* f) { f->set_mask(0x20000000); }), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(refused([](auto* f) {
              f->set_id(0x800);
              f->set_mask(0xFFF);
              f->set_extended(false);
            }),
            grpc::StatusCode::INVALID_ARGUMENT);
  request_.Clear();
  request_.set_bus_id("can7");
  auto watch = Watch();
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->over(); }));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(WatchFramesTest, AReaderThatStopsLosesTheOldestAndIsToldHowMany) {
  auto watch = Watch(Reads::kNot);
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->accepted(); }));
  const BusStatus before = lab_.hub().FindBus("lab")->bus->Status();
  lab_.RunFor(seconds(60));
  const BusStatus after = lab_.hub().FindBus("lab")->bus->Status();
  ASSERT_TRUE(Send("7A5#0102").ok());
  const uint64_t on_the_wire =
      after.frames_sent + after.frames_received - before.frames_sent - before.frames_received;
  ASSERT_GT(on_the_wire, 10000u);  // more than any ring keeps
  watch->Resume();
  ASSERT_TRUE(lab_.StepUntil([&] {
    const auto frames = Frames(*watch);  // others come after it
    return std::any_of(frames.begin(), frames.end(),
                       [](const v1::BusFrame& frame) { return frame.frame().id() == 0x7A5; });
  }));
  uint64_t lost = 0;
  for (const auto& message : watch->messages()) lost += message.lost_count();
  const uint64_t got = Frames(*watch).size();
  EXPECT_GT(lost, 0u);
  EXPECT_LT(got, on_the_wire);
  EXPECT_GE(lost + got, on_the_wire);
}

}  // namespace
}  // namespace canhub
