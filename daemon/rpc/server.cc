#include "daemon/rpc/server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>
#include <utility>

#include "daemon/core/step_thread.h"
#include "daemon/rpc/health.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/tls.h"
#include "daemon/rpc/unix_listener.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
// Reflection and channelz are synchronous services of gRPC: each of their open streams holds a
// thread. Beyond this many they are refused with RESOURCE_EXHAUSTED.
constexpr int kMaxSyncThreads = 16;

absl::Status CannotListen(const std::string& address, const std::string& why) {
  return MakeError(absl::StatusCode::kUnavailable, "CANNOT_LISTEN",
                   address + ": cannot listen: " + why, {{"address", address}, {"why", why}});
}

absl::Status WrongAddress(const std::string& address) {
  return MakeError(absl::StatusCode::kInvalidArgument, "ADDRESS",
                   "listen: found \"" + address +
                       "\", expected \"unix:/path\", \"host:port\" or \"[ipv6]:port\"",
                   {{"address", address}});
}

struct HostPort {
  std::string host;
  uint16_t port = 0;
};

absl::StatusOr<HostPort> ParseHostPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return WrongAddress(address);
  HostPort parsed;
  parsed.host = address.substr(0, colon);
  if (parsed.host.front() == '[') {
    if (parsed.host.back() != ']') return WrongAddress(address);
    parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  } else if (parsed.host.find(':') != std::string::npos) {
    return WrongAddress(address);  // an IPv6 address needs its brackets
  }
  const char* end = address.data() + address.size();
  const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, parsed.port);
  if (error != std::errc() || stop != end || parsed.host.empty()) return WrongAddress(address);
  return parsed;
}

// Why gRPC could not listen there: it does not say. "" when a socket of our own can.
std::string WhyNot(const HostPort& wanted) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error =
          getaddrinfo(wanted.host.c_str(), std::to_string(wanted.port).c_str(), &hints, &found);
      error != 0) {
    return gai_strerror(error);
  }
  std::string why;
  for (const addrinfo* a = found; a != nullptr && why.empty(); a = a->ai_next) {
    const int probe = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
    if (probe < 0) continue;
    const int on = 1;
    setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(probe, a->ai_addr, a->ai_addrlen) != 0 || listen(probe, 1) != 0) {
      why = std::strerror(errno);
    }
    close(probe);
  }
  freeaddrinfo(found);
  return why;
}

void InitPluginsOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::channelz::experimental::InitChannelzService();
  });
}

// By the names under which they report their health.
struct ServiceEntry {
  const char* name;
  std::unique_ptr<grpc::Service> (*make)(RpcContext*);
};
constexpr ServiceEntry kServices[] = {
    {"canhub.v1.HubService", &MakeHubService},
    {"canhub.v1.DeviceService", &MakeDeviceService},
    {"canhub.v1.ItemService", &MakeItemService},
    {"canhub.v1.BusService", &MakeBusService},
    {"canhub.v1.LeaseService", &MakeLeaseService},
    {"canhub.v1.AlarmService", &MakeAlarmService},
    {"canhub.v1.InterlockService", &MakeInterlockService},
    {"canhub.v1.HighVoltageService", &MakeHighVoltageService},
    {"canhub.v1.PowerConverterService", &MakePowerConverterService},
    {"canhub.v1.StuderService", &MakeStuderService},
    {"canhub.v1.BatteryService", &MakeBatteryService},
    {"canhub.v1.SimulationService", &MakeSimulationService},
};

}  // namespace

struct RpcServer::Impl {
  Impl(Hub* hub, RpcHooks hooks, const RpcOptions& options) : rpc(hub, std::move(hooks), options) {}

  void Log(LogLevel level, const std::string& text) const {
    if (rpc.hooks.log) rpc.hooks.log(level, text);
  }

  RpcContext rpc;
  std::vector<std::string> addresses;
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<grpc::Server> server;
  std::vector<std::unique_ptr<UnixListener>> unix_listeners;
  std::unique_ptr<HealthReporter> health;
  std::unique_ptr<StepThread> timer_thread;
  bool shut_down = false;
};

