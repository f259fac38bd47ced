// The one place where our errors become gRPC's.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace grpc {
class Status;
}

namespace canhub {

// The code stays (they are the same numbers), the text stays, and google.rpc.Status with one
// ErrorInfo{reason, domain "canhub", every value the text names} travels beside it. A status
// without a reason gets its code's name as reason; UNKNOWN, which is never ours, becomes INTERNAL.
// Texts are cut at 2 KiB and made valid UTF-8: they travel in HTTP/2 headers.
grpc::Status ToGrpc(const absl::Status& status);

// INVALID_ARGUMENT, FIELD_MISSING: "channel is missing: …".
absl::Status MissingField(std::string_view field, std::string_view expected);
// INVALID_ARGUMENT, FIELD_INVALID.
absl::Status InvalidField(std::string_view field, std::string_view found,
                          std::string_view expected);

}  // namespace canhub
