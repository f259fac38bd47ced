// G3: how many cached reads per second, for 1, 8 and 64 calls at a time on one connection.
#include <vector>

#include "tests/bench/load_calls.h"
#include "tests/bench/load_lab.h"
#include "tests/bench/load_loop.h"
#include "tests/bench/load_modes.h"

namespace canhub::bench {

void RunQps(const Settings& settings, Report* report) {
  const std::unique_ptr<Server> floor = StartFloor(settings);
  Lab lab(settings, {});
  if (!lab.WaitReady(60)) return;
  for (const Transport transport : {Transport::kUnix, Transport::kTcp}) {
    Loop echo(Connect(floor->target(transport)), "/canhub.bench.Floor/Echo",
              FloorCaller::Request());
    Loop get(Connect(lab.daemon().target(transport)), "/canhub.v1.ItemService/GetItems",
             CanhubCaller::OneRequest());
    for (const int concurrency : {1, 8, 64}) {
      const int64_t quarter = settings.window_ns / 2;
      report->Run(
          {{"G3",
            "cached get " + std::string(Name(transport)) + " c=" + std::to_string(concurrency),
            "ratio", "echo, calls per second", "per_s", Bound{">=", 0.85}, Bound{">=", 0.93}}},
          [&] {
            const int64_t floor_cpu = floor->process().CpuNs();
            const int64_t canhub_cpu = lab.daemon().process().CpuNs();
            const double a = echo.Run(concurrency, quarter), b = get.Run(concurrency, quarter);
            const double c = get.Run(concurrency, quarter), d = echo.Run(concurrency, quarter);
            const auto cpu_us = [&](const Child& server, int64_t before, double per_second) {
              const double calls = 1e-9 * static_cast<double>(quarter) * per_second;
              return 1e-3 * static_cast<double>(server.CpuNs() - before) / calls;
            };
            return std::vector<Sample>{
                {(b + c) / (a + d),
                 (a + d) / 2,
                 {{"canhub_per_s", (b + c) / 2},
                  {"floor_cpu_us", cpu_us(floor->process(), floor_cpu, a + d)},
                  {"canhub_cpu_us", cpu_us(lab.daemon().process(), canhub_cpu, b + c)}}}};
          });
    }
  }
}

}  // namespace canhub::bench
