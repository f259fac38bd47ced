// Call by call in turn: the only comparison that a shared machine does not blur.
#include <functional>
#include <map>
#include <utility>

#include "canhub/v1/high_voltage_service.grpc.pb.h"
#include "canhub/v1/item_service.grpc.pb.h"
#include "floor.grpc.pb.h"
#include "tests/bench/load_calls.h"
#include "tests/bench/load_lab.h"
#include "tests/bench/load_modes.h"

namespace canhub::bench {
namespace {

// Wire time of a set-voltage frame: EDCP, DLC 7, 1000.0 V: 111 bits.
constexpr double kFrameBits = 111;

using Fields = CanhubCaller::Fields;

struct Servers {
  const Child& floor;
  const Child& canhub;
};

struct Latencies {
  std::vector<double> floor_us, canhub_us, bus_us;
  // Of the servers, per call: what noise blurs least.
  std::map<std::string, double> cpu;
};

// `canhub` makes one call, and returns the moment (wall clock) when its frame was on the bus, or 0.
Latencies InTurn(const Settings& settings, const Servers& servers,
                 const std::function<void()>& floor, const std::function<int64_t()>& canhub) {
  Latencies result;
  const int64_t floor_cpu = servers.floor.CpuNs(), canhub_cpu = servers.canhub.CpuNs();
  const int64_t end = MonotonicNs() + settings.window_ns;
  while (MonotonicNs() < end) {
    SleepNs(settings.gap_ns);
    const int64_t floor_begin = MonotonicNs();
    floor();
    result.floor_us.push_back(1e-3 * static_cast<double>(MonotonicNs() - floor_begin));
    SleepNs(settings.gap_ns);
    const int64_t wall_begin = WallNs();
    const int64_t begin = MonotonicNs();
    const int64_t on_bus = canhub();
    result.canhub_us.push_back(1e-3 * static_cast<double>(MonotonicNs() - begin));
    if (on_bus > 0) result.bus_us.push_back(1e-3 * static_cast<double>(on_bus - wall_begin));
  }
  const double calls = 1e3 * static_cast<double>(result.floor_us.size());
  result.cpu["floor_cpu_us"] = static_cast<double>(servers.floor.CpuNs() - floor_cpu) / calls;
  result.cpu["canhub_cpu_us"] = static_cast<double>(servers.canhub.CpuNs() - canhub_cpu) / calls;
  return result;
}

Sample Ratio(double canhub_us, double floor_us, std::map<std::string, double> also = {}) {
  also["canhub_us"] = canhub_us;
  return {canhub_us / floor_us, floor_us, std::move(also)};
}

}  // namespace

void RunAb(const Settings& settings, Report* report) {
  const std::unique_ptr<Server> floor = StartFloor(settings);
  Lab lab(settings, {.slow_wire = true});
  if (!lab.WaitReady(60)) return;
  const Servers servers{floor->process(), lab.daemon().process()};

  for (const Transport transport : {Transport::kUnix, Transport::kTcp}) {
    FloorCaller echo(Connect(floor->target(transport)));
    CanhubCaller caller(Connect(lab.daemon().target(transport)));
    const std::string suffix = std::string(" ") + Name(transport) + " c=1";
    for (int i = 0; i < (settings.smoke ? 20 : 300); ++i) {
      echo.Echo();
      caller.Set();
      caller.GetMany(Fields::kAll);
      caller.GetMany(Fields::kValues);
    }

    const std::string what = std::string("echo ") + Name(transport) + " c=1 ";
    // The goals are for Unix sockets; TCP is for information.
    const bool goal = transport == Transport::kUnix;
    const auto bound = [goal](double value) -> std::optional<Bound> {
      if (!goal) return std::nullopt;
      return Bound{"<=", value};
    };
    if (settings.Wants("G1") || settings.Wants("G2"))
      report->Run(
          {{"G1", "set voltage p50" + suffix, "ratio", what + "p50", "us", bound(1.30),
            bound(1.20)},
           {"G1", "set voltage p99" + suffix, "ratio", what + "p99", "us", bound(1.5), bound(1.2)},
           {"G2", "start to bus p50" + suffix, "ratio", what + "p50", "us", bound(1.10),
            bound(0.95)},
           {"G2", "start to bus / wire time 125k" + suffix, "ratio", "111 bits at 125 kbit/s", "us",
            bound(0.25), std::nullopt},
           {"G2", "start to bus / wire time 250k" + suffix, "ratio", "111 bits at 250 kbit/s", "us",
            bound(0.5), std::nullopt}},
          [&] {
            Latencies all = InTurn(
                settings, servers, [&] { echo.Echo(); }, [&] { return caller.Set(); });
            const double floor_p50 = Quantile(&all.floor_us, 0.5);
            const double bus_p50 = Quantile(&all.bus_us, 0.5);
            const double wire = kFrameBits / 0.125;
            return std::vector<Sample>{
                Ratio(Quantile(&all.canhub_us, 0.5), floor_p50, all.cpu),
                Ratio(Quantile(&all.canhub_us, 0.99), Quantile(&all.floor_us, 0.99)),
                Ratio(bus_p50, floor_p50),
                {bus_p50 / wire, wire, {}},
                {bus_p50 / (wire / 2), wire / 2, {}}};
          });
    if (settings.Wants("G3"))
      report->Run({{"G3", "cached get p50" + suffix, "ratio", what + "p50", "us"}}, [&] {
        Latencies all = InTurn(
            settings, servers, [&] { echo.Echo(); },
            [&] {
              caller.GetOne();
              return int64_t{0};
            });
        return std::vector<Sample>{
            Ratio(Quantile(&all.canhub_us, 0.5), Quantile(&all.floor_us, 0.5), all.cpu)};
      });
    for (const Fields fields : {Fields::kValues, Fields::kAll}) {
      if (!settings.Wants("G4")) continue;
      const std::string name =
          fields == Fields::kAll ? "256 readings, all fields, p50" : "256 values p50";
      report->Run(
          {{"G4", name + suffix, "ratio", what + "p50", "us", Bound{"<=", 1.5}, Bound{"<=", 1.25}}},
          [&] {
            Latencies all = InTurn(
                settings, servers, [&] { echo.Echo(); },
                [&] {
                  caller.GetMany(fields);
                  return int64_t{0};
                });
            Sample sample =
                Ratio(Quantile(&all.canhub_us, 0.5), Quantile(&all.floor_us, 0.5), all.cpu);
            sample.absolute["values_per_s"] =
                1e6 * CanhubCaller::kMany / Quantile(&all.canhub_us, 0.5);
            return std::vector<Sample>{sample};
          });
    }
  }
}

}  // namespace canhub::bench
