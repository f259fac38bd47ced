#include "daemon/config/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>

#include "daemon/config/quantity.h"

namespace canhub {
namespace {

bool IsHostName(std::string_view host) {
  return !host.empty() && host.size() <= 253 && host.front() != '-' && host.front() != '.' &&
         std::all_of(host.begin(), host.end(),
                     [](unsigned char c) {
                       return (c < 0x80 && std::isalnum(c)) || c == '-' || c == '.';
                     }) &&
         // "300.1.2.3" is a mistyped address, not a name.
         !std::all_of(host.begin(), host.end(),
                      [](unsigned char c) { return std::isdigit(c) || c == '.'; });
}

}  // namespace

absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text) {
  const auto wrong = [] {
    return absl::InvalidArgumentError("an address and a port, like 127.0.0.1:50051 or [::1]:50051");
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  const std::string_view port_text = text.substr(colon + 1);
  std::string host(text.substr(0, colon));
  if (port_text.empty() || port_text.find_first_not_of("0123456789") != std::string_view::npos) {
    return wrong();
  }
  const std::optional<int64_t> port = ParseInteger(port_text);
  if (!port || *port > 65535) return absl::InvalidArgumentError("a port of 0 … 65535");
  Endpoint endpoint{.port = static_cast<uint16_t>(*port)};
  in6_addr six{};
  in_addr four{};
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (inet_pton(AF_INET6, host.c_str(), &six) != 1) {
      return absl::InvalidArgumentError("an IPv6 address between the brackets");
    }
    endpoint.ip_address = true;
    endpoint.loopback = IN6_IS_ADDR_LOOPBACK(&six);
  } else if (inet_pton(AF_INET, host.c_str(), &four) == 1) {
    endpoint.ip_address = true;
    endpoint.loopback = (ntohl(four.s_addr) >> 24) == 127;
  } else if (IsHostName(host)) {
    endpoint.loopback = host == "localhost";
  } else {
    return wrong();
  }
  endpoint.host = host;
  return endpoint;
}

}  // namespace canhub
