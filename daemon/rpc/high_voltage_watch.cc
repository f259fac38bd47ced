#include "daemon/rpc/high_voltage_watch.h"

#include <set>
#include <utility>

#include "daemon/rpc/high_voltage_target.h"
#include "daemon/rpc/high_voltage_view.h"

namespace canhub {
namespace {

class ChannelWatch final : public MessageSource<v1::WatchChannelsResponse> {
 public:
  ChannelWatch(RpcContext* rpc, std::set<int> channels, Duration min_interval)
      : rpc_(*rpc), channels_(std::move(channels)), min_interval_(min_interval) {}

  absl::Status Open(const std::string& device_id, Kicks kicks) {
    auto watch = rpc_.hub->watches().WatchItems(
        {device_id + "/" + high_voltage::kChannelBlock + "*.*"}, std::move(kicks.direct));
    if (!watch.ok()) return watch.status();
    watch_ = *std::move(watch);
    return absl::OkStatus();
  }

  bool Next(MonoTime now, v1::WatchChannelsResponse* out, MonoTime* ask_again) override {
    if (opened_ && !synced_) return Sync(now, out);
    if (now < next_allowed_) {
      *ask_again = next_allowed_;
      return false;
    }
    // Changes of channels that were not asked for are drained and dropped.
    while (true) {
      const WatchBatch batch = watch_->Drain();
      const bool first = !std::exchange(opened_, true);
      coalesced_ += batch.coalesced;
      if (batch.items.empty()) return first ? Sync(now, out) : false;
      // All entries are of one device; the last one's snapshot is the newest.
      const TimeView time(rpc_.hub->clock());
      const HighVoltageView view(*batch.items.back().snapshot, time);
      std::set<int> changed;
      for (const WatchBatch::Entry& entry : batch.items) {
        const std::optional<int> channel = view.ChannelOf(entry.ref.item);
        if (channel && (channels_.empty() || channels_.contains(*channel))) {
          changed.insert(*channel);
        }
      }
      if (changed.empty()) {
        if (first) return Sync(now, out);
        continue;
      }
      for (const int channel : changed) view.SetChannel(channel, out->add_channels());
      out->set_coalesced_count(std::exchange(coalesced_, 0));
      if (synced_) next_allowed_ = now + min_interval_;
      return true;
    }
  }

 private:
  bool Sync(MonoTime now, v1::WatchChannelsResponse* out) {
    synced_ = true;
    out->set_synced(true);
    next_allowed_ = now + min_interval_;
    return true;
  }

  RpcContext& rpc_;
  const std::set<int> channels_;  // empty: all
  const Duration min_interval_;
  std::unique_ptr<Watch> watch_;
  bool opened_ = false;
  bool synced_ = false;
  uint64_t coalesced_ = 0;
  MonoTime next_allowed_{};
};

}  // namespace

absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchChannelsResponse>>> MakeChannelWatch(
    RpcContext* rpc, const v1::WatchChannelsRequest& request, Kicks kicks) {
  const absl::StatusOr<HighVoltageTarget> target =
      HighVoltageTarget::Find(*rpc->hub, rpc->hub->cache(), request.device_id());
  if (!target.ok()) return target.status();
  if (absl::Status module = target->RequireModule(); !module.ok()) return module;
  std::set<int> channels;
  for (const uint32_t channel : request.channels()) {
    if (target->channel_count() > 0) {
      if (absl::Status exists = target->RequireChannel(channel); !exists.ok()) return exists;
    } else if (channel > 255) {
      // The protocol's channel numbers are bytes; more is a mistake even before the module is
      // known.
      return InvalidField("channels", std::to_string(channel), "0 … 255");
    }
    channels.insert(static_cast<int>(channel));
  }
  const absl::StatusOr<Duration> min_interval = ReadMinInterval(request);
  if (!min_interval.ok()) return min_interval.status();
  auto watch = std::make_unique<ChannelWatch>(rpc, std::move(channels), *min_interval);
  const absl::Status status = watch->Open(target->id(), std::move(kicks));
  if (!status.ok()) return status;
  return watch;
}

}  // namespace canhub
