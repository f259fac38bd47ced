#include "drivers/api/errors.h"

#include <optional>

#include "absl/strings/cord.h"

namespace canhub {
namespace {

// The payload is the reason and the fields, each key and value ended by a NUL byte.
constexpr char kPayloadUrl[] = "canhub/error-info";

void SetInfo(absl::Status* status, const ErrorInfo& info) {
  std::string payload = info.reason;
  payload.push_back('\0');
  for (const auto& [key, value] : info.fields) {
    payload.append(key).push_back('\0');
    payload.append(value).push_back('\0');
  }
  status->SetPayload(kPayloadUrl, absl::Cord(payload));
}

}  // namespace

absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view text,
                       ErrorFields fields) {
  absl::Status status(code, absl::string_view(text.data(), text.size()));
  SetInfo(&status, {std::string(reason), std::move(fields)});
  return status;
}

ErrorInfo GetErrorInfo(const absl::Status& status) {
  ErrorInfo info;
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return info;
  const std::string bytes(*payload);
  size_t at = 0;
  const auto next = [&]() -> std::string {
    const size_t end = bytes.find('\0', at);
    if (end == std::string::npos) {
      at = bytes.size();
      return "";
    }
    std::string part = bytes.substr(at, end - at);
    at = end + 1;
    return part;
  };
  info.reason = next();
  while (at < bytes.size()) {
    std::string key = next();
    info.fields[std::move(key)] = next();
  }
  return info;
}

bool IsRefusal(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
      return true;
    default:
      return false;
  }
}

absl::Status Annotate(const absl::Status& status, std::string_view prefix, ErrorFields fields) {
  if (status.ok()) return status;
  ErrorInfo info = GetErrorInfo(status);
  info.fields.merge(fields);
  const absl::string_view message = status.message();
  std::string text(prefix);
  text.append(message.data(), message.size());
  absl::Status result(status.code(), text);
  SetInfo(&result, info);
  return result;
}

}  // namespace canhub
