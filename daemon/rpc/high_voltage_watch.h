// The message source of WatchChannels.
#pragma once

#include <memory>

#include "canhub/v1/high_voltage_service.pb.h"
#include "daemon/rpc/stream.h"

namespace canhub {

// NOT_FOUND, UNIMPLEMENTED, INVALID_ARGUMENT. A module that is not identified yet may be watched:
// its channels come when they are known.
absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchChannelsResponse>>> MakeChannelWatch(
    RpcContext* rpc, const v1::WatchChannelsRequest& request, Kicks kicks);

}  // namespace canhub
