#include "daemon/rpc/identity.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace canhub {
namespace {

using testing::StartsWith;

int OpenOne() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
std::string Peer(int fd) { return "fd:" + std::to_string(fd); }

TEST(IdentityTest, TcpClientsAreNamedByHostWithoutPort) {
  EXPECT_EQ(IdentityOfAddress("ipv4:127.0.0.1:40123"), "tcp:127.0.0.1");
}
TEST(IdentityTest, Ipv6AddressesLoseTheirBrackets) {
  EXPECT_EQ(IdentityOfAddress("ipv6:%5B::1%5D:5000"), "tcp:::1");
  EXPECT_EQ(IdentityOfAddress("ipv6:[fe80::2]:5000"), "tcp:fe80::2");
}
TEST(IdentityTest, MappedAddressesAreTheIpv4Client) {
  EXPECT_EQ(IdentityOfAddress("ipv6:%5B::ffff:10.0.0.3%5D:5000"), "tcp:10.0.0.3");
}
TEST(IdentityTest, AnythingElseHasNone) {
  for (const char* peer : {"", "inproc", "unknown", "fd:300", "unix:", "unix:/tmp/x",
                           "ipv4:", "ipv4:1.2.3.4", "%", "x"}) {
    EXPECT_EQ(IdentityOfAddress(peer), "") << peer;
  }
}

TEST(IdentityTest, UnixPeerIsThisUser) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const absl::StatusOr<UnixPeer> peer = ReadUnixPeer(pair[0]);
  ASSERT_TRUE(peer.ok()) << peer.status();
  EXPECT_EQ(peer->uid, getuid());
  EXPECT_THAT(peer->identity, StartsWith("unix:uid=" + std::to_string(getuid())));
  close(pair[0]);
  close(pair[1]);
}

TEST(IdentityTest, WhatIsNoUnixSocketHasNoPeer) {
  const int fd = OpenOne();
  EXPECT_EQ(ReadUnixPeer(fd).status().code(), absl::StatusCode::kUnavailable);
  close(fd);
}

TEST(PinnedDescriptorsTest, NamesTheIdentityOfADescriptor) {
  PinnedDescriptors descriptors(4);
  const absl::StatusOr<int> fd = descriptors.Pin(OpenOne(), "unix:uid=1");
  ASSERT_TRUE(fd.ok());
  EXPECT_GE(*fd, PinnedDescriptors::kFirst);
  EXPECT_EQ(descriptors.IdentityOf(Peer(*fd)), "unix:uid=1");
  close(*fd);
}

TEST(PinnedDescriptorsTest, ClosesTheDescriptorItWasGiven) {
  PinnedDescriptors descriptors(4);
  const int given = OpenOne();
  const absl::StatusOr<int> fd = descriptors.Pin(given, "unix:uid=1");
  EXPECT_EQ(fcntl(given, F_GETFD), -1);
  close(*fd);
}

// The one that matters: a call of a closed connection may still ask who it is from.
TEST(PinnedDescriptorsTest, ANumberOnceUsedNeverNamesAnotherIdentity) {
  PinnedDescriptors descriptors(4);
  const int viewer = *descriptors.Pin(OpenOne(), "unix:uid=1(viewer)");
  close(viewer);
  const int engineer = *descriptors.Pin(OpenOne(), "unix:uid=2(engineer)");
  EXPECT_NE(engineer, viewer);
  EXPECT_EQ(descriptors.IdentityOf(Peer(viewer)), "unix:uid=1(viewer)");
  close(engineer);
}

TEST(PinnedDescriptorsTest, ReusesTheNumbersOfClosedConnectionsOfTheSameIdentity) {
  PinnedDescriptors descriptors(2);
  int last = -1;
  for (int i = 0; i < 1000; ++i) {
    const absl::StatusOr<int> fd = descriptors.Pin(OpenOne(), "unix:uid=1");
    ASSERT_TRUE(fd.ok()) << i << fd.status();
    last = *fd;
    close(*fd);
  }
  EXPECT_EQ(descriptors.IdentityOf(Peer(last)), "unix:uid=1");
}

TEST(PinnedDescriptorsTest, RefusesMoreConnectionsThanAllowed) {
  PinnedDescriptors descriptors(2);
  const int a = *descriptors.Pin(OpenOne(), "unix:uid=1");
  const int b = *descriptors.Pin(OpenOne(), "unix:uid=1");
  EXPECT_EQ(descriptors.Pin(OpenOne(), "unix:uid=1").status().code(),
            absl::StatusCode::kResourceExhausted);
  const absl::StatusOr<int> other = descriptors.Pin(OpenOne(), "unix:uid=2");
  EXPECT_TRUE(other.ok());
  for (const int fd : {a, b, *other}) close(fd);
}

TEST(PinnedDescriptorsTest, LeavesANumberThatSomebodyElseHasTaken) {
  PinnedDescriptors descriptors(2);
  const int first = *descriptors.Pin(OpenOne(), "unix:uid=1");
  close(first);
  const int source = OpenOne();
  const int squatter = fcntl(source, F_DUPFD_CLOEXEC, first);
  ASSERT_EQ(squatter, first);
  const int second = *descriptors.Pin(OpenOne(), "unix:uid=1");
  EXPECT_NE(second, first);
  for (const int fd : {source, squatter, second}) close(fd);
}

TEST(PinnedDescriptorsTest, UnknownPeersHaveNoIdentity) {
  PinnedDescriptors descriptors(2);
  for (const char* peer :
       {"fd:300", "fd:", "fd:-1", "fd:3x", "fd:99999999999999", "", "ipv4:1:2"}) {
    EXPECT_EQ(descriptors.IdentityOf(peer), "") << peer;
  }
}

}  // namespace
}  // namespace canhub
