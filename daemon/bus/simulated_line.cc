#include "daemon/bus/simulated_line.h"

#include <algorithm>
#include <utility>

namespace canhub {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

// CAN_ERR_PROT of linux/can/error.h, in the form of the kernel's error frames.
constexpr CanFrame kBrokenOff = {.id = 0x8, .extended = true, .dlc = 8};

}  // namespace

uint32_t ArbitrationKey(const CanFrame& frame) {
  constexpr uint32_t kRecessiveSrr = 1u << 20;
  constexpr uint32_t kRecessiveIde = 1u << 19;
  const uint32_t remote = frame.remote ? 1 : 0;
  if (!frame.extended) return frame.id << 21 | remote << 20;
  return (frame.id >> 18) << 21 | kRecessiveSrr | kRecessiveIde | (frame.id & 0x3FFFF) << 1 |
         remote;
}

// The handle that users hold; the line itself keeps the core.
class SimulatedLine::Node final : public CanBus {
 public:
  explicit Node(Core core) : core_(std::move(core)) {}
  ~Node() override { core_->Close(); }
  std::unique_ptr<BusPort> Attach(std::vector<CanFilter> filters, FrameSink* sink) override {
    return core_->Attach(std::move(filters), sink);
  }
  void AddTap(FrameTap* tap) override { core_->AddTap(tap); }
  void RemoveTap(FrameTap* tap) override { core_->RemoveTap(tap); }
  BusStatus Status() const override { return core_->Status(); }

 private:
  const Core core_;
};

SimulatedLine::SimulatedLine(const Clock& clock, std::string name, uint32_t bitrate)
    : clock_(clock), name_(std::move(name)), bitrate_(bitrate), free_since_(clock.Now()) {}

SimulatedLine::~SimulatedLine() {
  std::lock_guard lock(mu_);
  for (const Core& core : cores_) core->Close();
}

std::shared_ptr<CanBus> SimulatedLine::CreateNode(std::string node_name) {
  auto core = std::make_shared<BusCore>(
      clock_, BusCore::Identity{name_, "simulated", name_ + "/" + node_name, bitrate_},
      BusState::kActive, "");
  core->SetWaker([this] { Wake(); });
  {
    std::lock_guard lock(mu_);
    cores_.push_back(core);
  }
  return std::make_shared<Node>(std::move(core));
}

void SimulatedLine::SetFaultHook(FaultHook hook) {
  std::lock_guard lock(mu_);
  hook_ = std::move(hook);
}

void SimulatedLine::SetNodeState(std::string node_name, BusState state, std::string text) {
  {
    std::lock_guard lock(mu_);
    requests_.push_back({std::move(node_name), state, std::move(text)});
  }
  Wake();
}

Duration SimulatedLine::FrameTime(const CanFrame& frame) const {
  return Duration(WireBits(frame) * kNanosecondsPerSecond / bitrate_);
}

MonoTime SimulatedLine::RunUntil(MonoTime now) {
  ApplyRequests(now);
  for (;;) {
    const MonoTime end = on_wire_ ? on_wire_->end : kNever;
    const MonoTime delayed = delayed_.empty() ? kNever : delayed_.front().when;
    if (delayed <= now && delayed < end) {
      DeliverDelayed(delayed);
    } else if (end <= now) {
      EndFrame();
    } else if (on_wire_ || !StartFrame(now)) {
      break;
    }
  }
  const MonoTime end = on_wire_ ? on_wire_->end : kNever;
  return delayed_.empty() ? end : std::min(end, delayed_.front().when);
}

void SimulatedLine::ApplyRequests(MonoTime now) {
  std::vector<StateRequest> requests;
  {
    std::lock_guard lock(mu_);
    std::erase_if(cores_, [](const Core& core) { return core->closed(); });
    nodes_ = cores_;
    requests.swap(requests_);
  }
  for (StateRequest& request : requests) {
    const std::string interface = name_ + "/" + request.node_name;
    for (const Core& node : nodes_) {
      if (node->identity().interface != interface) continue;
      node->SetState(request.state, request.text);
    }
  }
  if (on_wire_ && !CanTransmit(on_wire_->sender->state())) {
    // Broken off: the others see an error frame. A frame whose end has passed was whole.
    if (on_wire_->end > now) {
      const OnWire broken = std::move(*on_wire_);
      on_wire_.reset();
      free_since_ = now;
      broken.sender->Report(broken.entry.port, broken.entry.tx.tag, TxOutcome::kPurged, now);
      for (const Core& node : nodes_) {
        if (node == broken.sender || !CanTransmit(node->state())) continue;
        node->DeliverError(kBrokenOff, now, "frame broken off by its sender");
      }
    }
  }
}

