#include "drivers/api/bad_frame.h"

#include "absl/strings/ascii.h"
#include "drivers/api/errors.h"

namespace canhub {

absl::Status BadFrame(std::string_view reason, std::string_view text) {
  return MakeError(absl::StatusCode::kInvalidArgument, absl::AsciiStrToUpper(std::string(reason)),
                   text);
}

std::string BadFrameReason(const absl::Status& status) {
  return absl::AsciiStrToLower(GetErrorInfo(status).reason);
}

}  // namespace canhub
