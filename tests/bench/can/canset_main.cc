// canhub-canset: sets voltages on a busy line and looks on the line itself when they went out.
//
// A SetVoltage every 37 to 43 ms, each with a value of its own; the kernel's stamp of the frame
// that carries it is held against the receipt's accepted_time and the moment of the call.
// Between two of them a frame is written without canhubd: the floor under the same load.
// Prints one JSON line: microseconds, one entry per call.
#include <sys/socket.h>
#include <time.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "canhub/v1/high_voltage_service.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "tests/bench/can/can_socket.h"

namespace canhub::bench {
namespace {

constexpr canid_t kWriteId = 0x210;  // module 2
constexpr canid_t kBareId = 0x7F0;   // nobody's
constexpr uint16_t kVoltageSet = 0x4100;
constexpr int kChannels = 48;
constexpr double kFirstVolt = 16;
constexpr double kStepVolt = 0.0625;  // exact in a binary32

class Witness {
 public:
  explicit Witness(const std::string& interface)
      : fd_(OpenCanSocket({.interface = interface,
                           .filters = {{kWriteId, CAN_SFF_MASK}, {kBareId, CAN_SFF_MASK}},
                           .stamps = true})) {}

  void Forget() {
    while (Read(nullptr)) {
    }
  }

  // The kernel's stamps of the first frames like these, in ns of the wall clock; 0: none came.
  using Stamps = std::pair<int64_t, int64_t>;
  Stamps StampsOf(const can_frame& one, const can_frame& other) {
    Stamps stamps{};
    const auto look = [](const can_frame& wanted, const can_frame& frame, int64_t time,
                         int64_t* stamp) {
      if (*stamp == 0 && frame.can_id == wanted.can_id && frame.can_dlc == wanted.can_dlc &&
          std::memcmp(frame.data, wanted.data, wanted.can_dlc) == 0) {
        *stamp = time;
      }
    };
    while (Read([&](const can_frame& frame, int64_t time) {
      look(one, frame, time, &stamps.first);
      look(other, frame, time, &stamps.second);
    })) {
    }
    return stamps;
  }

 private:
  // A batch; false when the socket is empty.
  bool Read(const std::function<void(const can_frame&, int64_t)>& visit) {
    std::array<can_frame, 64> frames;
    std::array<iovec, 64> vectors;
    std::array<std::array<char, 64>, 64> controls;
    std::array<mmsghdr, 64> messages{};
    for (size_t i = 0; i < frames.size(); ++i) {
      vectors[i] = {&frames[i], sizeof(can_frame)};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = controls[i].data();
      messages[i].msg_hdr.msg_controllen = controls[i].size();
    }
    const int got = recvmmsg(fd_, messages.data(), messages.size(), MSG_DONTWAIT, nullptr);
    for (int i = 0; i < got && visit; ++i) {
      msghdr& header = messages[static_cast<size_t>(i)].msg_hdr;
      timespec stamp{};
      for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
          std::memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
        }
      }
      visit(frames[static_cast<size_t>(i)], stamp.tv_sec * 1'000'000'000 + stamp.tv_nsec);
    }
    return got > 0;
  }

  const int fd_;
};

can_frame SetFrame(int channel, double volt) {
  can_frame frame{};
  frame.can_id = kWriteId;
  frame.can_dlc = 7;
  frame.data[0] = kVoltageSet >> 8;
  frame.data[1] = kVoltageSet & 0xFF;
  frame.data[2] = static_cast<uint8_t>(channel);
  const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(volt));
  for (int i = 0; i < 4; ++i) frame.data[3 + i] = static_cast<uint8_t>(bits >> (24 - 8 * i));
  return frame;
}

void Print(const char* name, const std::vector<double>& values, const char* end) {
  std::printf("\"%s\":[", name);
  for (size_t i = 0; i < values.size(); ++i) std::printf(i == 0 ? "%.1f" : ",%.1f", values[i]);
  std::printf("]%s", end);
}

