#include "tests/bench/load_lab.h"

#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "canhub/v1/hub_service.grpc.pb.h"

namespace canhub::bench {
namespace {

// The line's addresses go from 0 to 63.
constexpr int kDevicesPerLine = 63;

// For a moment nobody else's.
int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  close(fd);
  return ntohs(address.sin_port);
}

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "canhub-load: %s\n", what.c_str());
  std::exit(1);
}

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20))) {
    Fail("no connection to " + target);
  }
  return channel;
}

Server::Server(std::vector<std::string> command, Child::Options options)
    : process_(command, options) {
  for (std::string& target : targets_) {
    const std::optional<std::string> address = process_.WaitForLine("listening on ");
    if (!address) Fail(command[0] + " does not listen; see " + options.log);
    target = *address;
  }
}

std::string FreshFolder(const Settings& settings, const std::string& name) {
  const std::string folder = settings.work + "/" + name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

std::unique_ptr<Server> StartFloor(const Settings& settings, double paced_hz) {
  const std::string folder = FreshFolder(settings, "floor");
  return std::make_unique<Server>(
      std::vector<std::string>{settings.bin + "/canhub-floor", "--listen",
                               "unix:" + folder + "/floor.sock", "--listen", "127.0.0.1:0",
                               "--paced-hz", std::to_string(paced_hz)},
      Child::Options{.core = settings.server_core, .log = folder + "/log"});
}

std::string Lab::WriteConfig(const std::string& folder, const LabShape& shape) {
  std::ofstream out(folder + "/lab.yaml");
  std::string first_line;
  out << "listen: [\"unix:canhub.sock\", \"127.0.0.1:0\"]\n"
         "state_directory: state\n"
         "log: {level: warning}\n"
         "rpc: {rate_limit: 1000000 calls/s, max_streams_per_client: 100000, "
         "max_streams_per_identity: 100000, max_connections_per_identity: 100000}\n"
         "buses:\n";
  const int lines = std::max(1, (shape.devices + kDevicesPerLine - 1) / kDevicesPerLine);
  for (int i = 0; i < lines; ++i) {
    const std::string address = "127.0.0.1:" + std::to_string(FreePort());
    if (i == 0) first_line = address;
    out << "  line" << i << ": {type: socketcand, address: \"" << address << "\", interface: line"
        << i << ", bitrate: " << shape.bitrate
        << (shape.own_devices.empty() ? "" : ", max_load: 80 %") << "}\n";
  }
  if (!shape.own_devices.empty()) {
    out << "devices:\n" << shape.own_devices;
    return first_line;
  }
  out << (shape.devices == 0 ? "devices: {}\n" : "devices:\n");
  for (int i = 0; i < shape.devices; ++i) {
    out << "  hv" << i << ": {driver: iseg, bus: line" << i / kDevicesPerLine
        << ", address: " << i % kDevicesPerLine << ", sim_model: E16C1, poll: " << shape.poll
        << ", slow_poll: " << shape.slow_poll << ", verify_poll: " << shape.verify_poll
        << ", read_timeout: 2 s, multiple_timeout: 5 s}\n";
  }
  return first_line;
}

std::vector<std::string> Lab::Command(const Settings& settings, const std::string& folder) {
  return {settings.bin + "/canhubd", "--config", folder + "/lab.yaml"};
}

Lab::Lab(const Settings& settings, const LabShape& shape) {
  const std::string folder = FreshFolder(settings, "lab");
  line_address_ = WriteConfig(folder, shape);
  if (shape.with_devices_process) {
    // On the client's core and behind the client.
    std::vector<std::string> command = {settings.bin + "/canhub-bench-line", "--config",
                                        folder + "/lab.yaml"};
    if (shape.slow_wire) command.push_back("--slow-wire");
    line_ = std::make_unique<Child>(
        command,
        Child::Options{.core = settings.client_core, .nice = 10, .log = folder + "/line.log"});
    if (!line_->WaitForLine("ready")) Fail("canhub-bench-line does not start; see " + folder);
  }
  daemon_ = std::make_unique<Server>(
      Command(settings, folder),
      Child::Options{.core = settings.server_core, .log = folder + "/log"});
}

bool Lab::WaitReady(int seconds) {
  const auto stub = v1::HubService::NewStub(Connect(daemon_->target(Transport::kUnix)));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
  v1::WaitReadyRequest request;
  request.mutable_timeout()->set_seconds(seconds);
  v1::WaitReadyResponse response;
  const grpc::Status status = stub->WaitReady(&context, request, &response);
  if (status.ok() && response.ready()) return true;
  std::fprintf(stderr, "canhub-load: not ready: %s %s\n", status.error_message().c_str(),
               response.ShortDebugString().substr(0, 200).c_str());
  return false;
}

std::unique_ptr<Server> StartBenchHub(const Settings& settings, const BenchHubShape& shape) {
  const std::string folder = FreshFolder(settings, "hub");
  std::vector<std::string> command = {settings.bin + "/canhub-bench-hub",
                                      "--folder",
                                      folder,
                                      "--devices",
                                      std::to_string(shape.devices),
                                      "--buses",
                                      std::to_string(shape.buses),
                                      "--items",
                                      std::to_string(shape.items),
                                      "--realtime",
                                      std::to_string(shape.realtime)};
  if (shape.converters) command.push_back("--converters");
  if (shape.battery) command.push_back("--battery");
  return std::make_unique<Server>(
      command, Child::Options{.core = settings.server_core, .log = folder + "/log"});
}

}  // namespace canhub::bench
