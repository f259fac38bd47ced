// Keeps the readings of an identified device fresh: runs the poll plan, learns what the device does
// not answer, reads again what changed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "drivers/iseg/device_image.h"
#include "drivers/iseg/poll_plan.h"
#include "drivers/iseg/settings.h"
#include "drivers/iseg/transaction_queue.h"

namespace canhub::iseg {

// What the plan is made for: every polled register of these items, each once.
std::vector<PollItem> PollItemsOf(const DeviceItems& items);

// On the actor's thread.
class Poller {
 public:
  // `pass` is called after each read that ended, with its DATA_ID: time to compute what depends
  // on it. `polled` is called once everything has been read.
  Poller(const Settings& settings, const BusInfo& bus, const Clock& clock, Timers& timers,
         TransactionQueue& queue, DeviceImage& image, std::function<void(uint16_t)> pass,
         std::function<void()> polled);

  // From now on; forgets what was learned.
  void Start();
  // Refreshes that wait end with `why`.
  void Stop(const absl::Status& why);
  // The queue has nothing else to do.
  void OnIdle();

  // Reads these items once, with as few requests as possible, then calls done: OK,
  // DEADLINE_EXCEEDED (with the names of what did not come) or UNAVAILABLE. Computed items count as
  // read. An item that the device does not have is FAILED_PRECONDITION.
  void Read(std::vector<ItemId> items, Priority priority, OwnerId owner,
            std::shared_ptr<const CommandGuard> guard, std::function<void(absl::Status)> done);
  // The same for those who only want to know, however many they are: what waits for a register is
  // one read, and all of them keep to the share of the line, beside the polls.
  void Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done);
  // Next in the plan, out of turn.
  void Hurry(uint16_t data_id);
  // Everything that a write, a recall or a front panel may have changed.
  void HurrySetValues();

  const PollPlan& plan() const { return scheduler_.plan(); }
  bool running() const { return running_; }

 private:
  using Done = std::function<void(const absl::Status&)>;
  struct Waiting {
    PlannedRead read;
    std::vector<Done> done;
  };

  // Each register once, channels of a register together. *absent: FAILED_PRECONDITION with the
  // names of what the device does not have.
  std::vector<PlannedRead> ReadsOf(const std::vector<ItemId>& items, absl::Status* absent) const;
  // Calls `done` after the result was called `count` times: with the first error, or else `absent`.
  static Done Joined(size_t count, absl::Status absent, std::function<void(absl::Status)> done);
  ReadRequest OnceRequestFor(const PlannedRead& read) const;
  void IssueRefresh();
  void Replan();
  void Issue(int index);
  void PollDone(const PlannedRead& read, const ReadResult& result);
  ReadRequest RequestFor(const PlannedRead& read) const;
  void WakeAt(MonoTime when);

  const Settings settings_;
  const BusInfo bus_;
  const Clock& clock_;
  TransactionQueue& queue_;
  DeviceImage& image_;
  const std::function<void(uint16_t)> pass_;
  const std::function<void()> polled_;
  TimerScope timers_;

  PollScheduler scheduler_;
  bool running_ = false;
  bool reported_polled_ = false;
  int generation_ = 0;
  TimerId timer_ = 0;
  // Reads of the plan that have not ended once: DATA_ID, first channel.
  std::set<std::pair<uint16_t, int>> open_;
  std::set<uint16_t> answered_;
  std::map<uint16_t, int> unanswered_;  // never answered: how often asked
  std::map<uint16_t, int> group_sizes_;
  std::optional<int64_t> set_values_counter_;
  // Refreshes that were not sent yet: DATA_ID, first channel.
  std::map<std::pair<uint16_t, int>, Waiting> waiting_;
  std::pair<uint16_t, int> last_refresh_{};
  // From then on the next one may take the line before polls that are due.
  MonoTime refresh_turn_{};
};

}  // namespace canhub::iseg
