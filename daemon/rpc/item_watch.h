// The message source of WatchItems.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/support/byte_buffer.h>

#include "daemon/rpc/shared_readings.h"
#include "daemon/rpc/stream.h"

namespace canhub {

struct ItemWatchOptions {
  std::vector<std::string> names;
  Duration min_interval{0};                  // zero: none
  Duration max_interval{0};                  // zero: none
  std::shared_ptr<SharedReadings> readings;  // of these names
};

// Every match, `synced`, then changes, each message a WatchItemsResponse's bytes. See
// MessageSource.
absl::StatusOr<std::unique_ptr<MessageSource<grpc::ByteBuffer>>> MakeItemWatch(
    RpcContext* rpc, ItemWatchOptions options, Kicks kicks);

// Readings in one message, at most: with names and times about 100 bytes each, far below the 4 MiB
// that a client takes by default.
inline constexpr size_t kMaxReadingsPerMessage = 2000;

}  // namespace canhub
