// The message source of WatchItems.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "canhub/v1/item_service.pb.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/stream.h"

namespace canhub {

struct ItemWatchOptions {
  std::vector<std::string> names;
  Duration min_interval{0};  // zero: none
  Duration max_interval{0};  // zero: none
  ReadingFields fields;
};

// Every match, `synced`, then changes. See MessageSource.
absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchItemsResponse>>> MakeItemWatch(
    RpcContext* rpc, ItemWatchOptions options, Kicks kicks);

// Readings in one message, at most: with names and times about 100 bytes each, far below the 4 MiB
// that a client takes by default.
inline constexpr size_t kMaxReadingsPerMessage = 2000;

}  // namespace canhub
