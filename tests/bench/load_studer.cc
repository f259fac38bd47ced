// G19: one question at a time is what an Xcom-CAN allows. How many exchanges canhubd makes of a
// line of 125 kbit/s whose gateway answers at once, beside a bare client on the same line, in turn.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "canhub/v1/device_service.grpc.pb.h"
#include "canhub/v1/item_service.grpc.pb.h"
#include "canhub/v1/studer_service.grpc.pb.h"
#include "daemon/bus/io.h"
#include "daemon/bus/socketcand_protocol.h"
#include "tests/bench/load_lab.h"
#include "tests/bench/load_loop.h"
#include "tests/bench/load_modes.h"

namespace canhub::bench {
namespace {

constexpr int kBitrate = 125'000;
constexpr double kMaxLoad = 0.8;  // of load_lab.cc
constexpr size_t kPolled = 500;
// Info 3021 of Xtender 1, asked by client 2: canhubd, client 0, hears nothing of it. Studer facts,
// sections 2 and 3.
constexpr char kQuestion[] = "03280400#0BCD";
constexpr char kAnswer[] = "0010CA00#0BCD43660000";  // 230 V

// Asks as fast as it is answered, with nothing else to do.
class BareClient {
 public:
  // `address`: of a socketcand line, "127.0.0.1:40000".
  explicit BareClient(const std::string& address) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
    const int on = 1;
    setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) Fail();
    WaitFor(SocketcandMessage::Type::kHi);
    Write("< open line0 >");
    WaitFor(SocketcandMessage::Type::kOk);
    Write("< rawmode >");
    WaitFor(SocketcandMessage::Type::kOk);
  }

  // Exchanges per second.
  double Run(int64_t ns) {
    const std::string question = FormatSend(*ParseFrame(kQuestion));
    const CanFrame answer = *ParseFrame(kAnswer);
    const int64_t begin = MonotonicNs();
    int64_t done = 0, last = begin;
    while (last < begin + ns) {
      Write(question);
      while (!(WaitFor(SocketcandMessage::Type::kFrame).frame == answer)) {
      }
      ++done;
      last = MonotonicNs();
    }
    return 1e9 * static_cast<double>(done) / static_cast<double>(last - begin);
  }

 private:
  [[noreturn]] static void Fail() {
    std::fprintf(stderr, "canhub-load: the line does not talk\n");
    std::exit(1);
  }
  void Write(const std::string& text) {
    if (send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) Fail();
  }
  SocketcandMessage WaitFor(SocketcandMessage::Type type) {
    while (true) {
      while (const std::optional<std::string> words = parser_.Next()) {
        SocketcandMessage message = ParseSocketcand(*words);
        if (message.type == type) return message;
      }
      char bytes[1024];
      const ssize_t count = recv(socket_.get(), bytes, sizeof bytes, 0);
      if (count <= 0) Fail();
      parser_.Feed({bytes, static_cast<size_t>(count)});
    }
  }

  const UniqueFd socket_;
  ElementParser parser_;
};

// What a device has received: an exchange each.
int64_t Answers(v1::DeviceService::Stub* devices, const std::string& id) {
  grpc::ClientContext context;
  v1::GetDeviceRequest request;
  request.set_device_id(id);
  v1::GetDeviceResponse response;
  Require(devices->GetDevice(&context, request, &response), "GetDevice");
  return static_cast<int64_t>(response.counters().frames_received());
}

std::string Unit(const std::string& id, const std::string& kind, const std::string& rest) {
  return "  " + id + ": {driver: studer, bus: line0, unit: " + kind + ", sim_answer_delay: 0 s, " +
         rest + "}\n";
}

