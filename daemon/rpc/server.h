// The gRPC server: all services of canhub.v1, health, reflection, channelz.
//
// No handler blocks a thread. Identities: docs of AccessRules; in-process channels are "inproc".
// A call that is cancelled, or whose client vanishes, does not take its command back: the gate
// has accepted it, the device finishes it, the audit record tells what became of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/hub.h"

namespace grpc {
class Channel;
}

namespace canhub {

// Files in PEM. Clients must show a certificate that the client CA signed.
struct TlsFiles {
  std::string certificate;  // the server's chain
  std::string private_key;
  std::string client_ca;
};

struct ListenAddress {
  // "unix:/run/canhub/canhub.sock" or "127.0.0.1:50051", "[::1]:50051", port 0: any free one.
  std::string address;
  // Unset: no encryption. Whether that is allowed on this address is the configuration's check.
  std::optional<TlsFiles> tls;
};

struct RpcOptions {
  std::vector<ListenAddress> listen;  // empty: in-process channels only

  int max_message_bytes = 1 << 20;  // of a request; larger ones: RESOURCE_EXHAUSTED
  // A client is one connection of one identity.
  int max_streams_per_client = 256;     // open watches
  int max_streams_per_identity = 4096;  // over all its connections
  // Calls per second; 0: unlimited. Emergency off and lease keep-alives are never limited.
  double max_calls_per_second = 20000;
  double call_burst = 20000;               // the bucket's depth
  int max_connections_per_identity = 256;  // Unix sockets only
  // A connection on which nothing was received for the first is asked for a sign of life; without
  // an answer within the second it is closed and its watches are released.
  std::chrono::milliseconds keepalive_time{10000};
  std::chrono::milliseconds keepalive_timeout{5000};
  // True: a thread of its own steps the timers (watch intervals, health). False: on a virtual
  // clock, steppables() are stepped by hand.
  bool start_threads = true;
};

struct ReloadOutcome {
  std::vector<std::string> applied;        // one line each
  std::vector<std::string> needs_restart;  // one line each
};

// What the services need from the program around them. All functions are called on gRPC threads
// and are thread-safe; an empty one makes its call answer UNIMPLEMENTED.
struct RpcHooks {
  // INVALID_ARGUMENT: the file is wrong; nothing was changed. May take milliseconds (reads a
  // file): it runs on a thread of its own, never two at a time.
  std::function<absl::StatusOr<ReloadOutcome>(bool check_only)> reload;
  std::function<LogLevel(LogLevel)> set_log_level;  // returns the level before
  // By device id; SimulationService exists only when there are any.
  std::map<std::string, SimulatorAccess*> simulators;
  // Moves a stepped clock; empty on the real clock. Runs on a thread of its own, never two at a
  // time.
  std::function<absl::Status(Duration by)> advance;
  std::string version;
  std::string config_file;
  std::vector<std::string> drivers;  // names of all drivers in this program
  std::function<void(LogLevel, std::string_view)> log;
};

class RpcServer {
 public:
  // `hub` outlives the server; its threads need not run yet. Listens when it returns.
  // UNAVAILABLE: an address cannot be listened on; INVALID_ARGUMENT: malformed address, unreadable
  // or unfit TLS file (the text names it).
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(Hub* hub, RpcHooks hooks,
                                                          RpcOptions options);
  ~RpcServer();  // Shutdown(0) if that was not done

  // In the order of RpcOptions::listen, with the ports chosen: "127.0.0.1:40123".
  std::vector<std::string> addresses() const;
  // Accepts no more calls, ends all watches, waits at most `grace` for calls under way, then
  // answers these with UNAVAILABLE. Removes Unix sockets. Before Hub::Shutdown.
  void Shutdown(std::chrono::milliseconds grace);
  std::shared_ptr<grpc::Channel> InProcessChannel();
  // For a virtual clock (start_threads = false): to be stepped after the hub's own.
  std::vector<Steppable*> steppables();
  // For a virtual clock: unary calls wait, and nothing but the clock can bring them on.
  bool AwaitsTime() const;

  struct Impl;

 private:
  explicit RpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace canhub
