// The modes of canhub-load. Each adds its cases to the report.
#pragma once

#include <string>

#include "tests/bench/load_measure.h"

namespace canhub::bench {

// G1, G2, G4 and the latency side of G3: one call at a time, floor and canhub in turn.
void RunAb(const Settings& settings, Report* report);
// G3: closed loops of 1, 8 and 64 calls.
void RunQps(const Settings& settings, Report* report);
// G5: streams as fast as they go.
void RunFanout(const Settings& settings, Report* report);
// G6: 100 subscribers, 100 updates per second.
void RunPaced(const Settings& settings, Report* report);
// G7: one subscriber does not read.
void RunStall(const Settings& settings, Report* report);
// G15: from exec to the first answer.
void RunStartup(const Settings& settings, Report* report);
// G14 and the Set side of G16: 1 to 1000 devices and subscribers.
void RunScale(const Settings& settings, Report* report);
// The heartbeat side of G16.
void RunBeatCost(const Settings& settings, Report* report);
// G13: heartbeats under load, beside bare threads.
void RunJitter(const Settings& settings, Report* report);
// G19: questions to units behind an Xcom-CAN, beside a bare client's.
void RunStuder(const Settings& settings, Report* report);
// G21: from a dangerous frame to a safe action's frame, on a full line of battery modules.
void RunInterlock(const Settings& settings, Report* report);
// G14: growth over time.
void RunSoak(const Settings& settings, Report* report);

}  // namespace canhub::bench
