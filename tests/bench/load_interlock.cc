// G21: from the frame that crosses a dangerous bound to the first safe action's frame, while 15
// modules fill their line of 500 kbit/s; beside a bare thread that is woken by a frame and writes
// one, in turn, on the same core, from the same thread. None of the modules' frames may be lost.
#include <linux/can.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "canhub/v1/device_service.grpc.pb.h"
#include "canhub/v1/interlock_service.grpc.pb.h"
#include "tests/bench/datagram_line.h"
#include "tests/bench/load_calls.h"
#include "tests/bench/load_lab.h"
#include "tests/bench/load_modes.h"
#include "tests/bench/module_frames.h"

namespace canhub::bench {
namespace {

// 8-byte frames with 11-bit identifiers, 111 bits without stuff bits, at 500 kbit/s.
constexpr int64_t kFrameNs = 222'000;
// What the safe action sends (bench_driver.h: the device's address is 0).
constexpr uint32_t kStop = 0x300;
constexpr uint32_t kDangerousModule = 3;
constexpr int64_t kPatienceNs = 1'000'000'000;

// Cell 7 at 4.20 V (battery safety facts, section 4.3).
can_frame Dangerous() {
  can_frame frame = ModuleFrame(kDangerousModule, kCells1To8);
  frame.data[6] = 0xC8;
  return frame;
}

void Send(const UniqueFd& line, const can_frame& frame) {
  if (send(line.get(), &frame, sizeof frame, MSG_NOSIGNAL) == sizeof frame) return;
  std::fprintf(stderr, "canhub-load: nobody reads the line\n");
  std::exit(1);
}

// The modules' frames at the line's pace, until it is destroyed.
class FullLine {
 public:
  explicit FullLine(const std::string& path)
      : line_(ConnectLine(path)), thread_([this] { Run(); }) {}
  ~FullLine() { Stop(); }
  // From its next frame on the cell is dangerous, or well again.
  void SetDangerous(bool dangerous) {
    if (dangerous) dangerous_since_ = 0;
    dangerous_ = dangerous;
  }
  // When the first dangerous frame was handed to the line; 0: not yet.
  int64_t dangerous_since() const { return dangerous_since_; }
  // Returns how many were sent.
  uint64_t Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return sent_;
  }

 private:
  void Run() {
    const int64_t begin = MonotonicNs();
    while (!stop_) {
      const int64_t due = begin + static_cast<int64_t>(sent_) * kFrameNs;
      if (const int64_t now = MonotonicNs(); due > now) SleepNs(due - now);
      can_frame frame = ModuleFrameInTurn(sent_++);
      if (dangerous_ && frame.can_id == Dangerous().can_id) {
        frame = Dangerous();
        if (dangerous_since_ == 0) dangerous_since_ = MonotonicNs();
      }
      Send(line_, frame);
    }
  }

  const UniqueFd line_;
  std::atomic<bool> stop_{false}, dangerous_{false};
  std::atomic<int64_t> dangerous_since_{0};
  uint64_t sent_ = 0;  // by the thread, until it has ended
  std::thread thread_;
};

// When the frame `id` comes back; 0 after a second without it.
int64_t AwaitFrame(const UniqueFd& from, uint32_t id) {
  const int64_t begin = MonotonicNs();
  for (int64_t now = begin; now - begin < kPatienceNs; now = MonotonicNs()) {
    const std::optional<can_frame> frame = ReceiveFrame(from.get(), kPatienceNs / 1'000'000);
    if (frame && frame->can_id == id) return MonotonicNs();
  }
  return 0;
}

class Hub {
 public:
  explicit Hub(const std::shared_ptr<grpc::Channel>& channel)
      : devices_(v1::DeviceService::NewStub(channel)),
        interlocks_(v1::InterlockService::NewStub(channel)) {}

  // Until the modules are counted and all is well.
  bool WaitClear() {
    for (int i = 0; i < 6000; ++i) {
      grpc::ClientContext context;
      v1::ListInterlocksResponse response;
      Require(interlocks_->ListInterlocks(&context, {}, &response), "ListInterlocks");
      if (response.interlocks_size() == 1 &&
          response.interlocks(0).state() == v1::INTERLOCK_STATE_CLEAR) {
        return true;
      }
      SleepNs(5'000'000);
    }
    std::fprintf(stderr, "canhub-load: the interlock does not become clear\n");
    return false;
  }
  v1::DeviceCounters Counters() {
    grpc::ClientContext context;
    v1::GetDeviceRequest request;
    request.set_device_id("bat0");
    v1::GetDeviceResponse response;
    Require(devices_->GetDevice(&context, request, &response), "GetDevice");
    return response.counters();
  }