RpcServer::RpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(Hub* hub, RpcHooks hooks,
                                                            RpcOptions options) {
  InitPluginsOnce();
  auto impl = std::make_unique<Impl>(hub, std::move(hooks), options);
  RpcContext* rpc = &impl->rpc;

  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  // Answers are bounded by what clients take; a long list is theirs to narrow.
  builder.SetMaxSendMessageSize(-1);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  grpc::ResourceQuota quota("canhub");
  quota.SetMaxThreads(kMaxSyncThreads);
  builder.SetResourceQuota(quota);
  // Two daemons on one port would share its clients between them, unnoticed.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // One connection's calls, watches included; a margin for calls beside the watches.
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             options.max_streams_per_client + 1024);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                             static_cast<int>(options.keepalive_time.count()));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             static_cast<int>(options.keepalive_timeout.count()));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients may ask for signs of life twice as often as we do before they are taken for abusers.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             static_cast<int>(options.keepalive_time.count() / 2));

  std::vector<std::string> names;
  for (const ServiceEntry& entry : kServices) {
    // Where nothing is simulated, there is nothing to do for it.
    if (entry.make == &MakeSimulationService && rpc->hooks.simulators.empty()) continue;
    impl->services.push_back(entry.make(rpc));
    names.emplace_back(entry.name);
  }
  for (const auto& service : impl->services) builder.RegisterService(service.get());

  impl->addresses.resize(options.listen.size());
  std::vector<int> ports(options.listen.size(), -1);
  std::vector<HostPort> tcp(options.listen.size());
  for (size_t i = 0; i < options.listen.size(); ++i) {
    const ListenAddress& listen = options.listen[i];
    if (listen.address.starts_with(kUnixPrefix)) {
      // Unix sockets need no TLS: the kernel vouches for the peer.
      auto listener = UnixListener::Listen(listen.address.substr(kUnixPrefix.size()));
      if (!listener.ok()) return listener.status();
      impl->unix_listeners.push_back(*std::move(listener));
      impl->addresses[i] = listen.address;
      continue;
    }
    absl::StatusOr<HostPort> parsed = ParseHostPort(listen.address);
    if (!parsed.ok()) return parsed.status();
    tcp[i] = *std::move(parsed);
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    if (listen.tls) {
      auto made = MakeTlsCredentials(*listen.tls);
      if (!made.ok()) return Annotate(made.status(), listen.address + ": ");
      credentials = *std::move(made);
    }
    builder.AddListeningPort(listen.address, std::move(credentials), &ports[i]);
  }

  impl->server = builder.BuildAndStart();
  for (size_t i = 0; i < options.listen.size(); ++i) {
    if (!impl->addresses[i].empty()) continue;  // a Unix socket
    if (impl->server == nullptr || ports[i] <= 0) {
      const std::string why = WhyNot(tcp[i]);
      if (!why.empty()) return CannotListen(options.listen[i].address, why);
      if (impl->server != nullptr) {
        return CannotListen(options.listen[i].address, "gRPC refused it");
      }
      continue;
    }
    const std::string& address = options.listen[i].address;
    impl->addresses[i] = address.substr(0, address.rfind(':') + 1) + std::to_string(ports[i]);
  }
  if (impl->server == nullptr) {
    return MakeError(absl::StatusCode::kUnavailable, "CANNOT_START",
                     "gRPC did not start its server; its own log says why");
  }

  if (options.start_threads) {
    absl::StatusOr<std::unique_ptr<StepThread>> thread =
        StepThread::Start(&hub->clock(), {&rpc->timers}, {.name = "rpc timers"});
    if (!thread.ok()) return thread.status();
    impl->timer_thread = *std::move(thread);
  }
  impl->health =
      std::make_unique<HealthReporter>(rpc, impl->server->GetHealthCheckService(), names);
  for (const auto& listener : impl->unix_listeners) {
    listener->Start(
        &rpc->descriptors,
        [server = impl->server.get()](int fd) { grpc::AddInsecureChannelFromFd(server, fd); },
        rpc->hooks.log);
  }
  return std::unique_ptr<RpcServer>(new RpcServer(std::move(impl)));
}

RpcServer::~RpcServer() { Shutdown(std::chrono::milliseconds(0)); }

std::vector<std::string> RpcServer::addresses() const { return impl_->addresses; }

void RpcServer::Shutdown(std::chrono::milliseconds grace) {
  if (std::exchange(impl_->shut_down, true)) return;
  // No new connection comes in through a Unix socket from here on; one that is handed over to a
  // server shut down would be lost anyway.
  for (const auto& listener : impl_->unix_listeners) listener->Stop();
  // Watches never end by themselves.
  impl_->rpc.watches.CloseAll(MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                                        "canhubd is shutting down; watch again later"));
  // gRPC waits by its own clock; calls that are not over then are cancelled, which ends them.
  impl_->server->Shutdown(gpr_time_from_millis(grace.count(), GPR_TIMESPAN));
  impl_->rpc.program.Stop();
  impl_->rpc.disk.Stop();
  impl_->rpc.simulation.Stop();
  impl_->timer_thread.reset();
  impl_->health.reset();
}

std::shared_ptr<grpc::Channel> RpcServer::InProcessChannel() {
  impl_->rpc.in_process = true;
  return impl_->server->InProcessChannel(grpc::ChannelArguments());
}

bool RpcServer::AwaitsTime() const {
  // In this order: a call that waits was entered before its handler was done.
  return impl_->rpc.live.size() > 0 && impl_->rpc.handling == 0;
}

std::vector<Steppable*> RpcServer::steppables() { return {&impl_->rpc.timers}; }

}  // namespace canhub