// Reads that callers ask for; polling has an hour.
void RunReads(const Settings& settings, Report* report, std::vector<std::string>* objects) {
  Lab lab(settings, {.own_devices = Unit("xt1", "xtender", "poll: 3600 s") +
                                    Unit("vt1", "variotrack", "poll: 3600 s"),
                     .bitrate = kBitrate});
  if (!lab.WaitReady(60)) return;
  const std::shared_ptr<grpc::Channel> channel = Connect(lab.daemon().target(Transport::kUnix));
  const auto devices = v1::DeviceService::NewStub(channel);
  // For the other measurement: what there is to poll, as parts of the YAML.
  size_t left = kPolled;
  for (const char* id : {"xt1", "vt1"}) {
    grpc::ClientContext context;
    v1::ListItemsRequest request;
    request.set_device_id(id);
    v1::ListItemsResponse response;
    Require(v1::ItemService::NewStub(channel)->ListItems(&context, request, &response),
            "ListItems");
    std::string infos, parameters;
    for (const v1::ItemDescriptor& item : response.items()) {
      const bool stored = item.name().find("/flash.") != std::string::npos;
      const bool signal = item.description().find("a signal") != std::string::npos;
      if (item.alias().empty() || stored || signal || left == 0) continue;
      const bool parameter = item.name().find("/parameter.") != std::string::npos;
      std::string& list = parameter ? parameters : infos;
      list += (list.empty() ? "" : ", ") + item.alias();
      --left;
    }
    const auto listed = [](const std::string& list) {
      return list.empty() ? "none" : "\"" + list + "\"";
    };
    objects->push_back("infos: " + listed(infos) + ", parameters: " + listed(parameters));
  }

  BareClient bare(lab.line_address());
  v1::ReadUserInfoRequest request;
  request.set_device_id("xt1");
  request.set_info("3021");
  Loop reads(channel, "/canhub.v1.StuderService/ReadUserInfo", request);
  const double wire_us =
      1e6 / kBitrate * (WireBits(*ParseFrame(kQuestion)) + WireBits(*ParseFrame(kAnswer)));
  for (const int concurrency : {1, 8}) {
    report->Run(
        {{"G19", "info reads, " + std::to_string(concurrency) + " callers", "ratio",
          "bare client, exchanges per second", "per_s", Bound{">=", 0.9}, Bound{">=", 0.97}}},
        [&] {
          const int64_t quarter = settings.window_ns / 2;
          const double a = bare.Run(quarter);
          const int64_t before = Answers(devices.get(), "xt1");
          const int64_t begin = MonotonicNs();
          reads.Run(concurrency, 2 * quarter);
          const double seconds = 1e-9 * static_cast<double>(MonotonicNs() - begin);
          const double b = static_cast<double>(Answers(devices.get(), "xt1") - before) / seconds;
          const double floor = (a + bare.Run(quarter)) / 2;
          return std::vector<Sample>{{b / floor,
                                      floor,
                                      {{"exchanges_per_s", b},
                                       {"line_ceiling_per_s", 1e6 / wire_us},
                                       {"share_of_ceiling", b * wire_us * 1e-6},
                                       {"above_wire_us", 1e6 / b - wire_us},
                                       {"above_bare_us", 1e6 / b - 1e6 / floor}}}};
        });
  }
}

// 500 values of two units, polled as often as the line's share for polling allows.
void RunPolled(const Settings& settings, Report* report, const std::vector<std::string>& objects) {
  Lab lab(settings, {.own_devices = Unit("xt1", "xtender", "poll: 50 ms, " + objects[0]) +
                                    Unit("vt1", "variotrack", "poll: 50 ms, " + objects[1]),
                     .bitrate = kBitrate});
  if (!lab.WaitReady(120)) return;
  const std::shared_ptr<grpc::Channel> channel = Connect(lab.daemon().target(Transport::kUnix));
  const auto devices = v1::DeviceService::NewStub(channel);
  // Polls are planned with the longest frames: question and answer of a parameter, 260 bits
  // (docs/benchmarks.md).
  const double granted = kMaxLoad * kBitrate / 260;
  report->Run(
      {{"G19", "500 polled values", "ratio", "what max_load grants, exchanges per second", "per_s",
        Bound{">=", 0.9}, Bound{">=", 0.97}}},
      [&] {
        const auto answers = [&] {
          return Answers(devices.get(), "xt1") + Answers(devices.get(), "vt1");
        };
        const int64_t before = answers();
        const int64_t begin = MonotonicNs();
        SleepNs(2 * settings.window_ns);
        const double seconds = 1e-9 * static_cast<double>(MonotonicNs() - begin);
        const double rate = static_cast<double>(answers() - before) / seconds;
        return std::vector<Sample>{{rate / granted,
                                    granted,
                                    {{"exchanges_per_s", rate}, {"all_values_s", kPolled / rate}}}};
      });
}

}  // namespace

void RunStuder(const Settings& settings, Report* report) {
  std::vector<std::string> objects;
  RunReads(settings, report, &objects);
  if (objects.size() == 2) RunPolled(settings, report, objects);
}

}  // namespace canhub::bench
