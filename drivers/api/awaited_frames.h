// Refreshes of a device that sends by itself: each ends when the frames that it waits for have
// come.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "drivers/api/timer_scope.h"

namespace canhub {

// On the actor's thread. Frames have numbers that the driver gives them.
class AwaitedFrames {
 public:
  explicit AwaitedFrames(Timers& timers) : timers_(timers) {}

  // Ends with `late` at `until`.
  void Add(std::set<int> frames, MonoTime until, absl::Status late,
           std::function<void(absl::Status)> done) {
    const uint64_t number = ++last_;
    waiting_.push_back({number, std::move(frames), std::move(done), 0});
    waiting_.back().timer = timers_.At(until, [this, number, late = std::move(late)] {
      End([number](const Waiting& w) { return w.number == number; }, late);
    });
  }
  bool empty() const { return waiting_.empty(); }
  void Arrived(int frame) {
    for (Waiting& waiting : waiting_) waiting.frames.erase(frame);
    End([](const Waiting& w) { return w.frames.empty(); }, absl::OkStatus());
  }
  void EndAll(const absl::Status& why) {
    End([](const Waiting&) { return true; }, why);
  }

 private:
  struct Waiting {
    uint64_t number = 0;
    std::set<int> frames;
    std::function<void(absl::Status)> done;
    TimerId timer = 0;
  };
  template <typename Which>
  void End(Which which, const absl::Status& status) {
    std::vector<Waiting> ended;
    for (Waiting& waiting : waiting_) {
      if (which(waiting)) ended.push_back(std::move(waiting));
    }
    std::erase_if(waiting_, [](const Waiting& w) { return w.done == nullptr; });
    for (Waiting& waiting : ended) {
      timers_.Cancel(waiting.timer);
      waiting.done(status);
    }
  }

  TimerScope timers_;
  std::vector<Waiting> waiting_;
  uint64_t last_ = 0;
};

}  // namespace canhub
