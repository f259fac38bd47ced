#include "daemon/rpc/power_converter_watch.h"

#include <map>
#include <set>
#include <utility>

#include "daemon/rpc/power_converter_target.h"

namespace canhub {
namespace {

class ConverterWatch final : public MessageSource<v1::WatchStateResponse> {
 public:
  ConverterWatch(RpcContext* rpc, std::vector<PowerConverterTarget> targets, Duration min_interval)
      : rpc_(*rpc), targets_(std::move(targets)), min_interval_(min_interval) {}

  absl::Status Open(Kicks kicks) {
    std::vector<std::string> patterns;
    for (const PowerConverterTarget& target : targets_) patterns.push_back(target.id() + "/*");
    auto watch = rpc_.hub->watches().WatchItems(patterns, std::move(kicks.direct));
    if (!watch.ok()) return watch.status();
    watch_ = *std::move(watch);
    return absl::OkStatus();
  }

  bool Next(MonoTime now, v1::WatchStateResponse* out, MonoTime* ask_again) override {
    if (opened_ && !synced_) return Sync(now, out);
    if (now < next_allowed_) {
      *ask_again = next_allowed_;
      return false;
    }
    const WatchBatch batch = watch_->Drain();
    coalesced_ += batch.coalesced;
    std::map<DeviceIndex, std::shared_ptr<const DeviceSnapshot>> changed;
    for (const WatchBatch::Entry& entry : batch.items) {
      changed[entry.ref.device] = entry.snapshot;  // the last one's is the newest
    }
    const bool first = !std::exchange(opened_, true);
    if (changed.empty() && !first) return false;
    const TimeView time(rpc_.hub->clock());
    for (const PowerConverterTarget& target : targets_) {
      const auto found = changed.find(target.index());
      if (found != changed.end()) {
        SetConverterState(target, *found->second, time, out->add_converters());
      } else if (first) {
        // One that has not been heard of has no items yet; it is there all the same.
        SetConverterState(target, *rpc_.hub->cache().Snapshot(target.index()), time,
                          out->add_converters());
      }
    }
    out->set_coalesced_count(std::exchange(coalesced_, 0));
    if (synced_) next_allowed_ = now + min_interval_;
    return true;
  }

 private:
  bool Sync(MonoTime now, v1::WatchStateResponse* out) {
    synced_ = true;
    out->set_synced(true);
    next_allowed_ = now + min_interval_;
    return true;
  }

  RpcContext& rpc_;
  const std::vector<PowerConverterTarget> targets_;
  const Duration min_interval_;
  std::unique_ptr<Watch> watch_;
  bool opened_ = false;
  bool synced_ = false;
  uint64_t coalesced_ = 0;
  MonoTime next_allowed_{};
};

}  // namespace

absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchStateResponse>>> MakeConverterWatch(
    RpcContext* rpc, const v1::WatchStateRequest& request, Kicks kicks) {
  absl::StatusOr<PowerConverters> found =
      FindConverters(*rpc->hub, request.device_id(), /*all=*/true);
  if (!found.ok()) return found.status();
  Duration min_interval{0};
  if (request.has_min_interval()) {
    const absl::StatusOr<Duration> interval =
        ReadDuration(request.min_interval(), "min_interval", Duration(0), std::chrono::hours(24));
    if (!interval.ok()) return interval.status();
    min_interval = *interval;
  }
  auto watch = std::make_unique<ConverterWatch>(rpc, std::move(found->members), min_interval);
  if (absl::Status status = watch->Open(std::move(kicks)); !status.ok()) return status;
  return watch;
}

}  // namespace canhub
