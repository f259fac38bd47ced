// The way to a daemon: its address, the channel, deadlines.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "clients/canhubctl/clock.h"
#include "clients/canhubctl/failure.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace canhub::ctl {

struct Address {
  std::string target;  // "unix:/run/canhub/canhub.sock", "127.0.0.1:50051"
  std::string origin;  // where it comes from, for error texts
};

inline constexpr char kDefaultSocket[] = "/run/canhub/canhub.sock";
inline constexpr char kDefaultTcp[] = "127.0.0.1:50051";

// --address, else CANHUB_ADDRESS, else the daemon's Unix socket if it exists, else loopback TCP.
// A bare path is a Unix socket.
Address ResolveAddress(const std::string& option, const char* environment,
                       const std::function<bool(const std::string&)>& exists);

// Files with PEM; all empty: no TLS. Certificate and key come together.
struct TlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;
  bool empty() const { return ca.empty() && certificate.empty() && key.empty(); }
};

class Connection {
 public:
  // Does not connect yet. Nothing when a TLS file is missing or cannot be read; `failure` says why.
  static std::unique_ptr<Connection> Open(Address address, const TlsFiles& tls, Failure* failure);

  const Address& address() const { return address_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // As FailureFromStatus, but a call that never reached a daemon says where it was tried and what
  // to do.
  Failure Explain(const grpc::Status& status) const;

 private:
  Connection(Address address, bool tls, std::shared_ptr<grpc::Channel> channel)
      : address_(std::move(address)), tls_(tls), channel_(std::move(channel)) {}
  const Address address_;
  const bool tls_;
  const std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace canhub::ctl
