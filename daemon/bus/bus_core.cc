#include "daemon/bus/bus_core.h"

#include <algorithm>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

// Identifiers whose routes are remembered. A line carries a few hundred; garbage must not grow the
// table for ever.
constexpr size_t kMaxRoutes = 4096;

}  // namespace

// Holds delivery_ while sinks and taps are called, and knows on which thread: a Send from inside
// one of them must not come back into delivery_.
class BusCore::Delivery {
 public:
  explicit Delivery(const BusCore* core) : lock_(core->delivery_) { ++under_way_; }
  ~Delivery() { --under_way_; }
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;
  static bool UnderWay() { return under_way_ > 0; }

 private:
  static thread_local int under_way_;  // one bus's sink may send on another
  const std::lock_guard<std::mutex> lock_;
};
thread_local int BusCore::Delivery::under_way_ = 0;

class BusCore::Port final : public BusPort {
 public:
  Port(std::shared_ptr<BusCore> core, PortId id) : core_(std::move(core)), id_(id) {}
  ~Port() override { core_->Detach(id_); }
  absl::Status Send(TxFrame frame) override { return core_->Send(id_, std::move(frame)); }

 private:
  const std::shared_ptr<BusCore> core_;
  const PortId id_;
};

BusCore::BusCore(const Clock& clock, Identity identity, BusState state, std::string text,
                 TxQueue::Bounds bounds)
    : clock_(clock),
      identity_(std::move(identity)),
      tx_(bounds),
      state_(state),
      text_(std::move(text)) {}

std::unique_ptr<BusPort> BusCore::Attach(std::vector<CanFilter> filters, FrameSink* sink) {
  PortId id;
  {
    const Delivery delivery(this);
    id = next_port_++;
    listeners_[id] = {id, std::move(filters), sink};
    routes_.clear();
    sink->OnBusState(state());
  }
  ListenersChanged();
  return std::make_unique<Port>(shared_from_this(), id);
}

void BusCore::Detach(PortId port) {
  {
    const Delivery delivery(this);
    listeners_.erase(port);
    routes_.clear();
  }
  {
    std::lock_guard queue(queue_);
    tx_.Remove(port);
  }
  ListenersChanged();
}

void BusCore::AddTap(FrameTap* tap) {
  {
    const Delivery delivery(this);
    taps_.push_back(tap);
  }
  ListenersChanged();
}

void BusCore::RemoveTap(FrameTap* tap) {
  {
    const Delivery delivery(this);
    std::erase(taps_, tap);
  }
  ListenersChanged();
}

void BusCore::ListenersChanged() {
  filter_generation_.fetch_add(1, std::memory_order_acq_rel);
  Wake();
}

BusStatus BusCore::Status() const {
  BusStatus status;
  status.type = identity_.type;
  status.interface = identity_.interface;
  status.bitrate = identity_.bitrate;
  {
    std::lock_guard queue(queue_);
    status.state = state_;
    status.text = text_;
    status.transmit_drops = tx_.refused();
    status.transmit_expired = tx_.expired();
  }
  const MonoTime now = clock_.Now();
  std::lock_guard stats(stats_);
  LineUse use = counters_.rates.LastSecond(now);
  use.bits += counters_.hidden.bits;
  use.frames += counters_.hidden.frames;
  if (identity_.bitrate > 0) {
    status.load_percent = std::min(100.0, 100.0 * use.bits / identity_.bitrate);
  }
  status.frames_per_second = static_cast<double>(use.frames);
  status.errors_per_second = static_cast<double>(use.errors);
  status.frames_received = counters_.frames_received;
  status.frames_sent = counters_.frames_sent;
  status.error_frames = counters_.error_frames;
  status.receive_drops = counters_.receive_drops;
  status.bus_off_count = counters_.bus_off_count;
  status.transmit_error_counter = counters_.transmit_error_counter;
  status.receive_error_counter = counters_.receive_error_counter;
  return status;
}

void BusCore::SetWaker(std::function<void()> waker) {
  std::lock_guard lock(waker_lock_);
  waker_ = std::move(waker);
}

void BusCore::Wake() const {
  std::lock_guard lock(waker_lock_);
  if (waker_) waker_();
}

