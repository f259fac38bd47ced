// Errors that carry, beside their text, a stable reason and every value the text names.
// google.rpc.ErrorInfo is made of it in one place (daemon/rpc).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace canhub {

using ErrorFields = std::map<std::string, std::string>;

// `reason` is UPPER_SNAKE_CASE; `text` names who, what, the limit and where it comes from.
absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view text,
                       ErrorFields fields = {});

struct ErrorInfo {
  std::string reason;  // "" when the status carries none
  ErrorFields fields;
};
ErrorInfo GetErrorInfo(const absl::Status& status);

// A status that says: not done, nothing was sent, and the reason lies in the request or the state.
bool IsRefusal(const absl::Status& status);

// The same status with `prefix` before its text and the fields added.
absl::Status Annotate(const absl::Status& status, std::string_view prefix, ErrorFields fields = {});

}  // namespace canhub
