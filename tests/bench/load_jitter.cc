// G13: how late heartbeats are while every line is full and clients ask all they can; beside bare
// threads of the same policy, period and phases, in the same seconds on the same core.
#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <sstream>
#include <thread>

#include "canhub/v1/item_service.grpc.pb.h"
#include "tests/bench/datagram_line.h"
#include "tests/bench/load_calls.h"
#include "tests/bench/load_lab.h"
#include "tests/bench/load_modes.h"

namespace canhub::bench {
namespace {

constexpr int kDevices = 200, kLines = 16, kPeriodMs = 200, kCalls = 64;
// 8-byte frames with 29-bit identifiers, 250 kbit/s, without stuff bits.
constexpr double kFramesPerSecond = 1908;
// What converters send by themselves, and to whom (PCS facts, sections 3 and 5).
constexpr uint32_t kPeriodic[] = {0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
                                  0x18, 0x19, 0x23, 0x24, 0x25, 0x39};
constexpr uint32_t kToController = 0x1800B400;

struct Histogram {
  std::map<int, uint64_t> counts;  // by microseconds
  uint64_t beats = 0, missed = 0, received = 0;
};

Histogram ReadHistogram(const std::string& text) {
  Histogram histogram;
  std::istringstream lines(text);
  for (std::string key, value; lines >> key && key != "end" && lines >> value;) {
    if (key == "missed") {
      histogram.missed = std::stoull(value);
      continue;
    }
    if (key == "received") {
      histogram.received = std::stoull(value);
      continue;
    }
    histogram.counts[std::stoi(key)] += std::stoull(value);
    histogram.beats += std::stoull(value);
  }
  return histogram;
}

double At(const Histogram& histogram, double q) {
  uint64_t left = static_cast<uint64_t>(q * static_cast<double>(histogram.beats));
  for (const auto& [us, count] : histogram.counts) {
    if (count > left) return us + 0.5;
    left -= count;
  }
  return histogram.counts.empty() ? 0 : histogram.counts.rbegin()->first;
}

// Fills the hub's lines until it is destroyed.
class Traffic {
 public:
  explicit Traffic(const std::string& folder) : folder_(folder), thread_([this] { Run(); }) {}
  ~Traffic() {
    stop_ = true;
    thread_.join();
  }

 private:
  void Run() {
    std::vector<UniqueFd> lines;
    for (int i = 0; i < kLines; ++i) {
      lines.push_back(ConnectLine(folder_ + "/line" + std::to_string(i)));
    }
    const int64_t begin = MonotonicNs();
    uint64_t sent = 0;
    while (!stop_) {
      SleepNs(1'000'000);
      const auto due = static_cast<uint64_t>(1e-9 * static_cast<double>(MonotonicNs() - begin) *
                                             kFramesPerSecond);
      for (; sent < due; ++sent) {
        // All of a converter's frames, then the next one's. Status (0x13) is standby.
        constexpr uint64_t kEach = std::size(kPeriodic);
        const uint32_t code = kPeriodic[sent % kEach];
        const auto address = static_cast<uint32_t>(1 + sent / kEach % (kDevices / kLines));
        can_frame frame{};
        frame.can_id = CAN_EFF_FLAG | kToController | code << 16 | address;
        frame.can_dlc = 8;
        if (code == 0x13) frame.data[0] = 13;
        for (const UniqueFd& line : lines) {
          static_cast<void>(send(line.get(), &frame, sizeof frame, MSG_DONTWAIT | MSG_NOSIGNAL));
        }
      }
    }
  }

  const std::string folder_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Callers of cached reads, until it is destroyed.
class Callers {
 public:
  explicit Callers(std::shared_ptr<grpc::Channel> channel) {
    for (int i = 0; i < kCalls; ++i) {
      threads_.emplace_back([this, channel] {
        const auto stub = v1::ItemService::NewStub(channel);
        v1::GetItemsRequest request;
        request.add_names("b0/dc_voltage");
        v1::GetItemsResponse response;
        while (!stop_) {
          grpc::ClientContext context;
          Require(stub->GetItems(&context, request, &response), "GetItems");
          ++calls_;
        }
      });
    }
  }
  ~Callers() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  int64_t calls() const { return calls_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> calls_{0};
  std::vector<std::thread> threads_;
};

}  // namespace

void RunJitter(const Settings& given, Report* report) {
  Settings settings = given;
  settings.rounds = settings.smoke ? 1 : std::min(settings.rounds, 3);
  // 200 devices at 5 Hz: 1e5 beats in 100 s over three rounds.
  const int64_t length = settings.smoke ? 500'000'000 : 40'000'000'000;
  for (const int priority : {0, 50}) {
    const std::string policy = priority == 0 ? "SCHED_OTHER" : "SCHED_FIFO";
    if (priority != 0 && !MayBeRealtime(priority)) {
      std::printf("G13  %s is not permitted here\n", policy.c_str());
      continue;
    }
    report->Run(
        {{"G13", "heartbeat lateness p99.9, " + policy, "ratio", "bare threads, p99.9", "us",
          Bound{"<=", 1.5}, Bound{"<=", 1.1}},
         {"G13", "beats more than 100 ms late, " + policy, "beats", "bare threads", "beats",
          Bound{"==", 0}, std::nullopt, /*worst=*/true}},
        [&]() -> std::vector<Sample> {
          const std::unique_ptr<Server> hub = StartBenchHub(
              settings,
              {.devices = kDevices, .buses = kLines, .realtime = priority, .converters = true});
          Child control({settings.bin + "/canhub-floor", "--beats", std::to_string(kDevices),
                         "--together", std::to_string(kLines), "--period-ms",
                         std::to_string(kPeriodMs), "--realtime", std::to_string(priority)},
                        {.core = settings.server_core});
          if (!control.WaitForLine("beating")) return {};
          int64_t calls = 0;
          {
            const Traffic traffic(settings.work + "/hub");
            const Callers callers(Connect(hub->target(Transport::kUnix)));
            SleepNs(settings.smoke ? 300'000'000 : 2'000'000'000);
            control.Signal(SIGUSR1);
            hub->process().Signal(SIGUSR1);
            calls = callers.calls();
            SleepNs(length);
            calls = callers.calls() - calls;
          }
          control.Signal(SIGTERM);
          hub->process().Signal(SIGTERM);
          const Histogram bare = ReadHistogram(control.ReadToEnd());
          const Histogram beats = ReadHistogram(hub->process().ReadToEnd());
          if (bare.beats == 0 || beats.beats == 0) return {};
          const double bare_us = At(bare, 0.999), hub_us = At(beats, 0.999);
          const std::map<std::string, double> all = {
              {"canhub_p50_us", At(beats, 0.5)},
              {"canhub_p99_us", At(beats, 0.99)},
              {"canhub_p999_us", hub_us},
              {"bare_p50_us", At(bare, 0.5)},
              {"bare_p99_us", At(bare, 0.99)},
              {"canhub_beats", double(beats.beats)},
              {"frames_per_line_and_s", 1e9 * double(beats.received) / double(length) / kLines},
              {"calls_per_s", 1e9 * static_cast<double>(calls) / static_cast<double>(length)}};
          return {{hub_us / bare_us, bare_us, all},
                  {static_cast<double>(beats.missed), static_cast<double>(bare.missed), {}}};
        });
  }
}

}  // namespace canhub::bench
