#include "daemon/core/device_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/core/alarm_impl.h"
#include "daemon/core/fake_device.h"
#include "daemon/core/lease_impl.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Keeps the safe actions it is given: "pcs2 stop".
class RecordingGate final : public CommandGate {
 public:
  void Submit(CommandRequest, CommandCallback) override { ADD_FAILURE() << "not its business"; }
  absl::Status Check(const CommandRequest&) const override { return absl::OkStatus(); }
  void SubmitFrame(FrameRequest, CommandCallback) override { ADD_FAILURE() << "not its business"; }
  void SubmitSafeAction(const std::string& device_id, const std::string& action,
                        const std::string& why, CommandCallback done) override {
    given.push_back(device_id + " " + action);
    last_why = why;
    done({});
  }
  std::vector<std::string> given;
  std::string last_why;
};

class GroupGuardTest : public ::testing::Test {
 protected:
  void Watch(std::string on_failure = "stop") {
    guard_ = std::make_unique<GroupGuard>(
        std::vector<DeviceGroup>{{"rack", {"pcs1", "pcs2", "pcs3"}, std::move(on_failure)}},
        alarms_.get(), &gate_);
    guard_->RunUntil({});
  }
  void Raise(const char* device, const char* code, AlarmSeverity severity) {
    alarms_->Raise(device, code, severity, "battery voltage too high");
    guard_->RunUntil({});
  }
  SimulatedClock clock_;
  fake::MemoryAudit audit_;
  fake::MemoryAlarms store_;
  std::unique_ptr<AlarmBook> alarms_ = MakeAlarmBook(&clock_, &store_, &audit_);
  RecordingGate gate_;
  std::unique_ptr<GroupGuard> guard_;
};

TEST_F(GroupGuardTest, AFailedMemberStopsTheOthers) {
  Watch();
  Raise("pcs2", "fault_1", AlarmSeverity::kCritical);
  EXPECT_THAT(gate_.given, UnorderedElementsAre("pcs1 stop", "pcs3 stop"));
  EXPECT_THAT(gate_.last_why, HasSubstr("group rack: pcs2 failed: battery voltage too high"));
}

TEST_F(GroupGuardTest, OnceForEachFailure) {
  Watch();
  Raise("pcs2", "fault_1", AlarmSeverity::kCritical);
  Raise("pcs2", "fault_1", AlarmSeverity::kCritical);
  EXPECT_EQ(gate_.given.size(), 2u);
  alarms_->Clear("pcs2", "fault_1");
  guard_->RunUntil({});
  Raise("pcs2", "fault_1", AlarmSeverity::kCritical);
  EXPECT_EQ(gate_.given.size(), 4u);
}

TEST_F(GroupGuardTest, AWarningIsNoFailure) {
  Watch();
  Raise("pcs2", "external_measurement", AlarmSeverity::kWarning);
  EXPECT_THAT(gate_.given, IsEmpty());
}

TEST_F(GroupGuardTest, AnotherDeviceIsNoMember) {
  Watch();
  Raise("hv0", "trip", AlarmSeverity::kCritical);
  EXPECT_THAT(gate_.given, IsEmpty());
}

TEST_F(GroupGuardTest, HoldLeavesTheOthersAlone) {
  Watch(kHoldAction);
  Raise("pcs2", "fault_1", AlarmSeverity::kCritical);
  EXPECT_THAT(gate_.given, IsEmpty());
}

TEST_F(GroupGuardTest, S01_WhatStandsAtTheStartStopsNobody) {
  alarms_->Raise("pcs2", "fault_1", AlarmSeverity::kCritical, "from before");
  Watch();
  EXPECT_THAT(gate_.given, IsEmpty());
  Raise("pcs1", "fault_5", AlarmSeverity::kCritical);
  EXPECT_THAT(gate_.given, ElementsAre("pcs2 stop", "pcs3 stop"));
}

}  // namespace
}  // namespace canhub
