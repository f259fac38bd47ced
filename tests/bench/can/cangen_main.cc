// canhub-cangen: fills vcan lines with frames of iseg modules, and is those modules; or with those
// of battery modules, which ask for no answer.
//
// Commands on standard input, one JSON line of totals after each:
//   flood SECONDS            keeps every shaped line full
//   burst PER_TICK SECONDS   so many frames per interface at once every 10 ms
//   quiet SECONDS            answers only
// Requests are answered at once, all the time. Ends at the end of the input, with
// the totals of all.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "tests/bench/can/can_socket.h"
#include "tests/bench/can/edcp_module.h"
#include "tests/bench/module_frames.h"

namespace canhub::bench {
namespace {

constexpr int kAnswerPriority = 1;  // behind canhubd's frames: see guest.py, make_lines
constexpr int kFillPriority = 2;    // behind the answers
constexpr int kMaxQueued = 24;      // of the filling frames, at the line: 10.6 ms at 250 kbit/s
constexpr int kMaxAnswers = 192;
constexpr int kMaxBurst = 256;
constexpr int64_t kTickNs = 5'000'000;
constexpr int64_t kBurstNs = 10'000'000;
constexpr size_t kBatch = 256;

struct Line {
  std::string interface;
  EdcpModule module;
  int answer_fd;
  int fill_fd;
  std::vector<can_frame> answers;  // not yet accepted by the kernel, from `next` on
  size_t next = 0;
  std::vector<can_frame> fill;  // the same, of the filling frames
  bool waits_for_room = false;
  uint64_t turn = 0;  // of the battery modules' frames
};

struct Totals {
  uint64_t accepted = 0;  // by the kernel, all frames
  uint64_t answers = 0;   // of them
  uint64_t requests = 0;
  uint64_t no_room = 0;  // ENOBUFS: the line's queue was full
  uint64_t full = 0;     // EAGAIN: our own share of the queue was full
};

class Generator {
 public:
  Generator(const std::vector<std::string>& interfaces, int address, int channels, bool battery)
      : battery_(battery) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) Die("epoll_create1");
    Watch(STDIN_FILENO, kStdin, EPOLLIN, EPOLL_CTL_ADD);
    lines_.reserve(interfaces.size());
    for (const std::string& interface : interfaces) {
      EdcpModule module(address, channels);
      const std::vector<can_filter> filters = {{module.write_id(), CAN_SFF_MASK},
                                               {module.read_id(), CAN_SFF_MASK}};
      const int answer_fd = OpenCanSocket({.interface = interface,
                                           .filters = filters,
                                           .priority = kAnswerPriority,
                                           .send_frames = kMaxAnswers});
      const int fill_fd = OpenCanSocket(
          {.interface = interface, .priority = kFillPriority, .send_frames = kMaxQueued});
      lines_.push_back({interface, std::move(module), answer_fd, fill_fd, {}, 0, {}, false, 0});
      Watch(answer_fd, lines_.size() - 1, EPOLLIN, EPOLL_CTL_ADD);
    }
    vectors_.resize(kBatch);
    messages_.resize(kBatch);
  }

  void Run() {
    while (!ended_) Serve(-1);
    Print(RealtimeNs(), {});
  }

 private:
  static constexpr uint64_t kStdin = ~uint64_t{0};

