// A CAN interface of this machine through SocketCAN.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "daemon/bus/bus_core.h"
#include "daemon/bus/can_filter_set.h"
#include "daemon/bus/io.h"
#include "daemon/bus/link_message.h"
#include "daemon/bus/link_watch.h"
#include "daemon/bus/tx_pacer.h"
#include "drivers/api/bus.h"
#include "drivers/api/turn_meter.h"

namespace canhub {

struct SocketCanOptions {
  std::string name;           // the bus's id in the configuration
  std::string interface;      // "can0"
  uint32_t bitrate = 0;       // compared with the interface's; vcan has none and passes
  int realtime_priority = 0;  // SCHED_FIFO of the bus's thread; 0: off
  BusLog log;                 // changes of state
};

// The time on the daemon's clock of a kernel time stamp, by the clocks' offset now. A stamp outside
// [not_before, now] comes from a wall clock that jumped meanwhile (S12) and is moved to the nearer
// end. `not_before`: when the socket was last seen empty.
MonoTime StampToMono(WallTime stamp, WallTime wall_now, MonoTime now, MonoTime not_before);

// One thread reads, writes and watches the interface; while it waits, senders write for themselves.
// It never ends by itself: an interface that is missing, down, of another bit rate or forbidden is
// a state, with the reason in Status().text, and is tried again when the kernel tells of a change
// and every second.
class SocketCanBus final : public CanBus {
 public:
  SocketCanBus(const Clock& clock, SocketCanOptions options);
  ~SocketCanBus() override;

  // Starts the thread. An error only for what the configuration asks and this process may not have
  // (real-time priority) or when the machine has no file descriptors left; then nothing runs.
  absl::Status Start();
  // Ends the thread; ports refuse from now on. Idempotent.
  void Stop();

  std::unique_ptr<BusPort> Attach(std::vector<CanFilter> filters, FrameSink* sink) override;
  void AddTap(FrameTap* tap) override;
  void RemoveTap(FrameTap* tap) override;
  BusStatus Status() const override;
  // For how long its thread has owed a turn: nothing is sent or received meanwhile. Zero before
  // Start and while it rightly waits. Any thread.
  Duration Overdue(MonoTime now) const { return turns_.Overdue(now); }

 private:
  struct ReceiveBuffers;

  void Run();
  void MaintainLinkSocket(MonoTime now);
  void ReadLinkSocket();
  void OnLink(const LinkInfo& link);
  void MaintainSocket(MonoTime now);
  int OpenSocket();  // 0 or errno
  void CloseSocket();
  void PublishState();
  void UpdateFilters();
  bool ApplyFilters(std::vector<KernelFilter> filters);
  // False when nothing had come.
  bool ReadSocket();
  // Whether nobody is likely to wait for what comes next.
  bool FramesCanWait() const;
  void OnKernelFrame(uint32_t can_id, std::span<const uint8_t> data, uint8_t length, bool own,
                     MonoTime time);
  void OnError(uint32_t can_id, std::span<const uint8_t> data, MonoTime time);
  void WriteFrames();
  bool WriteDirectly();
  void CheckEchoes(MonoTime now);
  std::optional<uint64_t> ReadSentCounter() const;
  TxPacer::Fate FateOfFrames() const;
  void DropInFlight(TxOutcome outcome);
  void OnSocketError(int error);

  const Clock& clock_;
  const SocketCanOptions options_;
  const std::shared_ptr<BusCore> core_;
  const std::shared_ptr<WakeEvent> wake_;
  std::atomic<bool> stop_{false};
  TurnMeter turns_{kNever};
  std::thread thread_;

  // By core_->line():
  LinkWatch watch_;
  TxPacer pacer_;
  UniqueFd link_socket_;
  UniqueFd socket_;
  UniqueFd sent_counter_;  // sysfs: frames that the interface has sent
  // Its value when the oldest frame in flight was written, and the echoes since then.
  std::optional<uint64_t> sent_before_;
  uint64_t echoes_since_ = 0;
  std::unique_ptr<ReceiveBuffers> buffers_;
  std::vector<KernelFilter> filters_;
  std::set<uint32_t> sent_ids_;
  uint64_t filter_generation_ = 0;
  uint32_t link_sequence_ = 0;
  MonoTime next_link_request_{};
  MonoTime next_open_{};
  MonoTime write_retry_ = kNever;  // the interface's queue was full: when to try again
  MonoTime drained_{};             // when the socket was last seen empty
  MonoTime now_{};                 // of this turn: not older than what it has waited for
  MonoTime last_written_{};
  MonoTime last_arrival_{};
  bool streaming_ = false;  // frames came shortly after one another
  bool fetching_ = false;   // the thread waits for the time to fetch them
  // The wall clock's time at a moment of ours, good until wall_until_.
  WallTime wall_{};
  MonoTime wall_time_{}, wall_until_{};
  bool turned_ = true;       // the thread, since first_direct_
  MonoTime first_direct_{};  // a sender's first write since then
  MonoTime asleep_until_{};  // when the thread looks at everything again, at the latest
  uint32_t kernel_drops_ = 0;
  std::string logged_;
  uint64_t published_ = 0;  // watch_'s revision
  bool stuck_ = false;      // a frame of ours does not get out
  // Since the last reading of the interface's counters:
  std::optional<LinkInfo::Counters> counters_;
  MonoTime counters_time_{};
  uint64_t seen_frames_ = 0, seen_bytes_ = 0, seen_extended_ = 0;
};

}  // namespace canhub
