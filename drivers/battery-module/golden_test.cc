// The worked frames of sections 4.4 and 12.4 of the battery safety facts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "drivers/battery-module/codec.h"
#include "drivers/battery-module/layout.h"
#include "drivers/formats/dbc.h"

namespace canhub::battery_module {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

class BuiltIn : public testing::Test {
 protected:
  // Physical values of a frame's signals, in order of their names.
  std::map<std::string, double> Decode(const char* text, int* unknown = nullptr) {
    const CanFrame frame = *ParseFrame(text);
    const dbc::Message* message = database_->Find(frame.id, frame.extended);
    EXPECT_NE(message, nullptr);
    EXPECT_EQ(message->length, frame.dlc);
    std::map<std::string, double> values;
    const int page =
        message->ForEach(dbc::Payload(frame.payload()), [&](int index, dbc::Bits bits) {
          const dbc::Signal& signal = message->signals[static_cast<size_t>(index)];
          values[signal.name] = signal.Physical(bits);
        });
    if (unknown != nullptr) *unknown = page;
    return values;
  }
  std::shared_ptr<const dbc::Database> database_ = *dbc::Load(BuiltInDbc(), "built-in");
};

TEST_F(BuiltIn, HasWhatSection12Says) {
  size_t signals = 0;
  for (const dbc::Message& message : database_->messages) signals += message.signals.size();
  EXPECT_EQ(database_->messages.size(), 183u);
  EXPECT_EQ(signals, 1531u);
  EXPECT_TRUE(database_->warnings.empty());
  EXPECT_EQ(database_->bitrate, 500000u);
  EXPECT_EQ(database_->Find("SYNC")->cycle, std::chrono::milliseconds(100));
  EXPECT_EQ(database_->Find("BMU15_pdalarm")->cycle, std::chrono::milliseconds(500));
  EXPECT_EQ(database_->Find("BMU01_pdo6")->send_type, "OnRequest");
  EXPECT_EQ(database_->Find("BMU01_pdo1")->send_type, "OnSync");
}

TEST_F(BuiltIn, Sync) { EXPECT_THAT(Decode("080#FF"), ElementsAre(Pair("Sync_Count", 255))); }

TEST_F(BuiltIn, Pdo1) {
  EXPECT_THAT(Decode("181#3DFC7A12AEAF1416"),
              UnorderedElementsAre(
                  Pair("CMA_Current", -96.30000000000001), Pair("CMA_Voltage", 47.300000000000004),
                  Pair("Min_Cell_Voltage", 3.9400000000000004), Pair("Max_Cell_Voltage", 3.95),
                  Pair("CMA_Min_Temp", 20), Pair("CMA_Max_Temp", 22)));
  EXPECT_THAT(Decode("188#5E01E40C32C8F432"),
              UnorderedElementsAre(Pair("CMA_Current", 35.0), Pair("CMA_Voltage", 33.0),
                                   Pair("Min_Cell_Voltage", 2.7), Pair("Max_Cell_Voltage", 4.2),
                                   Pair("CMA_Min_Temp", -12), Pair("CMA_Max_Temp", 50)));
}

TEST_F(BuiltIn, Pdo2) {
  EXPECT_THAT(Decode("28F#4300646405080000"),
              UnorderedElementsAre(Pair("CMA_Status", 67), Pair("SOC", 50.0), Pair("SOH", 100),
                                   Pair("CellBalancingStatus", 2053)));
}

TEST_F(BuiltIn, Pdo3AndPdo4) {
  const auto cells = Decode("382#AEAEAEAFAE00FF3C");
  EXPECT_EQ(cells.at("Cell_1_Voltage"), 3.9400000000000004);
  EXPECT_EQ(cells.at("Cell_4_Voltage"), 3.95);
  EXPECT_EQ(cells.at("Cell_6_Voltage"), 2.2);
  EXPECT_EQ(cells.at("Cell_7_Voltage"), 4.75);
  EXPECT_EQ(cells.at("Cell_8_Voltage"), 2.8000000000000003);
  const auto more = Decode("482#AEAEAEBE00000000");
  EXPECT_EQ(more.at("Cell_12_Voltage"), 4.1000000000000005);
  EXPECT_EQ(more.at("Cell_13_Voltage"), 2.2);
}

TEST_F(BuiltIn, Pdo5) {
  EXPECT_THAT(
      Decode("191#F2010000A3C10500"),
      UnorderedElementsAre(Pair("Charge_Ah_from_BMU", 498), Pair("Discharge_Ah_from_BMU", 377251)));
}

TEST_F(BuiltIn, Pdo6) {
  const auto sensors = Decode("293#151414FFD8167F00");
  EXPECT_EQ(sensors.at("CMA_Temp1"), 21);
  EXPECT_EQ(sensors.at("CMA_Temp4"), -1);
  EXPECT_EQ(sensors.at("CMA_Temp5"), -40);
  EXPECT_EQ(sensors.at("CMA_Temp7"), 127);
}

TEST_F(BuiltIn, SensorRequest) {
  const auto sdo = Decode("601#2F05180100000000");
  EXPECT_EQ(sdo.at("SDO_Index"), 0x1805);
  EXPECT_EQ(sdo.at("SDO_SubIndex"), 1);
  EXPECT_EQ(sdo.at("SDO_SizeIndicated"), 1);
  EXPECT_EQ(sdo.at("SDO_Expedited"), 1);
  EXPECT_EQ(sdo.at("SDO_UnusedBytes"), 3);
  EXPECT_EQ(sdo.at("SDO_Command"), 1);
  EXPECT_EQ(sdo.at("SDO_Data"), 0);
}

TEST_F(BuiltIn, AlarmFrame) {
  const auto alarm = Decode("1A5#300070033401099C");
  EXPECT_EQ(alarm.at("AL_OverTempWarn"), 1);
  EXPECT_EQ(alarm.at("AL_OverTempDanger"), 1);
  EXPECT_EQ(alarm.at("AL_WorstCell"), 7);
  EXPECT_EQ(alarm.at("AL_WorstTempSensor"), 3);
  EXPECT_EQ(alarm.at("FaultCode"), 308);
  EXPECT_EQ(alarm.at("LiveCounter"), 9);
  EXPECT_EQ(alarm.at("Crc8"), 0x9C);
}

TEST_F(BuiltIn, InfoPages) {
  EXPECT_THAT(
      Decode("2A4#000C070201040000"),
      UnorderedElementsAre(Pair("InfoPage", 0), Pair("CellCount", 12), Pair("TempSensorCount", 7),
                           Pair("HwRevision", 2), Pair("SwMajor", 1), Pair("SwMinor", 4)));
  EXPECT_THAT(Decode("2A4#0112345678541500"),
              UnorderedElementsAre(Pair("InfoPage", 1), Pair("SerialNumber", 0x12345678),
                                   Pair("BuildWeek", 21), Pair("BuildYear", 2021)));
  EXPECT_THAT(Decode("2A4#0200801C43000000"),
              UnorderedElementsAre(Pair("InfoPage", 2), Pair("RatedCapacity", 156.5)));
  EXPECT_THAT(Decode("2A4#030F850000000000"),
              UnorderedElementsAre(Pair("InfoPage", 3), Pair("TempOffset", -12.3)));
  EXPECT_THAT(Decode("2A4#1B55000000000000"),
              UnorderedElementsAre(Pair("InfoPage", 27), Pair("CellResistance", 0.85)));
}

TEST_F(BuiltIn, AnUndefinedInfoPageIsItsNumberAlone) {
  int unknown = -1;
  EXPECT_THAT(Decode("2A4#0400000000000000", &unknown), UnorderedElementsAre(Pair("InfoPage", 4)));
  EXPECT_EQ(unknown, 0);
}

TEST_F(BuiltIn, IsolationMonitor) {
  EXPECT_THAT(Decode("0A100101#E1"), ElementsAre(Pair("IMD_RequestOpcode", 0xE1)));
  const auto answer = Decode("0A100100#E12001F402007B09");
  EXPECT_EQ(answer.at("IMD_Rp"), 500);
  EXPECT_EQ(answer.at("IMD_RpUncertainty"), 2);
  EXPECT_EQ(answer.at("IMD_Rn"), 123);
  EXPECT_EQ(answer.at("IMD_RnUncertainty"), 9);
  EXPECT_EQ(answer.at("IMD_HighUncertainty"), 1);
  EXPECT_EQ(answer.count("IMD_Vbat"), 0u);
}

TEST(BatteryCodec, WhatTheHostSends) {
  EXPECT_EQ(FormatFrame(SyncFrame()), "080#FF");
  EXPECT_EQ(FormatFrame(SensorRequestFrame(1)), "601#2F05180100000000");
  EXPECT_EQ(FormatFrame(SensorRequestFrame(15)), "60F#2F05180100000000");
}

TEST(BatteryCodec, Crc8) {
  const uint8_t digits[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
  EXPECT_EQ(Crc8(digits), 0x4B);
  EXPECT_EQ(AlarmCrc(5, ParseFrame("1A5#300070033401099C")->payload()), 0x9C);
}

TEST(BatteryCodec, FaultCodes) {
  EXPECT_EQ(LevelOfFault(0), Level::kNormal);
  for (const int code : {1, 200, 299, 99, 107, 500}) {
    EXPECT_EQ(LevelOfFault(code), Level::kWarning) << code;
  }
  for (const int code : {100, 106, 300, 499}) {
    EXPECT_EQ(LevelOfFault(code), Level::kDangerous) << code;
  }
}

}  // namespace
}  // namespace canhub::battery_module
