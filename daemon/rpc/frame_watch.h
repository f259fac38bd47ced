// The message source of WatchFrames.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "canhub/v1/bus_service.pb.h"
#include "daemon/rpc/stream.h"

namespace canhub {

struct FrameSelection {
  struct Filter {
    uint32_t id = 0;
    uint32_t mask = 0;
    std::optional<bool> extended;
  };
  std::vector<Filter> filters;  // empty: all frames
  bool error_frames = false;

  bool Passes(const TappedFrame& frame) const;
};
// INVALID_ARGUMENT: a filter beyond 29 bits, or that nothing can pass.
absl::StatusOr<FrameSelection> ReadSelection(const v1::WatchFramesRequest& request);

// Frames that a slow reader may be behind: about 4 s of a full 125 kbit/s line, and 0.3 MB.
inline constexpr size_t kFrameRing = 4096;
inline constexpr size_t kMaxFramesPerMessage = 256;

// Keeps the newest kFrameRing frames and counts those lost. See MessageSource.
std::unique_ptr<MessageSource<v1::WatchFramesResponse>> MakeFrameWatch(
    RpcContext* rpc, std::vector<const BusSetup*> buses, FrameSelection selection, Kicks kicks);

}  // namespace canhub
