// Modes, states and fault codes: the tables against sections 7, 9 and 11 of the PCS facts.
#include <cmath>
#include <set>
#include <string>

#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/modes.h"
#include "drivers/ystech-pcs/states.h"
#include "gtest/gtest.h"

namespace canhub::ystech_pcs {
namespace {

const ModeSpec& ModeOf(Mode mode) { return *FindMode(static_cast<int>(mode)); }

TEST(Modes, AreThe19OfSection7) {
  std::set<int> codes;
  for (const ModeSpec& mode : Modes()) codes.insert(static_cast<int>(mode.mode));
  EXPECT_EQ(codes, (std::set<int>{0x02, 0x08, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29,
                                  0x2A, 0x2B, 0x2C, 0x40, 0x41, 0x61, 0x91, 0x94}));
}

TEST(Modes, AreFoundByCodeAndByName) {
  EXPECT_STREQ(FindMode(0x29)->name, "DC_CC_CV");
  EXPECT_EQ(FindMode("DC_CC_CV"), FindMode(0x29));
  EXPECT_EQ(FindMode(0x03), nullptr);
  EXPECT_EQ(FindMode("dc_cc_cv"), nullptr);
}

TEST(Modes, PulseModesHaveTimesAndDutiesInHundredths) {
  for (const Mode mode : {Mode::kDcPulseCurrent, Mode::kDcPulseResistance, Mode::kDcPulsePower,
                          Mode::kDcPulseVoltage}) {
    const ModeSpec& spec = ModeOf(mode);
    ASSERT_EQ(spec.parameters.size(), 4u);
    EXPECT_EQ(spec.parameters[2].counts, 100) << spec.name;
    EXPECT_EQ(spec.parameters[3].counts, 100) << spec.name;
  }
}

TEST(Modes, AllOtherParametersHaveThousandths) {
  for (const ModeSpec& mode : Modes()) {
    const bool pulse = mode.parameters.size() == 4 && mode.mode != Mode::kDcInternalResistanceTest;
    for (size_t i = 0; i < (pulse ? 2 : mode.parameters.size()); ++i) {
      EXPECT_EQ(mode.parameters[i].counts, 1000) << mode.name << " " << i;
    }
  }
}

TEST(Modes, CountsAreRounded) {
  // Section 13.4: the application makes 42 of 0.043 A.
  EXPECT_EQ((*ToCounts(ModeOf(Mode::kDcConstantCurrent), std::array{0.043}))[0], 43);
  EXPECT_EQ((*ToCounts(ModeOf(Mode::kDcConstantCurrent), std::array{-0.0436}))[0], -44);
}

TEST(Modes, NeedEveryParameter) {
  const absl::Status status = ToCounts(ModeOf(Mode::kDcCcCv), std::array{400.0, -50.0}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "DC_CC_CV: found 2 parameters, expected 3");
}

TEST(Modes, RefuseWhatIsNotFinite) {
  EXPECT_EQ(ToCounts(ModeOf(Mode::kDcConstantVoltage), std::array{std::nan("")}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Modes, RefuseWhat32BitsCannotHold) {
  const ModeSpec& mode = ModeOf(Mode::kDcConstantPower);
  EXPECT_EQ((*ToCounts(mode, std::array{2147483.647}))[0], 2147483647);
  const absl::Status status = ToCounts(mode, std::array{2147483.648}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(status.message(),
            "DC_CONSTANT_POWER, power_setpoint: found 2147483.648 W, the frame holds -2147483.648 "
            "to 2147483.647");
}

// Section 15, the suggested states.
TEST(Modes, HaveARunningState) {
  for (const ModeSpec& mode : Modes()) {
    const bool rests = mode.mode == Mode::kIdle || mode.mode == Mode::kStandby;
    EXPECT_EQ(ClassOf(static_cast<int>(mode.running)),
              rests ? StateClass::kStopped : StateClass::kRunning)
        << mode.name;
  }
  EXPECT_EQ(ModeOf(Mode::kAcConstantPower).running, State::kAcConstantPower);
  EXPECT_EQ(ModeOf(Mode::kIndependentInverter).running, State::kOffGridInverter);
  EXPECT_EQ(ModeOf(Mode::kDcPulseVoltage).running, State::kConstantVoltage);
  EXPECT_EQ(ModeOf(Mode::kDcPulsePower).running, State::kConstantCurrent);
}

TEST(States, AreThe14OfSection9) {
  EXPECT_EQ(States().size(), 14u);
  for (size_t i = 0; i < States().size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(States()[i].state), i + 1);
  }
}

TEST(States, UnknownOnesKeepTheirNumber) {
  EXPECT_EQ(StateName(10), "SOFT_START");
  EXPECT_EQ(StateName(0), "UNKNOWN(0)");
  EXPECT_EQ(StateName(200), "UNKNOWN(200)");
  EXPECT_EQ(ClassOf(200), StateClass::kUnknown);
}

// Section 9's classes.
TEST(States, HaveClasses) {
  for (const int running : {7, 11, 12, 14}) EXPECT_EQ(ClassOf(running), StateClass::kRunning);
  for (const int starting : {9, 10}) EXPECT_EQ(ClassOf(starting), StateClass::kStarting);
  for (const int stopped : {1, 2, 3, 4, 5, 8, 13}) {
    EXPECT_EQ(ClassOf(stopped), StateClass::kStopped);
  }
  EXPECT_EQ(ClassOf(6), StateClass::kFault);
}

// Section 11.1.
TEST(FaultCodes, HaveAllOfTheProtocolDocument) {
  for (const int code :
       {1,   2,   3,   4,     5,     6,     15,    16,    17,    18,    26,    257,
        258, 265, 280, 32781, 32782, 32783, 32784, 32785, 32786, 32787, 32788, 32789}) {
    EXPECT_NE(FindFaultCode(code), nullptr) << code;
  }
}

// Section 11.2: 75 more.
TEST(FaultCodes, HaveAllOfTheManual) { EXPECT_EQ(FaultCodes().size(), 24u + 75u); }

TEST(FaultCodes, AllHaveMeaningRemedyAndGroup) {
  for (const FaultCode& fault : FaultCodes()) {
    EXPECT_NE(std::string(fault.meaning), "") << fault.code;
    EXPECT_NE(std::string(fault.remedy), "") << fault.code;
    EXPECT_NE(std::string(fault.group), "") << fault.code;
  }
}

// Section 11.2: reserved, and 309, which the manual's list leaves out.
TEST(FaultCodes, ReservedOnesHaveNoMeaning) {
  for (const int code : {0, 23, 24, 27, 29, 48, 256, 282, 292, 309, 312, 334, 511, 32791}) {
    EXPECT_EQ(FindFaultCode(code), nullptr) << code;
  }
}

// Section 16: the two documents differ, both are accepted.
TEST(FaultCodes, SlaveFailureHasBothNumbers) {
  EXPECT_STREQ(FindFaultCode(26)->meaning, FindFaultCode(30)->meaning);
}

TEST(FaultCodes, HaveATextEachEvenUnknownOnes) {
  EXPECT_EQ(FaultText(0), "no fault");
  EXPECT_EQ(FaultText(1), "battery voltage too high (fault 1)");
  EXPECT_EQ(FaultText(32781), "CAN1 communication failure (fault 0x800d)");
  EXPECT_EQ(FaultText(999), "unknown fault 999: internal failure, contact the maker");
}

}  // namespace
}  // namespace canhub::ystech_pcs
