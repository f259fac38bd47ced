// A bus that another machine shares by socketcand (TCP, raw mode).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "daemon/bus/back_off.h"
#include "daemon/bus/bus_core.h"
#include "daemon/bus/io.h"
#include "daemon/bus/socketcand_protocol.h"
#include "drivers/api/bus.h"

namespace canhub {

struct SocketcandClientOptions {
  std::string name;  // the bus's id in the configuration
  // Numeric, or a name; looking a name up blocks the bus's own thread, and Stop, until the resolver
  // answers.
  std::string host;
  uint16_t port = 29536;
  std::string remote_bus;  // "can0", at most 16 characters (the protocol's bound)
  uint32_t bitrate = 0;    // of the remote line, for the load; the protocol does not tell it
  int realtime_priority = 0;
  BusLog log;
};

// Connects, and connects again for ever. kUnplugged while there is no connection, then what the
// server's error frames tell. There is no echo: frames are reported kSent when they were given to
// TCP. No frame is kept over a lost connection, and TCP itself gives a frame up after kTcpTimeout,
// so that this is the longest by which the network can delay a frame past its deadline (S02).
class SocketcandClient final : public CanBus {
 public:
  static constexpr Duration kTcpTimeout = std::chrono::seconds(3);
  // From the call to connect until the server's last "< ok >".
  static constexpr Duration kHandshakeTimeout = std::chrono::seconds(5);
  // A connection that held for so long was a good one: back-off starts anew.
  static constexpr Duration kGoodConnection = std::chrono::seconds(5);

  SocketcandClient(const Clock& clock, SocketcandClientOptions options);
  ~SocketcandClient() override;
  absl::Status Start();
  // Ends the thread; ports refuse from now on. Idempotent.
  void Stop();
  // Lets the thread look at the clock: for clocks that are moved by hand.
  void Wake() { wake_->Signal(); }

  std::unique_ptr<BusPort> Attach(std::vector<CanFilter> filters, FrameSink* sink) override;
  void AddTap(FrameTap* tap) override;
  void RemoveTap(FrameTap* tap) override;
  BusStatus Status() const override;

 private:
  enum class Phase { kWaiting, kConnecting, kGreeting, kOpening, kEnteringRaw, kRunning };

  void Run();
  void Connect(MonoTime now);
  void OnConnected();
  void Disconnect(const std::string& why);
  void ReadSocket();
  void OnMessage(const SocketcandMessage& message, MonoTime now);
  void OnErrorClass(uint32_t error_class, MonoTime now);
  void WriteFrames();
  bool WriteDirectly();
  // False when the connection is full or gone.
  bool Flush();
  void SetState(BusState state, const std::string& text);

  const Clock& clock_;
  const SocketcandClientOptions options_;
  const std::string address_;  // "10.0.0.3:29536/can0"
  const std::shared_ptr<BusCore> core_;
  const std::shared_ptr<WakeEvent> wake_;
  std::atomic<bool> stop_{false};
  std::thread thread_;

  // By core_->line():
  Phase phase_ = Phase::kWaiting;
  UniqueFd socket_;
  ElementParser parser_;
  BackOff back_off_;
  MonoTime next_try_{};
  MonoTime handshake_end_ = kNever;
  MonoTime running_since_{};
  std::string output_;
  size_t written_ = 0;
  std::optional<TxQueue::Entry> writing_;  // its element is in output_
  uint64_t malformed_ = 0;
  std::string logged_;
};

}  // namespace canhub
