// TLS files, read and checked before gRPC sees them: it says only that something is wrong.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "daemon/rpc/server.h"

namespace grpc {
class ServerCredentials;
}

namespace canhub {

// Credentials that demand a client certificate signed by the client CA. INVALID_ARGUMENT names the
// file: unreadable, not PEM, or a key that does not fit the certificate.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeTlsCredentials(const TlsFiles& files);

}  // namespace canhub
