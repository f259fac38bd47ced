#include "daemon/bus/tx_pacer.h"

#include <algorithm>
#include <utility>

namespace canhub {

void TxPacer::OnWritten(TxQueue::Entry entry, MonoTime now) {
  in_flight_.push_back({std::move(entry), now});
  if (next_check_ == kNever) next_check_ = now + kEchoTimeout;
}

std::optional<TxQueue::Entry> TxPacer::OnEcho(const CanFrame& frame) {
  const auto it = std::find_if(in_flight_.begin(), in_flight_.end(), [&](const Written& written) {
    return written.entry.tx.frame == frame;
  });
  if (it == in_flight_.end()) return std::nullopt;
  TxQueue::Entry entry = std::move(it->entry);
  in_flight_.erase(it);
  next_check_ = in_flight_.empty() ? kNever : in_flight_.front().when + kEchoTimeout;
  return entry;
}

std::vector<TxQueue::Entry> TxPacer::Check(MonoTime now, Fate fate, Duration patience) {
  std::vector<TxQueue::Entry> lost;
  if (now < next_check_) return lost;
  if (fate == Fate::kSent || (fate == Fate::kUnknown && Waiting(now) >= patience)) {
    lost = Clear();
    lost_echoes_ += lost.size();
    return lost;
  }
  next_check_ = now + kEchoTimeout;
  return lost;
}

std::vector<TxQueue::Entry> TxPacer::Clear() {
  std::vector<TxQueue::Entry> entries;
  for (Written& written : in_flight_) entries.push_back(std::move(written.entry));
  in_flight_.clear();
  next_check_ = kNever;
  return entries;
}

Duration TxPacer::Waiting(MonoTime now) const {
  return in_flight_.empty() ? Duration::zero() : now - in_flight_.front().when;
}

}  // namespace canhub
