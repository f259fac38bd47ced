// canhub-canread: the floor. epoll and recvmmsg on raw CAN sockets and nothing else; counts frames,
// the kernel's drops and gaps in the generator's numbers. Prints a JSON line at SIGTERM or SIGINT.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "tests/bench/can/can_socket.h"
#include "tests/bench/can/edcp_module.h"

namespace canhub::bench {
namespace {

constexpr size_t kBatch = 64;

struct Line {
  int fd;
  int last = -1;
  uint32_t drops = 0;
};

struct Counts {
  uint64_t frames = 0, drops = 0, gaps = 0, syscalls = 0;
};

class Reader {
 public:
  explicit Reader(const std::vector<std::string>& interfaces) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    Watch(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), kStop);
    for (const std::string& interface : interfaces) {
      const int fd = OpenCanSocket({.interface = interface, .filters = {{0, 0}}, .stamps = true});
      lines_.push_back({fd});
      Watch(fd, lines_.size() - 1);
    }
    for (size_t i = 0; i < kBatch; ++i) {
      vectors_[i] = {&frames_[i], sizeof(can_frame)};
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  Counts Run() {
    std::array<epoll_event, 32> events;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      ++counts_.syscalls;
      for (int i = 0; i < count; ++i) {
        const uint64_t index = events[static_cast<size_t>(i)].data.u64;
        if (index == kStop) return counts_;
        Receive(lines_[index]);
      }
    }
  }

 private:
  static constexpr uint64_t kStop = ~uint64_t{0};

  void Watch(int fd, uint64_t data) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = data;
    if (fd < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
  }

  void Receive(Line& line) {
    for (int got = kBatch; got == static_cast<int>(kBatch);) {
      for (size_t i = 0; i < kBatch; ++i) {
        messages_[i].msg_hdr.msg_control = controls_[i].data();
        messages_[i].msg_hdr.msg_controllen = controls_[i].size();
      }
      got = recvmmsg(line.fd, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
      ++counts_.syscalls;
      for (int i = 0; i < got; ++i) Count(line, static_cast<size_t>(i));
    }
  }

  void Count(Line& line, size_t i) {
    ++counts_.frames;
    msghdr& header = messages_[i].msg_hdr;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL) continue;
      uint32_t drops;
      std::memcpy(&drops, CMSG_DATA(c), sizeof(drops));
      counts_.drops += drops - line.drops;
      line.drops = drops;
    }
    const int number = EdcpModule::SequenceOf(frames_[i]);
    if (number < 0) return;
    const int expected = (line.last + 1) % static_cast<int>(EdcpModule::kSequence);
    if (line.last >= 0 && number != expected) ++counts_.gaps;
    line.last = number;
  }

  int epoll_ = -1;
  std::vector<Line> lines_;
  Counts counts_;
  std::array<can_frame, kBatch> frames_;
  std::array<iovec, kBatch> vectors_;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<std::array<char, 64>, kBatch> controls_;
};

}  // namespace
}  // namespace canhub::bench

int main(int argc, char** argv) {
  CLI::App app("Reads vcan lines with as little as possible: the floor.");
  std::vector<std::string> interfaces;
  app.add_option("interfaces", interfaces, "lines")->required();
  CLI11_PARSE(app, argc, argv);
  const canhub::bench::Counts counts = canhub::bench::Reader(interfaces).Run();
  const auto n = [](uint64_t v) { return static_cast<unsigned long long>(v); };
  std::printf("{\"frames\":%llu,\"drops\":%llu,\"gaps\":%llu,\"syscalls\":%llu}\n",
              n(counts.frames), n(counts.drops), n(counts.gaps), n(counts.syscalls));
}