void BusCore::SetDirectWriter(std::function<bool()> write) {
  const std::lock_guard line(line_);
  direct_writer_ = std::move(write);
}

void BusCore::Close() {
  SetDirectWriter(nullptr);
  SetWaker(nullptr);
  if (closed_.exchange(true, std::memory_order_acq_rel)) return;
  SetState(BusState::kUnplugged, "the bus was closed");
}

void BusCore::SetState(BusState state, std::string text) {
  const Delivery delivery(this);
  std::vector<OwnedReport> reports;
  bool changed = false;
  {
    std::lock_guard queue(queue_);
    if (closed()) {
      state = BusState::kUnplugged;
      text = "the bus was closed";
    }
    changed = state_ != state;
    state_ = state;
    text_ = std::move(text);
    reports.swap(late_reports_);
    if (!CanTransmit(state)) tx_.Purge(clock_.Now(), &reports);
  }
  if (changed && state == BusState::kBusOff) {
    std::lock_guard stats(stats_);
    ++counters_.bus_off_count;
  }
  for (const OwnedReport& report : reports) ReportLocked(report.port, report.report);
  if (!changed) return;
  for (const auto& [id, listener] : listeners_) listener.sink->OnBusState(state);
}

BusState BusCore::state() const {
  std::lock_guard queue(queue_);
  return state_;
}

std::string BusCore::StateText() const {
  std::lock_guard queue(queue_);
  return text_;
}

absl::Status BusCore::Send(PortId port, TxFrame frame) {
  std::vector<OwnedReport> reports;
  bool late = false;
  absl::Status status;
  {
    std::lock_guard queue(queue_);
    if (!CanTransmit(state_)) {
      return MakeError(absl::StatusCode::kUnavailable, "BUS_CANNOT_TRANSMIT",
                       identity_.name + ": the bus is " + std::string(ToString(state_)) +
                           (text_.empty() ? "" : " (" + text_ + ")") + "; nothing was queued",
                       {{"bus_id", identity_.name}, {"bus_state", std::string(ToString(state_))}});
    }
    status = tx_.Push(port, std::move(frame), clock_.Now(), identity_.name, &reports);
    // The frames that made room are reported by the line, which is woken for it: this thread may be
    // inside one of the sinks' calls.
    late = !reports.empty();
    late_reports_.insert(late_reports_.end(), reports.begin(), reports.end());
  }
  if (status.ok() && !late && WriteDirectly()) return status;
  if (status.ok() || late) Wake();
  return status;
}

bool BusCore::WriteDirectly() {
  if (Delivery::UnderWay()) return false;
  const std::unique_lock line(line_, std::try_to_lock);
  return line.owns_lock() && direct_writer_ && direct_writer_();
}

std::optional<BusCore::Head> BusCore::PeekTx(MonoTime now) {
  std::vector<OwnedReport> reports;
  std::optional<Head> head;
  {
    std::lock_guard queue(queue_);
    reports.swap(late_reports_);
    if (const TxQueue::Entry* entry = tx_.Peek(now, &reports)) {
      head = Head{entry->tx.frame, entry->queued, entry->sequence};
    }
  }
  DeliverReports(reports);
  return head;
}

std::optional<TxQueue::Entry> BusCore::TakeTx(MonoTime now, uint64_t expected) {
  std::vector<OwnedReport> reports;
  std::optional<TxQueue::Entry> entry;
  {
    std::lock_guard queue(queue_);
    reports.swap(late_reports_);
    const TxQueue::Entry* head = tx_.Peek(now, &reports);
    if (head != nullptr && (expected == 0 || head->sequence == expected)) {
      entry = tx_.Pop(now, &reports);
    }
  }
  DeliverReports(reports);
  return entry;
}

void BusCore::PutBackTx(TxQueue::Entry entry) {
  const Delivery delivery(this);
  if (!listeners_.contains(entry.port)) return;
  std::lock_guard queue(queue_);
  tx_.PutBack(std::move(entry));
}

void BusCore::DropExpired(MonoTime now) {
  std::vector<OwnedReport> reports;
  {
    std::lock_guard queue(queue_);
    reports.swap(late_reports_);
    tx_.DropExpired(now, &reports);
  }
  DeliverReports(reports);
}

bool BusCore::HasTx() const {
  std::lock_guard queue(queue_);
  return !tx_.empty();
}

