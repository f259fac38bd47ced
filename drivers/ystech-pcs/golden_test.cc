// Every worked frame of the PCS facts, section 18, both ways: bytes to values and values to bytes.
#include <string>
#include <vector>

#include "drivers/ystech-pcs/frames.h"
#include "drivers/ystech-pcs/modes.h"
#include "gtest/gtest.h"

namespace canhub::ystech_pcs {
namespace {

struct Golden {
  int row;  // of section 18
  const char* frame;
  Pf pf;
  uint8_t address;
  std::vector<double> values;
};

const Golden kGolden[] = {
    {1, "1801FAB4#0100000000000000", Pf::kReadProtectionParams, 0xFA, {1}},
    {2, "1805FAB4#1F4001F405DC05DC", Pf::kSetProtectionParams1, 0xFA, {800, 50, 150, 150}},
    {3, "1806FAB4#04B004B00A5006E0", Pf::kSetProtectionParams2, 0xFA, {120, 120, 264, 176}},
    {4, "1807FAB4#022601C2372D0000", Pf::kSetProtectionParams3, 0xFA, {55, 45, 55, 45}},
    {5, "1809FAB4#07E8060F0A1E2D00", Pf::kSetTime, 0xFA, {2024, 6, 15, 10, 30, 45}},
    {6, "180BFAB4#0200000000000000", Pf::kSetWorkingMode, 0xFA, {0x02}},
    {7, "180B01B4#2900000000000000", Pf::kSetWorkingMode, 0x01, {0x29}},
    {8, "180CFAB4#00061A8000000000", Pf::kSetModeParams12, 0xFA, {400000, 0}},
    {9, "180CFAB4#FFFF3CB000000000", Pf::kSetModeParams12, 0xFA, {-50000, 0}},
    {10, "180CFAB4#FF67698000000000", Pf::kSetModeParams12, 0xFA, {-10000000, 0}},
    {11, "180CFAB4#00061A80FFFF3CB0", Pf::kSetModeParams12, 0xFA, {400000, -50000}},
    {12, "180DFAB4#0000138800000000", Pf::kSetModeParams34, 0xFA, {5000, 0}},
    {13, "180DFAB4#0000271000000000", Pf::kSetModeParams34, 0xFA, {10000, 0}},
    {14, "180CFAB4#000186A0FFFE7960", Pf::kSetModeParams12, 0xFA, {100000, -100000}},
    {15, "180DFAB4#000000C8000009C4", Pf::kSetModeParams34, 0xFA, {200, 2500}},
    {16, "180CFAB4#00035B600000C350", Pf::kSetModeParams12, 0xFA, {220000, 50000}},
    {17, "180CFAB4#01C9C380FFB3B4C0", Pf::kSetModeParams12, 0xFA, {30000000, -5000000}},
    {18, "180FFAB4#0100000000000000", Pf::kStartStop, 0xFA, {1, 0, 0}},
    {19, "180FFAB4#0000000000000000", Pf::kStartStop, 0xFA, {0, 0, 0}},
    {20, "180FFAB4#0001000000000000", Pf::kStartStop, 0xFA, {0, 1, 0}},
    {21, "180FFAB4#0101010000000000", Pf::kStartStop, 0xFA, {1, 1, 1}},
    {22, "180F00B4#0000000000000000", Pf::kStartStop, 0x00, {0, 0, 0}},
    {23, "181AFAB4#0000271002000000", Pf::kHeartbeat, 0xFA, {0, 0, 2}},
    {24, "181AFAB4#0FA0290402000000", Pf::kHeartbeat, 0xFA, {400, 50, 2}},
    {25, "181AFAB4#0000271001000000", Pf::kHeartbeat, 0xFA, {0, 0, 1}},
    {26, "181BFAB4#1D4C006400000000", Pf::kSetBusVoltageReactive, 0xFA, {750, 10}},
    {27, "181BFAB4#1D4CFF9C00000000", Pf::kSetBusVoltageReactive, 0xFA, {750, -10}},
    {28, "181FFAB4#0100010000000000", Pf::kSetIo, 0xFA, {1, 0, 1, 0}},
    {29, "1826FAB4#0100000000000000", Pf::kSetSplitPhaseEnable, 0xFA, {1}},
    {30, "1828FAB4#0700000000000000", Pf::kSetInverterPhase, 0xFA, {7}},
    {31, "182AFAB4#0103E80000000000", Pf::kSetReactiveControl, 0xFA, {1, 1}},
    {32, "182AFAB4#0103B60000000000", Pf::kSetReactiveControl, 0xFA, {1, 0.95}},
    {33, "182CFAB4#0100000000000000", Pf::kSetGridMode, 0xFA, {1}},
    {34, "182EFAB4#0103029A00000000", Pf::kSetModuleParallel, 0xFA, {1, 3, 666}},
    {35, "1821FAB4#0064006400640000", Pf::kSetPhaseActivePower, 0xFA, {10, 10, 10}},
    {36, "181DFAB4#0A00000000000000", Pf::kReadSpecialData, 0xFA, {10}},
    {37, "1802B4FA#1F4001F405DC05DC", Pf::kProtectionParams1Reply, 0xFA, {800, 50, 150, 150}},
    {38, "1803B4FA#04B004B00A5006E0", Pf::kProtectionParams2Reply, 0xFA, {120, 120, 264, 176}},
    {39, "1804B4FA#022601C2372D0000", Pf::kProtectionParams3Reply, 0xFA, {55, 45, 55, 45}},
    {40, "1808B4FA#0101000000000000", Pf::kSetProtectionReply, 0xFA, {1, 1}},
    {41, "180EB4FA#0100000000000000", Pf::kSetModeReply, 0xFA, {1}},
    {42, "1810B4FA#0100000000000000", Pf::kStartStopReply, 0xFA, {1}},
    {43, "1811B4FA#0FA0290400C80352", Pf::kDcData, 0xFA, {400, 50, 20, 35}},
    {44, "1811B4FA#0FA0251C00C80352", Pf::kDcData, 0xFA, {400, -50, 20, 35}},
    {45, "1812B4FA#03E80007A1200384", Pf::kCapacityEnergy, 0xFA, {100, 50000, 40}},
    {46, "1813B4FA#0D00000000000000", Pf::kStatus, 0xFA, {13, 0}},
    {47, "1813B4FA#0600800D00000000", Pf::kStatus, 0xFA, {6, 32781}},
    {48, "1814B4FA#08FC08FC08FC0000", Pf::kGridVoltage, 0xFA, {230, 230, 230}},
    {49, "1815B4FA#01F401F401F4000A", Pf::kGridCurrent, 0xFA, {50, 50, 50, 1}},
    {50, "1816B4FA#03E8003203E901F4", Pf::kSystemPower, 0xFA, {100, 5, 100.1, 50}},
    {51, "1817B4FA#0898089808980000", Pf::kLoadVoltage, 0xFA, {220, 220, 220}},
    {52, "1818B4FA#0064006400640000", Pf::kLoadCurrent, 0xFA, {10, 10, 10}},
    {53, "1819B4FA#01F4000A01F50000", Pf::kLoadPower, 0xFA, {50, 1, 50.1}},
    {54, "1820B4FA#010001000CE40672", Pf::kIoAndAd, 0xFA, {1, 0, 1, 0, 3.3, 1.65}},
    {55, "1823B4FA#0064000500650000", Pf::kPhaseAPower, 0xFA, {10, 0.5, 10.1}},
    {56, "1834B4FA#0102030201260000", Pf::kArmVersion, 0xFA, {1, 2, 3, 2, 1, 38}},
    {57, "1839B4FA#00061A8000100590", Pf::kHighResDc, 0xFA, {400, 50}},
    {58, "1839B4FA#00061A80000E1B54", Pf::kHighResDc, 0xFA, {400, -75.5}},
    {59, "1822FAB4#0014FFEC00000000", Pf::kSetPhaseReactivePower, 0xFA, {2, -2, 0}},
    {60, "1830FAB4#0102040000000000", Pf::kSetChannelParallel, 0xFA, {1, 2, 4}},
    {61, "1832FAB4#0100000000000000", Pf::kSetBusParallel, 0xFA, {1}},
    {62, "181CB4FA#0701000000000000", Pf::kSpecialSetReply, 0xFA, {7, 1}},
    {63, "181EB4FA#1D4CFF9C00000000", Pf::kStoredBusVoltageReactive, 0xFA, {750, -10}},
    {64, "1836B4FA#2900000000000000", Pf::kWorkingModeReply, 0xFA, {0x29}},
    {65, "1837B4FA#00061A80FFFF3CB0", Pf::kModeParams12Reply, 0xFA, {400000, -50000}},
    {66, "1838B4FA#0000138800000000", Pf::kModeParams34Reply, 0xFA, {5000, 0}},
};

class GoldenFrame : public ::testing::TestWithParam<Golden> {};

TEST_P(GoldenFrame, Decodes) {
  const Golden& golden = GetParam();
  const absl::StatusOr<Message> message = Decode(*ParseFrame(golden.frame));
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->pf, golden.pf);
  EXPECT_EQ(message->address, golden.address);
  ASSERT_EQ(golden.values.size(), FrameOf(golden.pf).fields.size());
  for (size_t i = 0; i < golden.values.size(); ++i) {
    EXPECT_EQ(message->values[i], golden.values[i]) << FrameOf(golden.pf).fields[i].name;
  }
}

TEST_P(GoldenFrame, Encodes) {
  const Golden& golden = GetParam();
  const absl::StatusOr<CanFrame> frame = Encode(golden.pf, golden.address, golden.values);
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(FormatFrame(*frame), golden.frame);
}

INSTANTIATE_TEST_SUITE_P(Section18, GoldenFrame, ::testing::ValuesIn(kGolden),
                         [](const ::testing::TestParamInfo<Golden>& i) {
                           return "Row" + std::to_string(i.param.row);
                         });

// Rows 8 to 17 give parameters in physical units: mode, values, counts.
struct GoldenParameters {
  const char* rows;
  Mode mode;
  std::vector<double> values;
  ModeCounts counts;
};

const GoldenParameters kParameters[] = {
    {"Row8", Mode::kDcConstantVoltage, {400}, {0x00061A80, 0, 0, 0}},
    {"Row9", Mode::kDcConstantCurrent, {-50}, {-50000, 0, 0, 0}},
    {"Row10", Mode::kDcConstantPower, {-10000}, {-10000000, 0, 0, 0}},
    {"Rows11And12", Mode::kDcCcCv, {400, -50, 5}, {400000, -50000, 5000, 0}},
    {"Row13", Mode::kDcRampCurrent, {0, 0, 10}, {0, 0, 0x2710, 0}},
    {"Rows14And15", Mode::kDcPulseCurrent, {100, -100, 2, 25}, {100000, -100000, 200, 2500}},
    {"Row16", Mode::kIndependentInverter, {220, 50}, {220000, 50000, 0, 0}},
    {"Row17", Mode::kAcConstantPower, {30000, -5000}, {30000000, -5000000, 0, 0}},
};

class GoldenModeParameters : public ::testing::TestWithParam<GoldenParameters> {};

TEST_P(GoldenModeParameters, BecomeCounts) {
  const absl::StatusOr<ModeCounts> counts =
      ToCounts(*FindMode(static_cast<int>(GetParam().mode)), GetParam().values);
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(*counts, GetParam().counts);
}

TEST_P(GoldenModeParameters, ComeOfCounts) {
  const ModeSpec& mode = *FindMode(static_cast<int>(GetParam().mode));
  for (size_t i = 0; i < GetParam().values.size(); ++i) {
    EXPECT_EQ(FromCounts(mode, i, GetParam().counts[i]), GetParam().values[i]) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Section18, GoldenModeParameters, ::testing::ValuesIn(kParameters),
                         [](const ::testing::TestParamInfo<GoldenParameters>& i) {
                           return i.param.rows;
                         });

}  // namespace
}  // namespace canhub::ystech_pcs
