// Client and server of the socketcand protocol, over loopback.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "daemon/bus/recording_sink.h"
#include "daemon/bus/simulated_line.h"
#include "daemon/bus/socketcand_client.h"
#include "daemon/bus/socketcand_server.h"
#include "drivers/api/errors.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Steps a line on a virtual clock, from its own thread, whenever there is something to do; the
// clock runs as fast as the line has work.
class LineThread {
 public:
  LineThread(SimulatedClock* clock, SimulatedLine* line) : clock_(clock), line_(line) {
    line_->SetWaker([this] {
      std::lock_guard lock(mu_);
      woken_ = true;
      changed_.notify_all();
    });
    thread_ = std::thread([this] { Run(); });
  }
  ~LineThread() {
    {
      std::lock_guard lock(mu_);
      stop_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }

 private:
  void Run() {
    for (;;) {
      const MonoTime next = line_->RunUntil(clock_->Now());
      if (next != kNever) {
        std::lock_guard lock(mu_);
        if (stop_) return;
        clock_->AdvanceTo(next);
        continue;
      }
      std::unique_lock lock(mu_);
      changed_.wait(lock, [this] { return woken_ || stop_; });
      woken_ = false;
      if (stop_) return;
    }
  }
  SimulatedClock* const clock_;
  SimulatedLine* const line_;
  std::mutex mu_;
  std::condition_variable changed_;
  bool woken_ = false;
  bool stop_ = false;
  std::thread thread_;
};

// Collects log lines and waits for one.
class LogBook {
 public:
  BusLog log() {
    return [this](LogLevel, std::string text) {
      std::lock_guard lock(mu_);
      lines_.push_back(std::move(text));
      changed_.notify_all();
    };
  }
  bool WaitFor(const std::string& part, size_t times = 1) {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, 10s, [&] {
      size_t found = 0;
      for (const std::string& line : lines_) found += line.find(part) != std::string::npos;
      return found >= times;
    });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

// A bare TCP connection to a server, for what a client must not do.
class RawConnection {
 public:
  explicit RawConnection(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval limit{10, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  void Send(std::string_view text) {
    EXPECT_EQ(send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // One recv; "" when the server closed the connection.
  std::string Receive() {
    char bytes[4096];
    const ssize_t got = recv(fd_.get(), bytes, sizeof(bytes), 0);
    return got <= 0 ? std::string() : std::string(bytes, static_cast<size_t>(got));
  }
  void EnterRawMode() {
    EXPECT_EQ(Receive(), "< hi >");
    Send("< open lab >");
    EXPECT_EQ(Receive(), "< ok >");
    Send("< rawmode >");
    EXPECT_EQ(Receive(), "< ok >");
  }
  void Close() { fd_.reset(); }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

class SocketcandTest : public testing::Test {
 protected:
  void SetUp() override { StartServer({}); }
  // Before the thread that steps the line: the server's clients wake it.
  void TearDown() override { server_.reset(); }
  void StartServer(SocketcandServerOptions options, const std::string& listen = "127.0.0.1:0") {
    options.listen = listen;
    options.bus_name = "lab";
    options.log = server_log_.log();
    server_ = std::make_unique<SocketcandServer>(clock_, &line_, options);
    const absl::Status status = server_->Start();
    ASSERT_TRUE(status.ok()) << status;
  }
  std::unique_ptr<SocketcandClient> MakeClient(std::string remote_bus = "lab") {
    SocketcandClientOptions options;
    options.name = "remote";
    options.host = "127.0.0.1";
    options.port = server_->port();
    options.remote_bus = std::move(remote_bus);
    options.bitrate = 125000;
    options.log = client_log_.log();
    return std::make_unique<SocketcandClient>(clock_, options);
  }
  // The server holds frames back for 20 ms after "< ok >".
  void PassQuietTime() {
    clock_.Advance(25ms);
    server_->Wake();
  }
  static bool Active(const RecordingSink& sink) {
    return !sink.raw_states().empty() && sink.raw_states().back() == BusState::kActive;
  }
  static TxFrame Tx(CanFrame frame, uint64_t tag) {
    TxFrame tx;
    tx.frame = frame;
    tx.tag = tag;
    return tx;
  }

  SimulatedClock clock_;
  SimulatedLine line_{clock_, "lab", 1000000};
  LogBook server_log_, client_log_;
  std::unique_ptr<SocketcandServer> server_;
  RecordingSink local_sink_, remote_sink_;
  LineThread thread_{&clock_, &line_};
};

CanFrame Numbered(uint32_t id, uint32_t number) {
  return MakeFrame(id, {static_cast<uint8_t>(number), static_cast<uint8_t>(number >> 8)});
}

TEST_F(SocketcandTest, ThousandsOfFramesBothWaysNoneLostNoneOutOfOrder) {
  auto node = line_.CreateNode("daemon");
  auto local = node->Attach({{0x100, 0x7FF, false}}, &local_sink_);
  auto client = MakeClient();
  auto remote = client->Attach({{0x200, 0x7FF, false}}, &remote_sink_);
  ASSERT_TRUE(client->Start().ok());
  ASSERT_TRUE(remote_sink_.WaitFor(Active));
  PassQuietTime();
  static constexpr uint32_t kFrames = 5000;
  const auto send_all = [](BusPort* port, uint32_t id) {
    for (uint32_t i = 0; i < kFrames;) {
      if (port->Send(Tx(Numbered(id, i), i + 1)).ok()) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  };
  std::thread other([&] { send_all(local.get(), 0x200); });
  send_all(remote.get(), 0x100);
  other.join();
  const auto all = [](const RecordingSink& sink) { return sink.raw_rx().size() >= kFrames; };
  EXPECT_TRUE(local_sink_.WaitFor(all));
  EXPECT_TRUE(remote_sink_.WaitFor(all));
  const auto check = [](const std::vector<RxFrame>& frames, uint32_t id) {
    ASSERT_EQ(frames.size(), kFrames);
    for (uint32_t i = 0; i < kFrames; ++i) ASSERT_EQ(frames[i].frame, Numbered(id, i));
  };
  check(local_sink_.rx(), 0x100);
  check(remote_sink_.rx(), 0x200);
  ASSERT_TRUE(remote_sink_.WaitFor(
      [](const RecordingSink& sink) { return sink.raw_reports().size() == kFrames; }));
  EXPECT_EQ(remote_sink_.reports()[0].outcome, TxOutcome::kSent);
}

TEST_F(SocketcandTest, ClientsSeeEachOthersFrames) {
  auto a = MakeClient(), b = MakeClient();
  RecordingSink sink_a;
  auto port_a = a->Attach({AllStandard()}, &sink_a);
  auto port_b = b->Attach({AllStandard()}, &remote_sink_);
  ASSERT_TRUE(a->Start().ok());
  ASSERT_TRUE(b->Start().ok());
  ASSERT_TRUE(sink_a.WaitFor(Active));
  ASSERT_TRUE(remote_sink_.WaitFor(Active));
  PassQuietTime();
  ASSERT_TRUE(port_a->Send(Tx(*ParseFrame("123#0102"), 1)).ok());
  ASSERT_TRUE(remote_sink_.WaitFor([](const RecordingSink& s) { return s.raw_rx().size() == 1; }));
  EXPECT_EQ(FormatFrame(remote_sink_.rx()[0].frame), "123#0102");
  EXPECT_TRUE(sink_a.rx().empty());
}

TEST_F(SocketcandTest, ClientConnectsAgainWhenTheServerComesBack) {
  auto client = MakeClient();
  auto port = client->Attach({AllStandard()}, &remote_sink_);
  ASSERT_TRUE(client->Start().ok());
  ASSERT_TRUE(remote_sink_.WaitFor(Active));
  const std::string address = "127.0.0.1:" + std::to_string(server_->port());
  server_.reset();
  ASSERT_TRUE(remote_sink_.WaitFor([](const RecordingSink& s) {
    return s.raw_states().back() == BusState::kUnplugged && s.raw_states().size() == 3;
  }));
  EXPECT_EQ(port->Send(Tx(*ParseFrame("123#"), 1)).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(client->Status().text, HasSubstr("next try after 500 ms"));
  clock_.Advance(500ms);
  client->Wake();
  ASSERT_TRUE(client_log_.WaitFor("next try after 1000 ms"));  // nobody listens yet
  StartServer({}, address);
  clock_.Advance(1000ms);
  client->Wake();
  EXPECT_TRUE(remote_sink_.WaitFor([](const RecordingSink& s) {
    return s.raw_states().back() == BusState::kActive && s.raw_states().size() == 4;
  }));
}

TEST_F(SocketcandTest, WrongBusNameIsToldAndTriedAgain) {
  auto client = MakeClient("can7");
  ASSERT_TRUE(client->Start().ok());
  ASSERT_TRUE(client_log_.WaitFor("the server refuses: no bus can7 here"));
  EXPECT_TRUE(server_log_.WaitFor("asked for bus \"can7\", served is \"lab\""));
}

TEST_F(SocketcandTest, BusNameThatTheProtocolCannotCarryIsRefused) {
  EXPECT_EQ(MakeClient("a >< b")->Start().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeClient("")->Start().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SocketcandTest, ServerThatStaysSilentIsGivenUp) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  SocketcandClientOptions options;
  options.name = "remote";
  options.host = "127.0.0.1";
  options.port = ntohs(address.sin_port);
  options.remote_bus = "lab";
  options.log = client_log_.log();
  SocketcandClient client(clock_, options);
  ASSERT_TRUE(client.Start().ok());
  UniqueFd peer(accept(listener.get(), nullptr, nullptr));
  ASSERT_TRUE(peer.ok());
  clock_.Advance(SocketcandClient::kHandshakeTimeout);
  client.Wake();
  EXPECT_TRUE(client_log_.WaitFor("no answer within 5 s"));
}

TEST_F(SocketcandTest, AnswersComeOneByOneAndFramesAfterAPause) {
  RawConnection connection(server_->port());
  auto node = line_.CreateNode("daemon");
  auto port = node->Attach({}, &local_sink_);
  connection.EnterRawMode();
  ASSERT_TRUE(port->Send(Tx(*ParseFrame("123#11223344"), 1)).ok());
  ASSERT_TRUE(
      local_sink_.WaitFor([](const RecordingSink& s) { return s.raw_reports().size() == 1; }));
  char byte;
  EXPECT_EQ(recv(connection.fd(), &byte, 1, MSG_DONTWAIT), -1);
  PassQuietTime();
  EXPECT_THAT(connection.Receive(),
              testing::MatchesRegex("< frame 123 [0-9]+\\.[0-9]+ 11223344 >"));
}

TEST_F(SocketcandTest, EchoIsAnswered) {
  RawConnection connection(server_->port());
  connection.EnterRawMode();
  PassQuietTime();
  connection.Send("< echo >");
  EXPECT_EQ(connection.Receive(), "< echo >");
}

TEST_F(SocketcandTest, GarbageHarmsNobody) {
  auto node = line_.CreateNode("daemon");
  auto port = node->Attach({AllStandard()}, &local_sink_);
  RawConnection connection(server_->port());
  connection.EnterRawMode();
  connection.Send("garbage < send 123 1 zz > < send 999 1 00 >< send 12");
  connection.Send("3 1 7 >");
  ASSERT_TRUE(local_sink_.WaitFor([](const RecordingSink& s) { return s.raw_rx().size() == 1; }));
  EXPECT_EQ(FormatFrame(local_sink_.rx()[0].frame), "123#07");
  EXPECT_TRUE(server_log_.WaitFor("malformed"));
}

TEST_F(SocketcandTest, FramesOfAClientThatLeavesAtOnceStillGoOut) {
  auto node = line_.CreateNode("daemon");
  auto port = node->Attach({AllStandard()}, &local_sink_);
  RawConnection connection(server_->port());
  connection.EnterRawMode();
  std::string all;
  for (int i = 0; i < 500; ++i) all += "< send 123 1 " + std::to_string(i % 10) + " >";
  connection.Send(all);
  connection.Close();
  EXPECT_TRUE(local_sink_.WaitFor([](const RecordingSink& s) { return s.raw_rx().size() == 500; }));
  EXPECT_TRUE(server_log_.WaitFor("left"));
}

TEST_F(SocketcandTest, S06_ClientThatDoesNotReadIsDroppedAndTheLineGoesOn) {
  server_.reset();
  SocketcandServerOptions options;
  options.max_output_bytes = 4096;
  StartServer(options);
  auto node = line_.CreateNode("daemon");
  auto port = node->Attach({}, &local_sink_);
  RawConnection stalled(server_->port());
  stalled.EnterRawMode();
  // Never passes the quiet time: everything piles up at the server.
  size_t sent = 0;
  while (sent < 300) {
    if (port->Send(Tx(Numbered(0x100, 1), 1)).ok()) ++sent;
  }
  EXPECT_TRUE(server_log_.WaitFor("too slow"));
  EXPECT_TRUE(
      local_sink_.WaitFor([](const RecordingSink& s) { return s.raw_reports().size() == 300; }));
}

TEST_F(SocketcandTest, ClientThatOpensNothingIsDropped) {
  RawConnection connection(server_->port());
  EXPECT_EQ(connection.Receive(), "< hi >");
  clock_.Advance(10s);
  server_->Wake();
  EXPECT_EQ(connection.Receive(), "");
}

TEST_F(SocketcandTest, MoreClientsThanAllowedAreRefused) {
  server_.reset();
  SocketcandServerOptions options;
  options.max_clients = 1;
  StartServer(options);
  RawConnection first(server_->port());
  first.EnterRawMode();
  RawConnection second(server_->port());
  EXPECT_EQ(second.Receive(), "");
}

TEST_F(SocketcandTest, ServingBeyondLoopbackMustBeAsked) {
  SocketcandServerOptions options;
  options.listen = "0.0.0.0:0";
  SocketcandServer server(clock_, &line_, options);
  const absl::Status status = server.Start();
  EXPECT_EQ(GetErrorInfo(status).reason, "SERVE_NOT_LOOPBACK");
}

TEST_F(SocketcandTest, WrongListenAddressesAreRefused) {
  for (const char* listen : {"127.0.0.1", "localhost:1", "127.0.0.1:99999", ":1", "127.0.0.1:x"}) {
    SocketcandServerOptions options;
    options.listen = listen;
    SocketcandServer server(clock_, &line_, options);
    EXPECT_EQ(server.Start().code(), absl::StatusCode::kInvalidArgument) << listen;
  }
}

TEST_F(SocketcandTest, PortInUseIsSaid) {
  SocketcandServerOptions options;
  options.listen = "127.0.0.1:" + std::to_string(server_->port());
  SocketcandServer second(clock_, &line_, options);
  const absl::Status status = second.Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("in use"));
}

TEST(BackOffTest, DoublesUpToThirtySeconds) {
  BackOff back_off;
  std::vector<Duration> waits;
  for (int i = 0; i < 8; ++i) waits.push_back(back_off.Next());
  EXPECT_THAT(waits, testing::ElementsAre(500ms, 1s, 2s, 4s, 8s, 16s, 30s, 30s));
  back_off.Reset();
  EXPECT_EQ(back_off.Next(), 500ms);
}

}  // namespace
}  // namespace canhub
