// canhub-floor: the least that a gRPC server, a hub and a heartbeat can cost on this machine.
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/beats.h"
#include "tests/bench/datagram_line.h"
#include "tests/bench/floor_service.h"

namespace canhub::bench {
namespace {

int Serve(const std::vector<std::string>& listen, double paced_hz, const sigset_t& signals) {
  FloorService service(paced_hz);
  grpc::ServerBuilder builder;
  std::vector<int> ports(listen.size(), 0);
  for (size_t i = 0; i < listen.size(); ++i) {
    builder.AddListeningPort(listen[i], grpc::InsecureServerCredentials(), &ports[i]);
  }
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::fprintf(stderr, "canhub-floor: cannot listen\n");
    return 1;
  }
  for (size_t i = 0; i < listen.size(); ++i) {
    if (listen[i].starts_with("unix:")) {
      std::printf("listening on %s\n", listen[i].c_str());
    } else {
      std::printf("listening on 127.0.0.1:%d\n", ports[i]);
    }
  }
  std::fflush(stdout);
  int signal = SIGUSR1;
  while (signal == SIGUSR1) sigwait(&signals, &signal);
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

// Until TERM or INT, which prints the histogram; USR1 starts counting anew.
int Beat(int count, int together, int period_ms, int priority, const sigset_t& signals) {
  Lateness lateness;
  {
    const BeatThreads threads(count, together, int64_t{period_ms} * 1'000'000, priority, &lateness);
    if (!threads.ok()) {
      std::fprintf(stderr, "canhub-floor: no right to SCHED_FIFO\n");
      return 1;
    }
    std::printf("beating\n");
    std::fflush(stdout);
    int signal = 0;
    while (sigwait(&signals, &signal) == 0 && signal == SIGUSR1) lateness.Reset();
  }
  std::fputs(lateness.Text().c_str(), stdout);
  std::fflush(stdout);
  return 0;
}

// A thread that answers each datagram to `path` with one to "`path`.peer": what it takes to wake up
// and to write. Until TERM or INT.
int Answer(const std::string& path, int priority, const sigset_t& signals) {
  std::thread([path, priority] {
    sched_param parameters{};
    parameters.sched_priority = priority;
    if (priority > 0 && pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters) != 0) {
      std::fprintf(stderr, "canhub-floor: no right to SCHED_FIFO\n");
      std::exit(1);
    }
    const UniqueFd line = BindLine(path);
    const sockaddr_un peer = LineAddress(path + ".peer");
    std::printf("answering\n");
    std::fflush(stdout);
    while (const std::optional<can_frame> frame = ReceiveFrame(line.get())) {
      static_cast<void>(sendto(line.get(), &*frame, sizeof *frame, MSG_NOSIGNAL,
                               reinterpret_cast<const sockaddr*>(&peer), sizeof peer));
    }
  }).detach();
  int signal = SIGUSR1;
  while (signal == SIGUSR1) sigwait(&signals, &signal);
  return 0;
}

int Main(int argc, char** argv) {
  std::vector<std::string> listen;
  std::string answer;
  double paced_hz = 100;
  int beats = 0, together = 1, period_ms = 200, priority = 0;
  CLI::App app("canhub-floor: bare echo, streams and heartbeats, for comparison.", "canhub-floor");
  app.add_option("--listen", listen, "unix:PATH or 127.0.0.1:PORT, may be repeated");
  app.add_option("--paced-hz", paced_hz, "updates per second of Paced")->capture_default_str();
  app.add_option("--beats", beats, "instead of serving: so many threads that beat");
  app.add_option("--together", together, "so many of them at the same moment");
  app.add_option("--period-ms", period_ms, "of the beats")->capture_default_str();
  app.add_option("--answer", answer,
                 "instead of serving: PATH of a line of which each frame is answered");
  app.add_option("--realtime", priority, "SCHED_FIFO priority of beats or answers; 0: ordinary");
  CLI11_PARSE(app, argc, argv);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (beats > 0) return Beat(beats, together, period_ms, priority, signals);
  if (!answer.empty()) return Answer(answer, priority, signals);
  return Serve(listen, paced_hz, signals);
}

}  // namespace
}  // namespace canhub::bench

int main(int argc, char** argv) { return canhub::bench::Main(argc, argv); }
