#include "drivers/api/simulated_faults.h"

#include "gtest/gtest.h"

namespace canhub {
namespace {

const std::vector<FaultSpec>& Specs() {
  static const auto* const specs = new std::vector<FaultSpec>([] {
    std::vector<FaultSpec> all = LineFaults();
    all.push_back({"trip", "a channel trips", {{"channel", "0 …"}}});
    all.push_back({"force",
                   "a signal has this value",
                   {{"signal", "text, needed"}, {"value", "± physical"}, {"channel", "0 …"}}});
    return all;
  }());
  return *specs;
}

Arguments Channel(int channel) { return {{"channel", Value::Integer(channel)}}; }

TEST(SimulatedFaults, RefusesWhatIsNoFault) {
  const SimulatedFaults faults(Specs());
  EXPECT_EQ(faults.Check("flood", {}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(faults.Check("silence", Channel(1)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(faults.Check("trip", {{"channel", Value::Text("1")}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(faults.Check("trip", Channel(-1)).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(faults.Check("garbled", {{"probability", Value::Number(1.5)}}).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(faults.Check("trip", Channel(1)).ok());
}

TEST(SimulatedFaults, NamesWhatThereIs) {
  SimulatedFaults faults(Specs());
  constexpr char kNoFault[] =
      "no fault is named \"trp\", expected one of silence, delay, wrong_length, lost_frames, "
      "garbled, trip, force";
  EXPECT_EQ(faults.Check("trp", Channel(3)).message(), kNoFault);
  EXPECT_EQ(faults.Clear("trp").status().message(), kNoFault);
  const Arguments misspelt = {{"chanel", Value::Integer(3)}};
  EXPECT_EQ(
      faults.Check("force", misspelt).message(),
      "the fault \"force\" has no argument \"chanel\", expected one of signal, value, channel");
  EXPECT_EQ(faults.Check("silence", misspelt).message(),
            "the fault \"silence\" has no argument \"chanel\", expected none");
}

TEST(SimulatedFaults, TakeTextsAndNegativeNumbersWhereTheySaySo) {
  const SimulatedFaults faults(Specs());
  const Value name = Value::Text("speed");
  EXPECT_TRUE(faults.Check("force", {{"signal", name}, {"value", Value::Number(-5)}}).ok());
  EXPECT_EQ(faults.Check("force", {{"signal", Value::Number(1)}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(faults.Check("force", {{"value", name}}).code(), absl::StatusCode::kInvalidArgument);
}

TEST(SimulatedFaults, WithoutAnArgumentIsForAll) {
  SimulatedFaults faults(Specs());
  faults.Add("trip", Channel(1), "channel");
  EXPECT_NE(faults.FindActive("trip", "channel", 1), nullptr);
  EXPECT_EQ(faults.FindActive("trip", "channel", 2), nullptr);
  faults.Add("trip", {}, "channel");
  EXPECT_NE(faults.FindActive("trip", "channel", 2), nullptr);
}

TEST(SimulatedFaults, StandBesideEachOtherByTheirKey) {
  SimulatedFaults faults(Specs());
  faults.Add("trip", Channel(1), "channel");
  faults.Add("trip", Channel(2), "channel");
  faults.Add("trip", Channel(2), "channel");
  EXPECT_EQ(faults.active().size(), 2u);
  EXPECT_TRUE(faults.Active("trip", "channel", 1));
  EXPECT_FALSE(faults.Active("trip", "channel", 3));
}

TEST(SimulatedFaults, TakeTheirEarlierOnesPlace) {
  SimulatedFaults faults(Specs());
  faults.Add("delay", {{"milliseconds", Value::Integer(5)}});
  faults.Add("delay", {{"milliseconds", Value::Integer(7)}});
  EXPECT_EQ(faults.active().size(), 1u);
  EXPECT_EQ(faults.delay(), std::chrono::milliseconds(7));
}

TEST(SimulatedFaults, AreClearedByNameOrAll) {
  SimulatedFaults faults(Specs());
  faults.Add("silence", {});
  faults.Add("delay", {});
  EXPECT_EQ(*faults.Clear("silence"), 1);
  EXPECT_EQ(*faults.Clear("silence"), 0);
  EXPECT_EQ(*faults.Clear(""), 1);
  EXPECT_EQ(faults.Clear("flood").status().code(), absl::StatusCode::kNotFound);
}

TEST(SimulatedFaults, DistortFrames) {
  std::mt19937_64 random(1);
  const CanFrame original = MakeFrame(0x123, {1, 2, 3, 4, 5, 6, 7, 8});
  SimulatedFaults faults(Specs());
  CanFrame frame = original;
  EXPECT_TRUE(faults.Distort(&frame, random));
  EXPECT_EQ(frame, original);
  faults.Add("wrong_length", {});
  EXPECT_TRUE(faults.Distort(&frame, random));
  EXPECT_EQ(frame.dlc, 7);
  faults.Add("garbled", {});
  EXPECT_TRUE(faults.Distort(&frame, random));
  EXPECT_NE(frame.data, original.data);
  faults.Add("silence", {});
  EXPECT_FALSE(faults.Distort(&frame, random));
}

TEST(SimulatedFaults, LoseAShareOfFrames) {
  std::mt19937_64 random(1);
  SimulatedFaults faults(Specs());
  EXPECT_TRUE(faults.Receives(random));
  faults.Add("lost_frames", {{"probability", Value::Number(0.5)}});
  int received = 0;
  for (int i = 0; i < 1000; ++i) received += faults.Receives(random) ? 1 : 0;
  EXPECT_NEAR(received, 500, 60);
}

}  // namespace
}  // namespace canhub