  void Watch(int fd, uint64_t data, uint32_t events, int operation) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = data;
    if (epoll_ctl(epoll_, operation, fd, &event) != 0) Die("epoll_ctl");
  }

  // How many of them the kernel took.
  size_t Send(int fd, const can_frame* frames, size_t count) {
    count = std::min(count, kBatch);
    if (count == 0) return 0;
    for (size_t i = 0; i < count; ++i) {
      vectors_[i] = {const_cast<can_frame*>(frames + i), sizeof(can_frame)};
      messages_[i] = {};
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent = sendmmsg(fd, messages_.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    if (sent >= 0) {
      totals_.accepted += static_cast<uint64_t>(sent);
      return static_cast<size_t>(sent);
    }
    if (errno == ENOBUFS) {
      ++totals_.no_room;
    } else if (errno == EAGAIN) {
      ++totals_.full;
    } else {
      Die("sendmmsg");
    }
    return 0;
  }

  void SendAnswers(size_t index) {
    Line& line = lines_[index];
    while (line.next < line.answers.size()) {
      const size_t left = line.answers.size() - line.next;
      const size_t sent = Send(line.answer_fd, line.answers.data() + line.next, left);
      line.next += sent;
      totals_.answers += sent;
      if (sent == 0) break;
    }
    const bool waits = line.next < line.answers.size();
    if (!waits) {
      line.answers.clear();
      line.next = 0;
    }
    if (waits == line.waits_for_room) return;
    line.waits_for_room = waits;
    Watch(line.answer_fd, index, waits ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
  }

  void Receive(size_t index) {
    Line& line = lines_[index];
    std::array<can_frame, 64> frames;
    std::array<iovec, 64> vectors;
    std::array<mmsghdr, 64> messages{};
    for (size_t i = 0; i < frames.size(); ++i) {
      vectors[i] = {&frames[i], sizeof(can_frame)};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int got =
        recvmmsg(line.answer_fd, messages.data(), messages.size(), MSG_DONTWAIT, nullptr);
    for (int i = 0; i < got; ++i) {
      if (line.module.OnFrame(frames[static_cast<size_t>(i)], &line.answers)) ++totals_.requests;
    }
  }

  // Answers what came within `milliseconds` (-1: waits for something).
  void Serve(int milliseconds) {
    std::array<epoll_event, 32> events;
    const int count = epoll_wait(epoll_, events.data(), events.size(), milliseconds);
    for (int i = 0; i < count; ++i) {
      const uint64_t index = events[static_cast<size_t>(i)].data.u64;
      if (index == kStdin) {
        ReadCommands();
        continue;
      }
      if ((events[static_cast<size_t>(i)].events & EPOLLIN) != 0) Receive(index);
      SendAnswers(index);
    }
  }

  void ServeUntil(int64_t until) {
    for (int64_t left = until - MonotonicNs(); left > 0 && !ended_; left = until - MonotonicNs()) {
      Serve(static_cast<int>((left + 999'999) / 1'000'000));
    }
  }

  void Fill(Line& line, size_t wanted) {
    while (line.fill.size() < wanted) {
      line.fill.push_back(battery_ ? ModuleFrameInTurn(line.turn++)
                                   : line.module.NextMeasurement());
    }
    const size_t sent = Send(line.fill_fd, line.fill.data(), wanted);
    line.fill.erase(line.fill.begin(), line.fill.begin() + static_cast<int64_t>(sent));
  }

  void Flood(double seconds) {
    const int64_t end = MonotonicNs() + static_cast<int64_t>(seconds * 1e9);
    for (int64_t tick = MonotonicNs(); tick < end && !ended_; tick += kTickNs) {
      for (Line& line : lines_) Fill(line, kMaxQueued);
      ServeUntil(tick + kTickNs);
    }
  }

  void Burst(size_t per_tick, double seconds) {
    for (Line& line : lines_) {
      const int bytes = kMaxBurst * 768;
      setsockopt(line.fill_fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
    }
    const int64_t end = MonotonicNs() + static_cast<int64_t>(seconds * 1e9);
    for (int64_t tick = MonotonicNs(); tick < end && !ended_; tick += kBurstNs) {
      for (Line& line : lines_) Fill(line, std::min<size_t>(per_tick, kMaxBurst));
      ServeUntil(tick + kBurstNs);
    }
  }

  void ReadCommands() {
    char bytes[256];
    const ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (got <= 0) {
      ended_ = true;
      return;
    }
    input_.append(bytes, static_cast<size_t>(got));
    for (size_t end; (end = input_.find('\n')) != std::string::npos;) {
      const std::string command = input_.substr(0, end);
      input_.erase(0, end + 1);
      Obey(command);
    }
  }

  void Obey(const std::string& command) {
    double seconds = 0;
    size_t per_tick = 0;
    const int64_t begin = RealtimeNs();
    const Totals before = totals_;
    if (std::sscanf(command.c_str(), "flood %lf", &seconds) == 1) {
      Flood(seconds);
    } else if (std::sscanf(command.c_str(), "burst %zu %lf", &per_tick, &seconds) == 2) {
      Burst(per_tick, seconds);
    } else if (std::sscanf(command.c_str(), "quiet %lf", &seconds) == 1) {
      ServeUntil(MonotonicNs() + static_cast<int64_t>(seconds * 1e9));
    } else {
      std::fprintf(stderr, "what is \"%s\"?\n", command.c_str());
      std::exit(2);
    }
    Print(begin, before);
  }

  void Print(int64_t begin, const Totals& before) const {
    const auto since = [](uint64_t now, uint64_t then) {
      return static_cast<unsigned long long>(now - then);
    };
    std::printf(
        "{\"begin\":%.6f,\"end\":%.6f,\"accepted\":%llu,\"answers\":%llu,\"requests\":%llu,"
        "\"enobufs\":%llu,\"eagain\":%llu,\"accepted_total\":%llu}\n",
        static_cast<double>(begin) / 1e9, static_cast<double>(RealtimeNs()) / 1e9,
        since(totals_.accepted, before.accepted), since(totals_.answers, before.answers),
        since(totals_.requests, before.requests), since(totals_.no_room, before.no_room),
        since(totals_.full, before.full), static_cast<unsigned long long>(totals_.accepted));
    std::fflush(stdout);
  }

  const bool battery_;
  int epoll_ = -1;
  std::vector<Line> lines_;
  std::vector<iovec> vectors_;
  std::vector<mmsghdr> messages_;
  Totals totals_;
  std::string input_;
  bool ended_ = false;
};

}  // namespace
}  // namespace canhub::bench

int main(int argc, char** argv) {
  CLI::App app("Fills vcan lines with frames of iseg modules, and is those modules.");
  std::vector<std::string> interfaces;
  int address = 2;
  int channels = 48;
  app.add_option("interfaces", interfaces, "lines")->required();
  app.add_option("--address", address, "of the module on every line");
  app.add_option("--channels", channels, "of every module");
  bool battery = false;
  app.add_flag("--battery", battery, "fills them with the frames of 15 battery modules instead");
  CLI11_PARSE(app, argc, argv);
  canhub::bench::Generator(interfaces, address, channels, battery).Run();
}
