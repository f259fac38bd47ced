// Errors of decoders: a status whose reason is one of a family's few stable words.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace canhub {

// INVALID_ARGUMENT. `reason` as DeviceLog::CountBadFrame wants it: "short_frame".
absl::Status BadFrame(std::string_view reason, std::string_view text);
// The word again; "" when the status has none.
std::string BadFrameReason(const absl::Status& status);

}  // namespace canhub