 private:
  const std::unique_ptr<v1::DeviceService::Stub> devices_;
  const std::unique_ptr<v1::InterlockService::Stub> interlocks_;
};

}  // namespace

void RunInterlock(const Settings& given, Report* report) {
  Settings settings = given;
  settings.rounds = settings.smoke ? 1 : std::min(settings.rounds, 3);
  const int trips = settings.smoke ? 10 : 1000;
  for (const int priority : {0, 50}) {
    const std::string policy = priority == 0 ? "SCHED_OTHER" : "SCHED_FIFO";
    if (priority != 0 && !MayBeRealtime(priority)) {
      std::printf("G21  %s is not permitted here\n", policy.c_str());
      continue;
    }
    report->Run(
        {{"G21", "dangerous frame to safe action, less a frame time, p99.9, " + policy, "ratio",
          "bare thread, p99.9", "us", Bound{"<=", 1.5}, std::nullopt},
         {"G21", "dangerous frame to safe action, p50, " + policy, "ratio", "bare thread, p50",
          "us", std::nullopt, std::nullopt},
         {"G21", "frames lost meanwhile, " + policy, "frames", "sent", "frames", Bound{"==", 0},
          std::nullopt, /*worst=*/true}},
        [&]() -> std::vector<Sample> {
          const std::unique_ptr<Server> server =
              StartBenchHub(settings, {.realtime = priority, .battery = true});
          Hub hub(Connect(server->target(Transport::kUnix)));
          const std::string line = settings.work + "/hub/line0";
          const std::string bare_line = FreshFolder(settings, "bare") + "/line";
          Child bare({settings.bin + "/canhub-floor", "--answer", bare_line, "--realtime",
                      std::to_string(priority)},
                     {.core = settings.server_core});
          if (!bare.WaitForLine("answering")) return {};
          const UniqueFd from_hub = BindLine(line + ".peer");
          const UniqueFd from_bare = BindLine(bare_line + ".peer");
          const UniqueFd to_bare = ConnectLine(bare_line);
          FullLine modules(line);
          if (!hub.WaitClear()) return {};
          std::vector<double> hub_us, bare_us;
          for (int i = 0; i < trips; ++i) {
            const int64_t begin = MonotonicNs();
            Send(to_bare, Dangerous());
            const int64_t answered = AwaitFrame(from_bare, Dangerous().can_id);
            SleepNs(10'000'000);
            modules.SetDangerous(true);
            const int64_t stopped = AwaitFrame(from_hub, kStop);
            const int64_t dangerous = modules.dangerous_since();
            modules.SetDangerous(false);
            if (answered == 0 || stopped == 0) {
              std::fprintf(stderr, "canhub-load: no answer to dangerous frame %d\n", i);
              return {};
            }
            bare_us.push_back(1e-3 * static_cast<double>(answered - begin));
            hub_us.push_back(1e-3 * static_cast<double>(stopped - dangerous));
            // The cell's next frame is well, at most one turn of all modules later: 20 ms.
            SleepNs(20'000'000 + i % 7 * 1'000'000);
            if (!hub.WaitClear()) return {};
          }
          const uint64_t sent = modules.Stop();
          SleepNs(200'000'000);
          const v1::DeviceCounters counters = hub.Counters();
          const double lost = static_cast<double>(sent) -
                              static_cast<double>(counters.frames_received()) +
                              static_cast<double>(counters.mailbox_overflows());
          const double hub_p50 = Quantile(&hub_us, 0.5), hub_p999 = Quantile(&hub_us, 0.999);
          const double bare_p50 = Quantile(&bare_us, 0.5), bare_p999 = Quantile(&bare_us, 0.999);
          return {{(hub_p999 - 1e-3 * kFrameNs) / bare_p999,
                   bare_p999,
                   {{"canhub_p999_us", hub_p999},
                    {"canhub_p99_us", Quantile(&hub_us, 0.99)},
                    {"bare_p99_us", Quantile(&bare_us, 0.99)}}},
                  {hub_p50 / bare_p50, bare_p50, {{"canhub_p50_us", hub_p50}}},
                  {lost, static_cast<double>(sent), {}}};
        });
  }
}

}  // namespace canhub::bench