void BusCore::DeliverReports(const std::vector<OwnedReport>& reports) {
  if (reports.empty()) return;
  const Delivery delivery(this);
  for (const OwnedReport& report : reports) ReportLocked(report.port, report.report);
}

void BusCore::ReportLocked(PortId port, const TxReport& report) {
  if (report.tag == 0) return;
  const auto it = listeners_.find(port);
  if (it != listeners_.end()) it->second.sink->OnTxReport(report);
}

void BusCore::Report(PortId port, uint64_t tag, TxOutcome outcome, MonoTime time) {
  if (tag == 0) return;
  const Delivery delivery(this);
  ReportLocked(port, {tag, outcome, time});
}

const std::vector<FrameSink*>& BusCore::SinksOf(const CanFrame& frame) {
  const uint64_t key =
      frame.id | (frame.extended ? uint64_t{1} << 32 : 0) | (frame.remote ? uint64_t{1} << 33 : 0);
  const auto it = routes_.find(key);
  if (it != routes_.end()) return it->second;
  if (routes_.size() >= kMaxRoutes) routes_.clear();
  std::vector<FrameSink*>& sinks = routes_[key];
  for (const auto& [id, listener] : listeners_) {
    if (std::any_of(listener.filters.begin(), listener.filters.end(),
                    [&](const CanFilter& filter) { return filter.Matches(frame); })) {
      sinks.push_back(listener.sink);
    }
  }
  return sinks;
}

void BusCore::TapLocked(const CanFrame& frame, MonoTime time, bool own) {
  if (taps_.empty()) return;
  const TappedFrame tapped{frame, time, own, false, {}};
  for (FrameTap* tap : taps_) tap->OnFrame(tapped);
}

void BusCore::DeliverRx(const CanFrame& frame, MonoTime time) {
  {
    std::lock_guard stats(stats_);
    ++counters_.frames_received;
  }
  const RxFrame rx{frame, time};
  const Delivery delivery(this);
  TapLocked(frame, time, false);
  for (FrameSink* sink : SinksOf(frame)) sink->OnRx(rx);
}

void BusCore::DeliverOwn(PortId port, uint64_t tag, const CanFrame& frame, MonoTime time) {
  {
    std::lock_guard stats(stats_);
    ++counters_.frames_sent;
  }
  const Delivery delivery(this);
  TapLocked(frame, time, true);
  ReportLocked(port, {tag, TxOutcome::kOnWire, time});
}

void BusCore::DeliverSent(PortId port, uint64_t tag, const CanFrame& frame, MonoTime time) {
  const Delivery delivery(this);
  TapLocked(frame, time, true);
  ReportLocked(port, {tag, TxOutcome::kSent, time});
}

void BusCore::DeliverError(const CanFrame& frame, MonoTime time, std::string_view text) {
  {
    std::lock_guard stats(stats_);
    ++counters_.error_frames;
    counters_.rates.Add(time, {0, 0, 1});
  }
  const Delivery delivery(this);
  const TappedFrame tapped{frame, time, false, true, std::string(text)};
  for (FrameTap* tap : taps_) tap->OnFrame(tapped);
}

void BusCore::CountLine(MonoTime time, const LineUse& use) {
  std::lock_guard stats(stats_);
  counters_.rates.Add(time, use);
}

void BusCore::SetHiddenTraffic(const LineUse& per_second) {
  std::lock_guard stats(stats_);
  counters_.hidden = per_second;
}

void BusCore::CountReceiveDrops(uint64_t drops) {
  std::lock_guard stats(stats_);
  counters_.receive_drops += drops;
}

void BusCore::SetErrorCounters(std::optional<uint32_t> transmit, std::optional<uint32_t> receive) {
  std::lock_guard stats(stats_);
  counters_.transmit_error_counter = transmit;
  counters_.receive_error_counter = receive;
}

std::vector<CanFilter> BusCore::Filters(bool* tapped) const {
  const Delivery delivery(this);
  *tapped = !taps_.empty();
  std::vector<CanFilter> filters;
  for (const auto& [id, listener] : listeners_) {
    filters.insert(filters.end(), listener.filters.begin(), listener.filters.end());
  }
  return filters;
}

}  // namespace canhub
