#include "daemon/bus/link_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/can/error.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <random>
#include <string>
#include <vector>

#include "daemon/bus/link_message.h"
#include "daemon/bus/link_message_testdata.h"
#include "daemon/bus/socketcan_bus.h"

namespace canhub {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::vector<uint8_t> Bytes(const std::string& hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

LinkInfo OneLink(std::vector<uint8_t> bytes) {
  const LinkReply reply = ParseLinkMessages(bytes);
  EXPECT_EQ(reply.links.size(), 1u);
  return reply.links.empty() ? LinkInfo{} : reply.links[0];
}

LinkInfo CanLink() { return OneLink(Bytes(kCanLinkHex)); }

TEST(LinkMessageTest, InterfaceWithABitRate) {
  const LinkInfo link = CanLink();
  EXPECT_EQ(link.name, "can0");
  EXPECT_EQ(link.index, 3);
  EXPECT_EQ(link.kind, "can");
  EXPECT_TRUE(link.is_can);
  EXPECT_TRUE(link.up);
  EXPECT_FALSE(link.deleted);
  EXPECT_EQ(link.bitrate, 125000u);
  EXPECT_EQ(link.controller, BusState::kActive);
  EXPECT_EQ(link.restart_ms, 0u);
  EXPECT_FALSE(link.listen_only);
}

TEST(LinkMessageTest, VirtualInterfaceHasNoBitRateButCounters) {
  const LinkInfo link = OneLink(Bytes(kVcanLinkHex));
  EXPECT_EQ(link.name, "vcan0");
  EXPECT_EQ(link.kind, "vcan");
  EXPECT_TRUE(link.is_can);
  EXPECT_EQ(link.bitrate, 0u);
  EXPECT_EQ(link.controller, std::nullopt);
  ASSERT_TRUE(link.counters.has_value());
  EXPECT_EQ(link.counters->tx_packets, 4u);
  EXPECT_EQ(link.counters->tx_bytes, 10u);
  EXPECT_EQ(link.counters->rx_packets, 4u);
}

TEST(LinkMessageTest, DeletionIsSeen) {
  std::vector<uint8_t> bytes = Bytes(kCanLinkHex);
  bytes[4] = RTM_DELLINK;
  EXPECT_TRUE(OneLink(bytes).deleted);
}

TEST(LinkMessageTest, SeveralMessagesInOneDatagram) {
  std::vector<uint8_t> bytes = Bytes(kCanLinkHex);
  const std::vector<uint8_t> more = Bytes(kVcanLinkHex);
  bytes.insert(bytes.end(), more.begin(), more.end());
  EXPECT_EQ(ParseLinkMessages(bytes).links.size(), 2u);
}

// The kernel's answer to a question for an interface that is not there (recorded).
TEST(LinkMessageTest, UnknownInterfaceIsAnError) {
  EXPECT_EQ(ParseLinkMessages(
                Bytes("4000000002000000010000000b030000edffffff2c000000120001000100000000000000"
                      "000000000000000000000000000000000b000300736c63616e300000"))
                .error,
            ENODEV);
}

TEST(LinkMessageTest, AnErrorNumberWithoutPositiveCounterpartIsNone) {
  EXPECT_EQ(ParseLinkMessages(Bytes("1400000002000000010000000b03000000000080")).error,
            std::nullopt);
}

TEST(LinkMessageTest, EveryTruncationIsHarmless) {
  const std::vector<uint8_t> bytes = Bytes(kCanLinkHex);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<uint8_t> part(bytes.begin(), bytes.begin() + static_cast<long>(size));
    EXPECT_TRUE(ParseLinkMessages(part).links.empty());
  }
}

TEST(LinkMessageTest, RandomDamageIsHarmless) {
  std::mt19937 random(1);
  const std::vector<uint8_t> whole = Bytes(kCanLinkHex);
  for (int round = 0; round < 5000; ++round) {
    std::vector<uint8_t> bytes = whole;
    for (int i = 0; i < 8; ++i) bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    EXPECT_LE(ParseLinkMessages(bytes).links.size(), bytes.size() / 16);
  }
}

TEST(LinkMessageTest, QuestionNamesTheInterface) {
  const std::vector<uint8_t> bytes = BuildGetLink("can0", 7);
  nlmsghdr header;
  ASSERT_GE(bytes.size(), sizeof(header));
  std::copy_n(bytes.begin(), sizeof(header), reinterpret_cast<uint8_t*>(&header));
  EXPECT_EQ(header.nlmsg_len, bytes.size());
  EXPECT_EQ(header.nlmsg_type, RTM_GETLINK);
  EXPECT_EQ(header.nlmsg_seq, 7u);
  // A question has the form of an answer.
  std::vector<uint8_t> answer = bytes;
  answer[4] = RTM_NEWLINK;
  EXPECT_EQ(OneLink(answer).name, "can0");
}

TEST(HiddenTrafficTest, CountsWhatWasNotSeen) {
  const LinkInfo::Counters before{100, 50, 800, 400}, after{300, 60, 2400, 480};
  const HiddenTraffic hidden = EstimateHidden(before, after, false, 10, 80, 0);
  EXPECT_EQ(hidden.frames, 200);
  // 200 frames of 8 bytes and 11 bits of identifier: 111 bits each and 2.7 stuff bits on average.
  EXPECT_NEAR(hidden.bits, 200 * 113.7, 1);
  EXPECT_NEAR(EstimateHidden(before, after, false, 10, 80, 1).bits, 200 * 134.5, 1);
}

TEST(HiddenTrafficTest, VirtualLinesCountOnce) {
  const LinkInfo::Counters before{0, 0, 0, 0}, after{100, 100, 800, 800};
  EXPECT_EQ(EstimateHidden(before, after, true, 0, 0, 0).frames, 100);
}

TEST(HiddenTrafficTest, NothingHiddenOrCountersBegunAnew) {
  const LinkInfo::Counters before{100, 100, 800, 800}, after{1, 1, 8, 8};
  EXPECT_EQ(EstimateHidden(before, after, false, 0, 0, 0).frames, 0);
  EXPECT_EQ(EstimateHidden({}, after, false, 2, 16, 0).bits, 0);
}

class LinkWatchTest : public testing::Test {
 protected:
  void Use(const LinkInfo& link) {
    watch_.OnLink(link);
    ASSERT_TRUE(watch_.wants_socket());
    watch_.OnOpened();
  }
  LinkWatch watch_{"can0", 125000};
};

TEST_F(LinkWatchTest, MissingInterface) {
  watch_.OnAbsent();
  EXPECT_EQ(watch_.state(), BusState::kUnplugged);
  EXPECT_FALSE(watch_.wants_socket());
  EXPECT_THAT(watch_.text(), HasSubstr("no CAN interface can0"));
}

TEST_F(LinkWatchTest, GoodInterfaceBecomesUsableOnceOpened) {
  watch_.OnLink(CanLink());
  EXPECT_TRUE(watch_.wants_socket());
  EXPECT_EQ(watch_.link_index(), 3);
  EXPECT_FALSE(CanTransmit(watch_.state()));
  watch_.OnOpened();
  EXPECT_EQ(watch_.state(), BusState::kActive);
  EXPECT_EQ(watch_.text(), "");
}

TEST_F(LinkWatchTest, DownAndUpAgain) {
  LinkInfo link = CanLink();
  Use(link);
  link.up = false;
  watch_.OnLink(link);
  EXPECT_EQ(watch_.state(), BusState::kDown);
  EXPECT_FALSE(watch_.wants_socket());
  EXPECT_THAT(watch_.text(), HasSubstr("ip link set can0 up"));
  link.up = true;
  Use(link);
  EXPECT_EQ(watch_.state(), BusState::kActive);
}

TEST_F(LinkWatchTest, GoneAndBackWithAnotherIndex) {
  LinkInfo link = CanLink();
  Use(link);
  link.deleted = true;
  watch_.OnLink(link);
  EXPECT_EQ(watch_.state(), BusState::kUnplugged);
  link.deleted = false;
  link.index = 9;
  Use(link);
  EXPECT_EQ(watch_.link_index(), 9);
}

TEST_F(LinkWatchTest, DeletionOfAnotherInterfaceOfTheSameNameBeforeIsLate) {
  LinkInfo link = CanLink();
  Use(link);
  link.index = 2;
  link.deleted = true;
  watch_.OnLink(link);
  EXPECT_EQ(watch_.state(), BusState::kActive);
}

TEST_F(LinkWatchTest, RenamedAwayIsGone) {
  LinkInfo link = CanLink();
  Use(link);
  link.name = "can7";
  watch_.OnLink(link);
  EXPECT_EQ(watch_.state(), BusState::kUnplugged);
}

TEST_F(LinkWatchTest, WrongBitRateNeitherOpensNorTransmits) {
  LinkInfo link = CanLink();
  link.bitrate = 250000;
  watch_.OnLink(link);
  EXPECT_FALSE(watch_.wants_socket());
  EXPECT_EQ(watch_.state(), BusState::kDown);
  EXPECT_THAT(watch_.text(), HasSubstr("can0 runs at 250000 bit/s, configured are 125000 bit/s"));
}

TEST_F(LinkWatchTest, InterfaceWithoutBitRateIsAccepted) {
  LinkInfo link = OneLink(Bytes(kVcanLinkHex));
  link.name = "can0";
  Use(link);
  EXPECT_EQ(watch_.state(), BusState::kActive);
  EXPECT_TRUE(watch_.is_virtual());
}

TEST_F(LinkWatchTest, ListenOnlyCannotTransmit) {
  LinkInfo link = CanLink();
  link.listen_only = true;
  Use(link);
  EXPECT_FALSE(CanTransmit(watch_.state()));
  EXPECT_THAT(watch_.text(), HasSubstr("only listens"));
}

TEST_F(LinkWatchTest, NoCanInterfaceOfThatName) {
  LinkInfo link = CanLink();
  link.is_can = false;
  watch_.OnLink(link);
  EXPECT_EQ(watch_.state(), BusState::kUnplugged);
  EXPECT_EQ(watch_.text(), "can0 is not a CAN interface");
}

TEST_F(LinkWatchTest, BusOffByErrorFrameAndRestart) {
  Use(CanLink());
  watch_.OnErrorFrame(DecodeErrorFrame(CAN_ERR_BUSOFF, {}));
  EXPECT_EQ(watch_.state(), BusState::kBusOff);
  EXPECT_TRUE(watch_.wants_socket());
  // restart-ms is 0 in the recorded link.
  EXPECT_THAT(watch_.text(), HasSubstr("ip link set can0 type can restart"));
  watch_.OnErrorFrame(DecodeErrorFrame(CAN_ERR_RESTARTED, {}));
  EXPECT_EQ(watch_.state(), BusState::kActive);
}

TEST_F(LinkWatchTest, BusOffByLinkMessageAlone) {
  LinkInfo link = CanLink();
  Use(link);
  link.controller = BusState::kBusOff;
  watch_.OnLink(link);
  EXPECT_EQ(watch_.state(), BusState::kBusOff);
}

TEST_F(LinkWatchTest, BusOffEndsWhenTheInterfaceIsRestartedByHand) {
  LinkInfo link = CanLink();
  Use(link);
  watch_.OnErrorFrame(DecodeErrorFrame(CAN_ERR_BUSOFF, {}));
  link.up = false;
  watch_.OnLink(link);
  link.up = true;
  link.controller.reset();
  Use(link);
  EXPECT_EQ(watch_.state(), BusState::kActive);
}

TEST_F(LinkWatchTest, SocketErrorsAreStates) {
  Use(CanLink());
  watch_.OnSocketError(ENETDOWN);
  EXPECT_EQ(watch_.state(), BusState::kDown);
  Use(CanLink());
  watch_.OnSocketError(ENODEV);
  EXPECT_EQ(watch_.state(), BusState::kUnplugged);
}

TEST_F(LinkWatchTest, OpenErrorsSayWhatIsMissing) {
  watch_.OnLink(CanLink());
  watch_.OnOpenFailed(EPERM);
  EXPECT_EQ(watch_.state(), BusState::kUnplugged);
  EXPECT_THAT(watch_.text(), HasSubstr("CAP_NET_RAW"));
  EXPECT_TRUE(watch_.wants_socket());  // tried again
  watch_.OnOpenFailed(EAFNOSUPPORT);
  EXPECT_THAT(watch_.text(), HasSubstr("this kernel has no CAN support"));
  watch_.OnOpened();
  EXPECT_EQ(watch_.state(), BusState::kActive);
}

TEST(StampToMonoTest, ConvertsByTheOffsetOfNow) {
  const WallTime wall{1700000000s};
  const MonoTime now{1000s};
  EXPECT_EQ(StampToMono(wall - 3ms, wall, now, now - 10ms), now - 3ms);
}

TEST(StampToMonoTest, S12_JumpOfTheWallClockStaysWithinTheLastRead) {
  const WallTime wall{1700000000s};
  const MonoTime now{1000s};
  EXPECT_EQ(StampToMono(wall + 1h, wall, now, now - 10ms), now);
  EXPECT_EQ(StampToMono(wall - 1h, wall, now, now - 10ms), now - 10ms);
}

}  // namespace
}  // namespace canhub
