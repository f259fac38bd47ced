// What waits for one actor. Filled by any thread, emptied by the actor; locked for a few
// instructions at a time, and never while anything is called.
//
//   what           when it is full                      taken
//   bus states     only the newest is kept, but never   first
//                  hides that the bus was away
//   cancels        one per command under way            second: they end work, and send nothing
//   safe commands  never refused (S10)                  third, also between two of the others
//   frames         the oldest is dropped and counted    then, in the order of arrival
//   TX reports     never lost: as many as are in        with the frames
//                  flight on the bus
//   commands       refused                              after the frames: they act on what is known
//   refreshes      refused                              last
//
// The oldest frame is dropped, not the newest: readings are worth what they are young, and the
// oldest is the answer whose request has most likely been given up already.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "daemon/core/command_target.h"
#include "drivers/api/bus.h"
#include "drivers/api/driver.h"

namespace canhub {

class Mailbox {
 public:
  // A client may write all channels of a crate at once, one command each.
  static constexpr size_t kMaxCommands = 64;
  // A tenth of a second of a full line at 1 Mbit/s, half a second at 250 kbit/s: longer than any
  // driver may be away.
  static constexpr size_t kMaxFrames = 1024;
  static constexpr size_t kMaxRefreshes = 32;

  struct PostedCommand {
    Command command;
    CommandDone done;
    // The device's generation of items when it was posted.
    uint64_t generation = 0;
    // Set when the bus went away after it was posted: it must not be sent any more (S02).
    std::optional<BusState> bus_lost;
  };
  struct PostedRefresh {
    std::vector<ItemId> items;
    MonoTime deadline = kNever;
    absl::AnyInvocable<void(absl::Status)> done;
  };
  using Traffic = std::variant<std::monostate, RxFrame, TxReport>;  // monostate: dropped

  struct Urgent {
    // The state in which the bus could not transmit, if it went through one; then the newest.
    std::optional<BusState> bus_away, bus_now;
    std::vector<std::pair<CommandId, absl::Status>> cancels;
    std::vector<PostedCommand> safe_commands;
    std::optional<DeviceConfig> config;
    bool restart = false;
  };

  // Any thread. False: full; `command` is untouched then.
  bool PushCommand(PostedCommand& command);
  bool PushRefresh(PostedRefresh& refresh);
  void PushCancel(CommandId id, absl::Status why);
  void PushBusState(BusState state);
  void PushFrame(const RxFrame& frame);
  void PushTxReport(const TxReport& report);
  void PushConfig(DeviceConfig config);
  void PushRestart();
  uint64_t overflows() const { return overflows_.load(std::memory_order_relaxed); }
  void CountOverflow() { overflows_.fetch_add(1, std::memory_order_relaxed); }

  // The actor.
  bool has_urgent() const { return has_urgent_.load(std::memory_order_acquire); }
  Urgent TakeUrgent();
  // Swaps with `traffic`, which is cleared first and lends its memory.
  void TakeTraffic(std::vector<Traffic>* traffic);
  std::vector<PostedCommand> TakeCommands();
  // One that waits, wherever it stands; nothing when there is none of that id.
  std::optional<PostedCommand> TakeCommand(CommandId id);
  std::vector<PostedRefresh> TakeRefreshes();
  bool empty() const;

 private:
  mutable std::mutex mutex_;
  Urgent urgent_;
  std::atomic<bool> has_urgent_{false};
  std::vector<Traffic> traffic_;
  size_t frames_ = 0;        // in traffic_
  size_t dropped_ = 0;       // in traffic_
  size_t oldest_frame_ = 0;  // no frame stands before it in traffic_
  std::vector<PostedCommand> commands_;
  std::vector<PostedRefresh> refreshes_;
  std::atomic<uint64_t> overflows_{0};
};

}  // namespace canhub
