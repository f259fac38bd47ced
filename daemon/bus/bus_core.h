// What every bus has in common: ports, taps, the transmit queue, the state and the statistics.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "daemon/bus/priority_mutex.h"
#include "daemon/bus/rate_meter.h"
#include "daemon/bus/tx_queue.h"
#include "drivers/api/bus.h"
#include "drivers/api/driver.h"

namespace canhub {

// Where a bus tells of its state changes; on the bus's thread, must not block.
using BusLog = std::function<void(LogLevel, std::string)>;

// Shared by a bus and its ports, so that a port may outlive its bus (it then refuses to send).
//
// Locks, in this order: line_, delivery_, queue_, and the leaves stats_ and waker_. Sinks and taps
// are called with delivery_ held, and by the line also with line_: they may call Send and Status,
// but must not attach or detach anything on the same bus. That is what makes "no call after the
// destructor" true.
class BusCore : public std::enable_shared_from_this<BusCore> {
 public:
  struct Identity {
    std::string name;       // the bus's id, for error texts
    std::string type;       // BusStatus::type
    std::string interface;  // BusStatus::interface
    uint32_t bitrate = 0;
  };
  BusCore(const Clock& clock, Identity identity, BusState state, std::string text,
          TxQueue::Bounds bounds = TxQueue::kDefaultBounds);

  // ---- CanBus; any thread
  std::unique_ptr<BusPort> Attach(std::vector<CanFilter> filters, FrameSink* sink);
  void AddTap(FrameTap* tap);
  void RemoveTap(FrameTap* tap);
  BusStatus Status() const;

  // ---- the line's side
  // Called after a frame was queued or the set of filters changed; from any thread, with no lock
  // but waker_ held. An empty function ends it: no call is under way once this has returned.
  void SetWaker(std::function<void()> waker);
  // Held by the line's thread while it works on what is its own, not while it waits: then a sender
  // may (SetDirectWriter).
  PriorityMutex& line() { return line_; }
  // Called by Send, on the sender's thread and with line() held, when the line's thread is waiting:
  // hands over what can be. It saves a command two changes of thread. False: the line's thread has
  // to see to it, and is woken.
  void SetDirectWriter(std::function<bool()> write);
  // The bus is gone: state kUnplugged, ports refuse, no waker. Idempotent. Not with line() held.
  void Close();
  bool closed() const { return closed_.load(std::memory_order_acquire); }

  // Leaving a state that can transmit purges the queue before any sink hears of it.
  void SetState(BusState state, std::string text);
  BusState state() const;
  std::string StateText() const;

  struct Head {
    CanFrame frame;
    MonoTime queued{};
    uint64_t sequence = 0;
  };
  // The frame that would go next.
  std::optional<Head> PeekTx(MonoTime now);
  // Takes it; with `expected`, only if it is still that one. Ask for it only when it goes out at
  // once.
  std::optional<TxQueue::Entry> TakeTx(MonoTime now, uint64_t expected = 0);
  // The line had no room after all. The frame is asked for its right to go again next time; gone if
  // its port is.
  void PutBackTx(TxQueue::Entry entry);
  void DropExpired(MonoTime now);
  bool HasTx() const;

  void DeliverRx(const CanFrame& frame, MonoTime time);
  // An own frame was on the wire; `port` wants to know, taps see it.
  void DeliverOwn(PortId port, uint64_t tag, const CanFrame& frame, MonoTime time);
  // An own frame has been handed over to a line without echo.
  void DeliverSent(PortId port, uint64_t tag, const CanFrame& frame, MonoTime time);
  void DeliverError(const CanFrame& frame, MonoTime time, std::string_view text);
  void Report(PortId port, uint64_t tag, TxOutcome outcome, MonoTime time);

  void CountLine(MonoTime time, const LineUse& use);
  // Traffic that the bus knows of without seeing the frames, per second.
  void SetHiddenTraffic(const LineUse& per_second);
  void CountReceiveDrops(uint64_t drops);
  void SetErrorCounters(std::optional<uint32_t> transmit, std::optional<uint32_t> receive);

  // Rises when a port or tap comes or goes.
  uint64_t filter_generation() const { return filter_generation_.load(std::memory_order_acquire); }
  // All ports' filters; `tapped` tells whether every frame is wanted.
  std::vector<CanFilter> Filters(bool* tapped) const;

  const Clock& clock() const { return clock_; }
  const Identity& identity() const { return identity_; }

 private:
  class Port;
  struct Listener {
    PortId id;
    std::vector<CanFilter> filters;
    FrameSink* sink;
  };
  struct Counters {
    uint64_t frames_received = 0;
    uint64_t frames_sent = 0;
    uint64_t error_frames = 0;
    uint64_t receive_drops = 0;
    uint64_t bus_off_count = 0;
    std::optional<uint32_t> transmit_error_counter;
    std::optional<uint32_t> receive_error_counter;
    RateMeter rates;
    LineUse hidden;
  };

  absl::Status Send(PortId port, TxFrame frame);
  bool WriteDirectly();
  void Detach(PortId port);
  void ListenersChanged();
  void DeliverReports(const std::vector<OwnedReport>& reports);
  void ReportLocked(PortId port, const TxReport& report);
  const std::vector<FrameSink*>& SinksOf(const CanFrame& frame);
  void TapLocked(const CanFrame& frame, MonoTime time, bool own);
  void Wake() const;

  const Clock& clock_;
  const Identity identity_;
  std::atomic<bool> closed_{false};
  std::atomic<uint64_t> filter_generation_{1};

  PriorityMutex line_;
  std::function<bool()> direct_writer_;  // by line_

  class Delivery;
  mutable std::mutex delivery_;
  PortId next_port_ = 1;                  // by delivery_
  std::map<PortId, Listener> listeners_;  // by delivery_
  std::vector<FrameTap*> taps_;           // by delivery_
  // Who gets a data frame of an identifier: filled as identifiers are seen, emptied when a port
  // comes or goes. By delivery_.
  std::unordered_map<uint64_t, std::vector<FrameSink*>> routes_;

  mutable std::mutex queue_;
  TxQueue tx_;  // by queue_
  // Reports that arose inside Send, which cannot deliver them. By queue_.
  std::vector<OwnedReport> late_reports_;
  BusState state_;    // by queue_
  std::string text_;  // by queue_

  mutable std::mutex stats_;
  Counters counters_;  // by stats_

  mutable std::mutex waker_lock_;
  std::function<void()> waker_;  // by waker_lock_
};

}  // namespace canhub
