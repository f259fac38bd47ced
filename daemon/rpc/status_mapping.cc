#include "daemon/rpc/status_mapping.h"

#include <grpcpp/support/status.h>

#include <string>

#include "daemon/rpc/clean_text.h"
#include "drivers/api/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace canhub {
namespace {

// HTTP/2 peers commonly refuse header lists above 8 KiB (gRPC's default soft limit); the text is
// sent twice, in grpc-message and in the details.
constexpr size_t kMaxText = 2048;
constexpr size_t kMaxField = 512;

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  absl::StatusCode code = status.code();
  if (code == absl::StatusCode::kUnknown) code = absl::StatusCode::kInternal;
  const ErrorInfo found = GetErrorInfo(status);

  google::rpc::ErrorInfo info;
  info.set_reason(found.reason.empty() ? absl::StatusCodeToString(code)
                                       : CleanText(found.reason, kMaxField));
  info.set_domain("canhub");
  for (const auto& [key, value] : found.fields) {
    (*info.mutable_metadata())[CleanText(key, kMaxField)] = CleanText(value, kMaxField);
  }
  const std::string text = CleanText({status.message().data(), status.message().size()}, kMaxText);
  google::rpc::Status details;
  details.set_code(static_cast<int>(code));
  details.set_message(text);
  details.add_details()->PackFrom(info);
  return grpc::Status(static_cast<grpc::StatusCode>(code), text, details.SerializeAsString());
}

absl::Status MissingField(std::string_view field, std::string_view expected) {
  return MakeError(absl::StatusCode::kInvalidArgument, "FIELD_MISSING",
                   std::string(field) + " is missing; expected " + std::string(expected),
                   {{"field", std::string(field)}, {"expected", std::string(expected)}});
}

absl::Status InvalidField(std::string_view field, std::string_view found,
                          std::string_view expected) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, "FIELD_INVALID",
      std::string(field) + ": found " + std::string(found) + ", expected " + std::string(expected),
      {{"field", std::string(field)},
       {"found", std::string(found)},
       {"expected", std::string(expected)}});
}

}  // namespace canhub