bool SimulatedLine::StartFrame(MonoTime now) {
  struct Candidate {
    Core node;
    BusCore::Head head;
  };
  for (;;) {
    std::vector<Candidate> candidates;
    MonoTime earliest = kNever;
    for (const Core& node : nodes_) {
      std::optional<BusCore::Head> head = node->PeekTx(now);
      if (!head) continue;
      earliest = std::min(earliest, head->queued);
      candidates.push_back({node, *std::move(head)});
    }
    if (candidates.empty()) return false;
    // A step that comes late must not make the line slower than it is: the frame started when both
    // the line was free and the frame was there.
    const MonoTime start = std::max(free_since_, earliest);
    const Candidate* winner = nullptr;
    for (const Candidate& candidate : candidates) {
      if (candidate.head.queued > start) continue;
      if (winner == nullptr ||
          ArbitrationKey(candidate.head.frame) < ArbitrationKey(winner->head.frame)) {
        winner = &candidate;
      }
    }
    std::optional<TxQueue::Entry> entry = winner->node->TakeTx(now, winner->head.sequence);
    if (!entry) continue;  // withdrawn or overtaken in this very moment
    FaultHook hook;
    {
      std::lock_guard lock(mu_);
      hook = hook_;
    }
    LineFault fault;
    if (hook) fault = hook(entry->tx.frame, winner->node->identity().interface);
    const MonoTime end = start + FrameTime(entry->tx.frame);
    const int repeats = fault.repeats;
    on_wire_ = OnWire{winner->node, *std::move(entry), end, std::move(fault), repeats};
    return true;
  }
}

void SimulatedLine::EndFrame() {
  const OnWire done = std::move(*on_wire_);
  on_wire_.reset();
  free_since_ = done.end;
  const CanFrame& frame = done.entry.tx.frame;
  const LineUse use{static_cast<double>(WireBits(frame)), 1, 0};
  for (const Core& node : nodes_) {
    if (CanTransmit(node->state())) node->CountLine(done.end, use);
  }
  if (done.repeats_left > 0) {
    // Set before anything is delivered: what the receivers send now waits for the repetition.
    on_wire_ = done;
    on_wire_->end = done.end + FrameTime(frame);
    --on_wire_->repeats_left;
  }
  // Reported once, however often it is repeated.
  if (done.repeats_left == done.fault.repeats) {
    done.sender->DeliverOwn(done.entry.port, done.entry.tx.tag, frame, done.end);
  }
  if (done.fault.lose) return;
  const CanFrame& received = done.fault.garbled ? *done.fault.garbled : frame;
  if (done.fault.delay > Duration::zero()) {
    const MonoTime when = done.end + done.fault.delay;
    const auto place =
        std::upper_bound(delayed_.begin(), delayed_.end(), when,
                         [](MonoTime t, const Delayed& delayed) { return t < delayed.when; });
    delayed_.insert(place, {when, done.sender, received});
    return;
  }
  DeliverToOthers(done.sender, received, done.end);
}

void SimulatedLine::DeliverDelayed(MonoTime until) {
  while (!delayed_.empty() && delayed_.front().when <= until) {
    const Delayed delayed = std::move(delayed_.front());
    delayed_.erase(delayed_.begin());
    DeliverToOthers(delayed.sender, delayed.frame, delayed.when);
  }
}

void SimulatedLine::DeliverToOthers(const Core& sender, const CanFrame& frame, MonoTime time) {
  for (const Core& node : nodes_) {
    if (node == sender || !CanTransmit(node->state())) continue;
    node->DeliverRx(frame, time);
  }
}

}  // namespace canhub
