// The message source of PowerConverterService.WatchState.
#pragma once

#include <memory>

#include "canhub/v1/power_converter_service.pb.h"
#include "daemon/rpc/stream.h"

namespace canhub {

// NOT_FOUND, UNIMPLEMENTED, INVALID_ARGUMENT.
absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchStateResponse>>> MakeConverterWatch(
    RpcContext* rpc, const v1::WatchStateRequest& request, Kicks kicks);

}  // namespace canhub
