#include "daemon/rpc/frame_watch.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/convert.h"

namespace canhub {
namespace {

constexpr int kMaxFilters = 256;

class FrameWatch final : public MessageSource<v1::WatchFramesResponse> {
 public:
  FrameWatch(RpcContext* rpc, std::vector<const BusSetup*> buses, FrameSelection selection,
             Kicks kicks)
      : rpc_(*rpc), selection_(std::move(selection)), kicks_(std::move(kicks)) {
    taps_.reserve(buses.size());
    for (const BusSetup* bus : buses) taps_.push_back(std::make_unique<Tap>(this, bus));
  }

  bool Next(MonoTime, v1::WatchFramesResponse* out, MonoTime*) override {
    std::vector<Entry> entries;
    {
      MutexLock lock(&mutex_);
      const size_t count = std::min(ring_.size(), kMaxFramesPerMessage);
      entries.assign(std::make_move_iterator(ring_.begin()),
                     std::make_move_iterator(ring_.begin() + static_cast<ptrdiff_t>(count)));
      ring_.erase(ring_.begin(), ring_.begin() + static_cast<ptrdiff_t>(count));
      if (entries.empty()) return false;
      out->set_lost_count(std::exchange(lost_, 0));
    }
    const TimeView time(rpc_.hub->clock());
    for (const Entry& entry : entries) {
      const TappedFrame& tapped = entry.frame;
      v1::BusFrame* frame = out->add_frames();
      frame->set_bus_id(entry.bus->id);
      const WallTime wall = time.ToWall(tapped.time);
      SetTimestamp(wall, frame->mutable_time());
      frame->set_own(tapped.own);
      frame->set_error(tapped.error);
      if (tapped.error) {
        frame->set_text(CleanText(tapped.error_text));
        continue;
      }
      v1::Frame* can = frame->mutable_frame();
      can->set_id(tapped.frame.id);
      can->set_extended(tapped.frame.extended);
      can->set_remote(tapped.frame.remote);
      const std::span<const uint8_t> payload = tapped.frame.payload();
      can->set_data(payload.data(), payload.size());
      frame->set_text(FormatCandumpLine(wall, entry.bus->id, tapped.frame));
    }
    return true;
  }

 private:
  struct Entry {
    const BusSetup* bus;
    TappedFrame frame;
  };
  class Tap final : public FrameTap {
   public:
    Tap(FrameWatch* owner, const BusSetup* bus) : owner_(owner), bus_(bus) {
      bus_->bus->AddTap(this);
    }
    ~Tap() override { bus_->bus->RemoveTap(this); }
    void OnFrame(const TappedFrame& frame) override { owner_->Take(bus_, frame); }

   private:
    FrameWatch* const owner_;
    const BusSetup* const bus_;
  };

  // On the bus's thread: two short locks at most, no allocation beyond the ring's.
  void Take(const BusSetup* bus, const TappedFrame& frame) {
    if (!selection_.Passes(frame)) return;
    bool was_empty = false;
    {
      MutexLock lock(&mutex_);
      was_empty = ring_.empty();
      if (ring_.size() >= kFrameRing) {
        ring_.pop_front();
        ++lost_;
      }
      ring_.push_back({bus, frame});
    }
    // With frames waiting, a write is in flight or a kick on its way; both come back to Next.
    if (was_empty) kicks_.posted();
  }

  RpcContext& rpc_;
  const FrameSelection selection_;
  const Kicks kicks_;
  Mutex mutex_;
  std::deque<Entry> ring_ ABSL_GUARDED_BY(mutex_);
  uint64_t lost_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<Tap>> taps_;  // last: detached before the rest goes
};

}  // namespace

bool FrameSelection::Passes(const TappedFrame& tapped) const {
  if (tapped.error) return error_frames;
  if (filters.empty()) return true;
  return std::any_of(filters.begin(), filters.end(), [&](const Filter& filter) {
    return (tapped.frame.id & filter.mask) == (filter.id & filter.mask) &&
           filter.extended.value_or(tapped.frame.extended) == tapped.frame.extended;
  });
}

absl::StatusOr<FrameSelection> ReadSelection(const v1::WatchFramesRequest& request) {
  constexpr uint32_t kLargestId = 0x1FFFFFFF;
  FrameSelection selection;
  selection.error_frames = request.error_frames();
  if (request.filters_size() > kMaxFilters) {
    return InvalidField("filters", std::to_string(request.filters_size()),
                        "at most " + std::to_string(kMaxFilters));
  }
  for (int i = 0; i < request.filters_size(); ++i) {
    const v1::FrameFilter& in = request.filters(i);
    const std::string place = "filters[" + std::to_string(i) + "].";
    if (in.id() > kLargestId) {
      return InvalidField(place + "id", std::to_string(in.id()), "at most 29 bits");
    }
    if (in.mask() > kLargestId) {
      return InvalidField(place + "mask", std::to_string(in.mask()), "at most 29 bits");
    }
    if (in.has_extended() && !in.extended() && (in.id() & in.mask()) > 0x7FF) {
      return InvalidField(place + "id", std::to_string(in.id()),
                          "at most 11 bits, as extended is false");
    }
    FrameSelection::Filter filter{in.id(), in.mask(), std::nullopt};
    if (in.has_extended()) filter.extended = in.extended();
    selection.filters.push_back(filter);
  }
  return selection;
}

std::unique_ptr<MessageSource<v1::WatchFramesResponse>> MakeFrameWatch(
    RpcContext* rpc, std::vector<const BusSetup*> buses, FrameSelection selection, Kicks kicks) {
  return std::make_unique<FrameWatch>(rpc, std::move(buses), std::move(selection),
                                      std::move(kicks));
}

}  // namespace canhub
