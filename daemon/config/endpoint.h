// Addresses of the network as the YAML has them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace canhub {

struct Endpoint {
  std::string host;  // without brackets
  uint16_t port = 0;
  bool loopback = false;    // only this machine can reach it
  bool ip_address = false;  // false: a name
};

// "127.0.0.1:50051", "[::1]:0", "localhost:80", "pi.lab:29536". INVALID_ARGUMENT: the text says
// what was expected.
absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text);

}  // namespace canhub