void SleepMs(double milliseconds) {
  const auto ns = static_cast<int64_t>(milliseconds * 1e6);
  const timespec wait{ns / 1'000'000'000, ns % 1'000'000'000};
  nanosleep(&wait, nullptr);
}

void Run(const std::string& address, const std::string& interface, const std::string& device,
         int calls, int skipped) {
  Witness witness(interface);
  const auto channel = grpc::CreateChannel("unix:" + address, grpc::InsecureChannelCredentials());
  const auto stub = canhub::v1::HighVoltageService::NewStub(channel);
  std::mt19937 random(37);
  std::uniform_real_distribution<double> pause(37, 43);
  const int bare = OpenCanSocket({.interface = interface});
  std::vector<double> from_accepted, from_call, of_call, of_write;
  int failed = 0;
  int unseen = 0;
  std::string error;
  for (int i = 0; i < calls + skipped; ++i) {
    const int64_t next = MonotonicNs() + static_cast<int64_t>(pause(random) * 1e6);
    v1::SetVoltageRequest request;
    request.set_device_id(device);
    request.set_channel(static_cast<uint32_t>(i % kChannels));
    const double volt = kFirstVolt + kStepVolt * (i % 16384);
    request.set_voltage_v(volt);
    request.mutable_options()->set_wait_for(v1::WAIT_FOR_SENT);
    v1::SetVoltageResponse response;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    witness.Forget();
    const int64_t called = RealtimeNs();
    const grpc::Status status = stub->SetVoltage(&context, request, &response);
    const int64_t returned = RealtimeNs();
    if (!status.ok()) {
      ++failed;
      error = status.error_message();
    }
    // The floor under the same load: a bare write, half a pause later.
    SleepMs(std::max(5.0, static_cast<double>(next - MonotonicNs()) / 2e6));
    can_frame probe = SetFrame(i % kChannels, volt);
    probe.can_id = kBareId;
    const int64_t written = RealtimeNs();
    const bool went = send(bare, &probe, sizeof(probe), MSG_DONTWAIT) == sizeof(probe);
    // Longer than any frame waits.
    SleepMs(std::max(10.0, static_cast<double>(next - MonotonicNs()) / 1e6));
    if (i < skipped) continue;
    const Witness::Stamps stamps = witness.StampsOf(SetFrame(i % kChannels, volt), probe);
    if (went && stamps.second != 0) {
      of_write.push_back(static_cast<double>(stamps.second - written) / 1e3);
    }
    if (!status.ok()) continue;
    const int64_t stamp = stamps.first;
    if (stamp == 0) {
      ++unseen;
      continue;
    }
    const auto& accepted = response.receipt().accepted_time();
    const int64_t accepted_ns = accepted.seconds() * 1'000'000'000 + accepted.nanos();
    from_accepted.push_back(static_cast<double>(stamp - accepted_ns) / 1e3);
    from_call.push_back(static_cast<double>(stamp - called) / 1e3);
    of_call.push_back(static_cast<double>(returned - called) / 1e3);
  }
  std::printf("{\"calls\":%d,\"failed\":%d,\"unseen\":%d,", calls, failed, unseen);
  Print("from_accepted_us", from_accepted, ",");
  Print("from_call_us", from_call, ",");
  Print("bare_write_us", of_write, ",");
  Print("call_us", of_call, "}\n");
  if (failed > 0) std::fprintf(stderr, "the last error: %s\n", error.c_str());
}

}  // namespace
}  // namespace canhub::bench

int main(int argc, char** argv) {
  CLI::App app("Sets voltages and looks on the line when they went out.");
  std::string address, interface, device;
  int calls = 500;
  int skipped = 10;
  app.add_option("address", address, "canhubd's Unix socket")->required();
  app.add_option("interface", interface, "where the device is")->required();
  app.add_option("device", device, "its id")->required();
  app.add_option("--calls", calls, "how many count");
  app.add_option("--skipped", skipped, "how many go before them");
  CLI11_PARSE(app, argc, argv);
  canhub::bench::Run(address, interface, device, calls, skipped);
}
