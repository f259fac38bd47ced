#include "daemon/rpc/item_watch.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "canhub/v1/item_service.pb.h"
#include "daemon/rpc/item_query.h"

namespace canhub {
namespace {

class ItemWatch final : public MessageSource<grpc::ByteBuffer> {
 public:
  ItemWatch(RpcContext* rpc, ItemWatchOptions options) : rpc_(*rpc), options_(std::move(options)) {}

  absl::Status Open(Kicks kicks) {
    auto watch = rpc_.hub->watches().WatchItems(options_.names, std::move(kicks.direct));
    if (!watch.ok()) return watch.status();
    watch_ = *std::move(watch);
    return absl::OkStatus();
  }

  bool Next(MonoTime now, grpc::ByteBuffer* out, MonoTime* ask_again) override {
    if (!opened_) {
      opened_ = true;
      Take(watch_->Drain());
      next_full_ = now + options_.max_interval;
    }
    if (at_ == batch_.size()) {
      if (!synced_) {
        synced_ = true;
        v1::WatchItemsResponse synced;
        synced.set_synced(true);
        const grpc::Slice bytes = ToSlice(synced);
        *out = grpc::ByteBuffer(&bytes, 1);
        next_allowed_ = now + options_.min_interval;
        return true;
      }
      if (now < next_allowed_) {
        *ask_again = next_allowed_;
        return false;
      }
      Take(watch_->Drain());
      if (options_.max_interval > Duration(0) && now >= next_full_) {
        TakeAll();
        next_full_ = now + options_.max_interval;
      }
      if (batch_.empty()) {
        *ask_again = options_.max_interval > Duration(0) ? next_full_ : kNever;
        return false;
      }
      next_allowed_ = now + options_.min_interval;
    }
    // A batch that needs several messages goes out without pause: they are one update.
    const auto entries = absl::MakeConstSpan(batch_).subspan(at_, kMaxReadingsPerMessage);
    v1::WatchItemsResponse own;  // what no other stream's message has
    own.set_coalesced_count(std::exchange(coalesced_, 0));
    const grpc::Slice bytes[] = {options_.readings->Bytes(entries), ToSlice(own)};
    *out = grpc::ByteBuffer(bytes, std::size(bytes));
    at_ += entries.size();
    if (at_ == batch_.size()) Clear();
    return true;
  }

 private:
  void Clear() {
    batch_.clear();
    at_ = 0;
  }
  void Take(WatchBatch batch) {
    Clear();
    batch_ = std::move(batch.items);
    coalesced_ += batch.coalesced;
  }
  // Every match as it is now; what has just been drained is among it.
  void TakeAll() {
    const absl::StatusOr<ItemMatches> matches =
        MatchItems(rpc_.hub->cache(), options_.names, Unmatched::kIgnore);
    if (!matches.ok()) return;  // the patterns were parsed when the watch was opened
    std::map<DeviceIndex, std::shared_ptr<const DeviceSnapshot>> snapshots(
        matches->snapshots.begin(), matches->snapshots.end());
    std::set<ItemRef> seen;
    Clear();
    for (const ItemMatch& match : matches->items) {
      const ItemRef ref{match.device, match.item};
      if (seen.insert(ref).second) batch_.push_back({ref, snapshots[match.device]});
    }
  }

  RpcContext& rpc_;
  const ItemWatchOptions options_;
  std::unique_ptr<Watch> watch_;
  std::vector<WatchBatch::Entry> batch_;
  size_t at_ = 0;  // sent so far
  uint64_t coalesced_ = 0;
  bool opened_ = false;
  bool synced_ = false;
  MonoTime next_allowed_{};
  MonoTime next_full_ = kNever;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MessageSource<grpc::ByteBuffer>>> MakeItemWatch(
    RpcContext* rpc, ItemWatchOptions options, Kicks kicks) {
  auto watch = std::make_unique<ItemWatch>(rpc, std::move(options));
  const absl::Status status = watch->Open(std::move(kicks));
  if (!status.ok()) return status;
  return watch;
}

}  // namespace canhub
