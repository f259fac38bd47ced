// A CAN line in memory: nodes arbitrate by identifier and frames take the time their bits take.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/bus/bus_core.h"
#include "drivers/api/bus.h"
#include "drivers/api/step.h"

namespace canhub {

// What goes wrong with one frame on the line. Default: nothing.
struct LineFault {
  bool lose = false;  // no other node receives it; its sender saw it go out
  int repeats = 0;    // goes over the line this many times more
  std::optional<CanFrame> garbled = std::nullopt;  // the other nodes receive this instead
  Duration delay{0};  // the other nodes receive it this much later; the line is free meanwhile
};

// The order in which frames win arbitration: the smaller key wins. The 32 bits a node sends after
// the start of frame: identifier (11 bits or the base of 29), RTR or SRR, IDE, then the identifier
// extension and RTR (ISO 11898-1; dominant is 0).
uint32_t ArbitrationKey(const CanFrame& frame);

// Any number of nodes on one line. All methods are thread-safe but RunUntil, which one thread at a
// time calls; sinks, taps and the fault hook are called from it.
//
// The line is good: whoever is on it acknowledges, so that a lone node can send too. Two nodes that
// start the same identifier in the same moment, which on a real line destroy each other's frame
// when the data differ, go one after the other, in the order of their creation.
class SimulatedLine final : public Steppable {
 public:
  SimulatedLine(const Clock& clock, std::string name, uint32_t bitrate);
  ~SimulatedLine() override;
  SimulatedLine(const SimulatedLine&) = delete;
  SimulatedLine& operator=(const SimulatedLine&) = delete;

  // A node of its own, with any number of ports; leaves the line when the last pointer goes (not
  // inside a call of one of its sinks). It may outlive the line, and is unplugged then. `interface`
  // of its status is "line/node".
  std::shared_ptr<CanBus> CreateNode(std::string node_name);

  // Asked once for every frame that starts; replaces the hook before. Empty: no faults.
  using FaultHook = std::function<LineFault(const CanFrame& frame, std::string_view sender)>;
  void SetFaultHook(FaultHook hook);
  // Takes effect at the next step. A node that cannot transmit does not receive either; a frame of
  // it that is on the line is broken off. Unknown names are ignored.
  void SetNodeState(std::string node_name, BusState state, std::string text);

  Duration FrameTime(const CanFrame& frame) const;
  const std::string& name() const { return name_; }
  uint32_t bitrate() const { return bitrate_; }

  MonoTime RunUntil(MonoTime now) override;

 private:
  class Node;
  using Core = std::shared_ptr<BusCore>;
  struct OnWire {
    Core sender;
    TxQueue::Entry entry;
    MonoTime end{};
    LineFault fault;
    int repeats_left = 0;
  };
  struct Delayed {
    MonoTime when{};
    Core sender;
    CanFrame frame;
  };
  struct StateRequest {
    std::string node_name;
    BusState state;
    std::string text;
  };

  void ApplyRequests(MonoTime now);
  void EndFrame();
  void DeliverDelayed(MonoTime until);
  // Starts the next frame; false when no frame waits.
  bool StartFrame(MonoTime now);
  void DeliverToOthers(const Core& sender, const CanFrame& frame, MonoTime time);

  const Clock& clock_;
  const std::string name_;
  const uint32_t bitrate_;

  mutable std::mutex mu_;
  std::vector<Core> cores_;             // by mu_; in the order of creation
  std::vector<StateRequest> requests_;  // by mu_
  FaultHook hook_;                      // by mu_

  // Only the stepping thread's:
  std::vector<Core> nodes_;  // cores_ as of this step
  std::optional<OnWire> on_wire_;
  std::vector<Delayed> delayed_;  // by time, then by order
  MonoTime free_since_{};         // end of the last frame
};

}  // namespace canhub
