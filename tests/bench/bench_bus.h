// A CAN line made of Unix datagrams, for hosts without CAN: whoever sends a can_frame to its socket
// is on the line, and its own frames are on the wire when the kernel has taken them.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "daemon/bus/bus_core.h"
#include "daemon/bus/io.h"
#include "drivers/api/bus.h"
#include "tests/bench/beats.h"

namespace canhub::bench {

struct BenchBusOptions {
  std::string name;
  uint32_t bitrate = 125000;
  // Receives at `socket_path`, sends to `peer_path`; frames for a peer that is not there count as
  // sent.
  std::string socket_path, peer_path;
  // Of frames of that urgency: their deadline is the moment of the next one. nullptr: not counted.
  Lateness* heartbeats = nullptr;
  Duration heartbeat_period{};
};

// The daemon's own ports, queue and statistics over one read and one write system call per frame
// or batch, as a bus of SocketCAN has them: the sender writes its frame itself, and the bus's
// thread is woken to confirm it, as by an echo. Stamps own frames when they have been written.
class BenchBus final : public CanBus {
 public:
  BenchBus(const Clock& clock, BenchBusOptions options);
  ~BenchBus() override;
  absl::Status Start(int realtime_priority);
  void Stop();

  std::unique_ptr<BusPort> Attach(std::vector<CanFilter> filters, FrameSink* sink) override;
  void AddTap(FrameTap* tap) override { core_->AddTap(tap); }
  void RemoveTap(FrameTap* tap) override { core_->RemoveTap(tap); }
  BusStatus Status() const override { return core_->Status(); }

 private:
  void Run();
  void Receive();
  // With the core's line() held.
  void Write();
  void Confirm();

  struct Written {
    TxQueue::Entry entry;
    MonoTime time{};
  };
  const Clock& clock_;
  const BenchBusOptions options_;
  const std::shared_ptr<BusCore> core_;
  const std::shared_ptr<WakeEvent> wake_;
  UniqueFd socket_;
  std::vector<Written> written_;  // by the core's line()
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace canhub::bench
