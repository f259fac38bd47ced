// G20: what it costs to decode a frame by the battery modules' DBC: our decoder, which reads the
// file when it runs, beside the C code that cantools generates from it. All signals, to physical
// values.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "cantools_battery.h"
#include "drivers/battery-module/layout.h"
#include "drivers/formats/dbc.h"

namespace canhub::bench {
namespace {

// What a healthy module could send.
const CanFrame kPdo1 = *ParseFrame("181#3DFC5B11899F1316");
const CanFrame kPdo3 = *ParseFrame("381#899199A1898B8D9F");

const dbc::Database& Database() {
  static const auto* const database = [] {
    auto parsed = dbc::Parse(battery_module::BuiltInDbc(), "battery-module.dbc");
    if (!parsed.ok()) std::abort();
    return new dbc::Database(*std::move(parsed));
  }();
  return *database;
}

double Ours(const CanFrame& frame) {
  const dbc::Message* message = Database().Find(frame.id, frame.extended);
  double sum = 0;
  message->ForEach(dbc::Payload(frame.payload()), [&](int signal, dbc::Bits bits) {
    sum += message->signals[static_cast<size_t>(signal)].Physical(bits);
  });
  return sum;
}

// As an application that knows both messages: by the identifier, then signal by signal.
double Theirs(const CanFrame& frame) {
  switch (frame.id) {
    case CANTOOLS_BATTERY_BMU01_PDO1_FRAME_ID: {
      cantools_battery_bmu01_pdo1_t m;
      if (cantools_battery_bmu01_pdo1_unpack(&m, frame.data.data(), frame.dlc) != 0) std::abort();
      return cantools_battery_bmu01_pdo1_cma_current_decode(m.cma_current) +
             cantools_battery_bmu01_pdo1_cma_voltage_decode(m.cma_voltage) +
             cantools_battery_bmu01_pdo1_min_cell_voltage_decode(m.min_cell_voltage) +
             cantools_battery_bmu01_pdo1_max_cell_voltage_decode(m.max_cell_voltage) +
             cantools_battery_bmu01_pdo1_cma_min_temp_decode(m.cma_min_temp) +
             cantools_battery_bmu01_pdo1_cma_max_temp_decode(m.cma_max_temp);
    }
    case CANTOOLS_BATTERY_BMU01_PDO3_FRAME_ID: {
      cantools_battery_bmu01_pdo3_t m;
      if (cantools_battery_bmu01_pdo3_unpack(&m, frame.data.data(), frame.dlc) != 0) std::abort();
      return cantools_battery_bmu01_pdo3_cell_1_voltage_decode(m.cell_1_voltage) +
             cantools_battery_bmu01_pdo3_cell_2_voltage_decode(m.cell_2_voltage) +
             cantools_battery_bmu01_pdo3_cell_3_voltage_decode(m.cell_3_voltage) +
             cantools_battery_bmu01_pdo3_cell_4_voltage_decode(m.cell_4_voltage) +
             cantools_battery_bmu01_pdo3_cell_5_voltage_decode(m.cell_5_voltage) +
             cantools_battery_bmu01_pdo3_cell_6_voltage_decode(m.cell_6_voltage) +
             cantools_battery_bmu01_pdo3_cell_7_voltage_decode(m.cell_7_voltage) +
             cantools_battery_bmu01_pdo3_cell_8_voltage_decode(m.cell_8_voltage);
    }
    default:
      std::abort();
  }
}

using Decoder = double (*)(const CanFrame&);
void Decode(benchmark::State& state, Decoder decode, const CanFrame* frame) {
  if (Ours(*frame) != Theirs(*frame)) {
    state.SkipWithError("the two do not agree");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(frame);
    benchmark::DoNotOptimize(decode(*frame));
  }
}
// Each pair is compared by scripts/bench.
BENCHMARK_CAPTURE(Decode, DbcDecode_pdo1, &Ours, &kPdo1);
BENCHMARK_CAPTURE(Decode, CantoolsDecode_pdo1, &Theirs, &kPdo1);
BENCHMARK_CAPTURE(Decode, DbcDecode_pdo3, &Ours, &kPdo3);
BENCHMARK_CAPTURE(Decode, CantoolsDecode_pdo3, &Theirs, &kPdo3);

}  // namespace
}  // namespace canhub::bench
