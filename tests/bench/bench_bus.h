// A CAN line made of Unix datagrams, for hosts without CAN: whoever sends a can_frame to its socket
// is on the line, and its own frames are on the wire when the kernel has taken them.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "daemon/bus/bus_core.h"
#include "daemon/bus/io.h"
#include "drivers/api/bus.h"

namespace canhub::bench {

// The daemon's own ports, queue and statistics over one read and one write system call per frame
// or batch, as a bus of SocketCAN has them. Stamps own frames when they have been written.
class BenchBus final : public CanBus {
 public:
  // Receives at `socket_path`, sends to `peer_path`; frames for a peer that is not there count as
  // sent.
  BenchBus(const Clock& clock, std::string name, std::string socket_path, std::string peer_path);
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
  void Send();

  const Clock& clock_;
  const std::string name_, socket_path_, peer_path_;
  const std::shared_ptr<BusCore> core_;
  const std::shared_ptr<WakeEvent> wake_;
  UniqueFd socket_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace canhub::bench
