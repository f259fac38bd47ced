// A CAN bus as the daemon sees it. Implementations: daemon/bus/.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/api/can_bus.h"

namespace canhub {

// Receives what concerns one device. Called on the bus's thread: must not block; it only puts
// things into a mailbox.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void OnRx(const RxFrame& frame) = 0;
  virtual void OnTxReport(const TxReport& report) = 0;
  virtual void OnBusState(BusState state) = 0;
};

// A device's place on a bus. Thread-safe. Destroying it detaches the sink; no call reaches the sink
// after the destructor has returned, its waiting frames are dropped.
class BusPort : public FrameSender {};

// Every frame on the bus, own ones included, and error frames: for WatchFrames.
struct TappedFrame {
  CanFrame frame;
  MonoTime time;
  bool own = false;
  bool error = false;
  std::string error_text;
};
class FrameTap {
 public:
  virtual ~FrameTap() = default;
  virtual void OnFrame(const TappedFrame& frame) = 0;  // on the bus's thread: must not block
};

struct BusStatus {
  BusState state = BusState::kUnplugged;
  std::string text;       // why, in words
  std::string type;       // "socketcan", "simulated", "socketcand"
  std::string interface;  // "can0", "10.0.0.3:29536/can0"
  uint32_t bitrate = 0;
  double load_percent = 0;  // of the last second
  double frames_per_second = 0;
  double errors_per_second = 0;
  uint64_t frames_received = 0;
  uint64_t frames_sent = 0;  // confirmed on the wire
  uint64_t error_frames = 0;
  uint64_t receive_drops = 0;   // by the kernel
  uint64_t transmit_drops = 0;  // queue full
  uint64_t transmit_expired = 0;
  uint64_t bus_off_count = 0;
  std::optional<uint32_t> transmit_error_counter;
  std::optional<uint32_t> receive_error_counter;
};

// All methods are thread-safe.
class CanBus {
 public:
  virtual ~CanBus() = default;
  // `sink` gets the bus's state at once (during the call) and then frames that pass a filter. Own
  // frames of one port are delivered to no port of the same CanBus object.
  virtual std::unique_ptr<BusPort> Attach(std::vector<CanFilter> filters, FrameSink* sink) = 0;
  virtual void AddTap(FrameTap* tap) = 0;
  // No call reaches the tap after this has returned.
  virtual void RemoveTap(FrameTap* tap) = 0;
  virtual BusStatus Status() const = 0;
};

}  // namespace canhub
