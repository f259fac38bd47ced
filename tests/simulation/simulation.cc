#include "tests/simulation/simulation.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/simulation_run.h"

namespace canhub::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Duration PollOf(const RunOptions& options) {
  if (options.poll) return *options.poll;
  Random random(Mix(options.seed, HashText("poll")));
  // Labs that look rarely are cheap to simulate for long; some look as often as the real ones.
  return random.Chance(0.15)  ? Duration(seconds(1))
         : random.Chance(0.4) ? Duration(seconds(10))
                              : Duration(seconds(30));
}

// One of them, or all.
std::vector<const Family*> FamiliesOf(const RunOptions& options) {
  if (!options.families.empty()) return options.families;
  const auto all = Families();
  const size_t which = Mix(options.seed, HashText("family")) % (all.size() + 1);
  if (which == all.size()) return {all.begin(), all.end()};
  return {all[which]};
}

}  // namespace

Simulation::Simulation(const RunOptions& options)
    : options_(options),
      directory_(options),
      families_(FamiliesOf(options)),
      world_(PlanLab(families_, options.seed, PollOf(options), directory_.path()),
             options.doubles) {
  clients_ = {{{"unix:uid=1000(alice)", Role::kOperator}, {}},
              {{"unix:uid=1001(bob)", Role::kOperator}, {}},
              {{"cert:CN=eve", Role::kEngineer}, {}},
              {{"tcp:127.0.0.1", Role::kViewer}, {}}};
  world_.SetAfterStep([this] { AfterStep(); });
}

RunResult Simulation::Run() {
  const MonoTime start = world_.start();
  Duration length = options_.length;
  for (const Family* family : families_) length = std::min(length, family->LongestRun());
  const MonoTime end = start + length;
  // As many times of rest in a short run as in a long one.
  const Duration idle = length < options_.length ? length / 10 : options_.idle;
  MonoTime next = start + seconds(5);
  uint64_t index = 0;
  uint64_t left = 40;  // events until everybody rests
  while (clock().Now() < end && !checker().violation()) {
    const bool event = later_.empty() || next <= later_.top().at;
    const MonoTime at = std::min(end, event ? next : later_.top().at);
    world_.RunUntil(at);
    if (checker().violation() || at >= end) break;
    if (!event) {
      const auto what = later_.top().what;
      later_.pop();
      what();
      continue;
    }
    if (!options_.skip.contains(index)) {
      DoEvent(index);
      done_.push_back(index);
    }
    // Drawn for itself, so that leaving out an event moves no other.
    Random gap(Mix(Mix(options_.seed, HashText("gap")), index));
    if (--left > 0) {
      next += gap.Exponential(milliseconds(gap.Chance(0.3) ? 20 : 1200));
    } else {
      HealAll();
      next += seconds(60) + gap.Exponential(idle);
      left = 20 + gap.Below(60);
    }
    ++index;
  }
  RunResult result{.violation = checker().violation(),
                   .last = world_.log().Last(start, 40),
                   .hash = world_.log().hash(),
                   .simulated = clock().Now() - start,
                   .frames = checker().frames(),
                   .acts = checker().acts(),
                   .given = checker().given_count(),
                   .steps = world_.steps(),
                   .lives = world_.life(),
                   .events = done_,
                   .config = world_.plan().config};
  return result;
}

void Simulation::DoEvent(uint64_t index) {
  Random random(Mix(Mix(options_.seed, HashText("event")), index));
  const Weights& w = options_.weights;
  const size_t device = AnyDevice(random);
  const std::pair<double, std::function<void()>> choices[] = {
      {w.set, [&] { Set(random); }},
      {w.act,
       [&] {
         Submit(AnyClient(random), device, FamilyOf(device).MakeAct(random, devices()[device]),
                SomeStage(random), SomeDeadline(random), "");
       }},
      {w.forbidden, [&] { Forbidden(random); }},
      {w.nonsense, [&] { Nonsense(random); }},
      {w.read, [&] { Read(random); }},
      {w.watch, [&] { OpenWatch(random); }},
      {w.stalled_watch, [&] { OpenStalledWatch(random); }},
      {w.lease, [&] { AcquireLease(random); }},
      {w.release, [&] { ReleaseLease(random, false); }},
      {w.fall_silent, [&] { ReleaseLease(random, true); }},
      {w.emergency,
       [&] {
         Submit(clients_[random.Below(3)], device, FamilyOf(device).EmergencyOff(),
                Stage::kConfirmed, kNever, "");
       }},
      {w.burst, [&] { Burst(random); }},
      {w.raw,
       [&] {
         SendFrame(clients_[2], random.Below(world_.plan().buses.size()),
                   FamilyOf(device).MakeRawFrame(random, devices()[device]),
                   random.Chance(0.5) ? Stage::kOnWire : Stage::kSent, SomeDeadline(random));
       }},
      {w.fault,
       [&] {
         InjectFault(device, FamilyOf(device).MakeFault(random, devices()[device]),
                     random.Exponential(seconds(15)));
       }},
      {w.malformed,
       [&] {
         InjectFault(device, FamilyOf(device).Malformation(random), random.Exponential(seconds(8)));
       }},
      {w.silence,
       [&] { InjectFault(device, FamilyOf(device).Silence(), random.Exponential(seconds(30))); }},
      {w.weather,
       [&] {
         const size_t bus = random.Below(world_.plan().buses.size());
         const double bad = random.Chance(0.3) ? 0.3 : 0.03;
         world_.SetWeather(bus, {.lose = random.Unit() * bad,
                                 .repeat = random.Unit() * bad,
                                 .garble = random.Unit() * bad,
                                 .delay = random.Unit() * bad});
         After(random.Exponential(seconds(10)), [this, bus] { world_.SetWeather(bus, {}); });
       }},
      {w.bus, [&] { BreakBus(random); }},
      {w.wall_jump,
       [&] {
         const Duration by = seconds(static_cast<int64_t>(random.Below(2'000'000)) - 1'000'000);
         checker().OnWallJump();
         if (!options_.no_wall_jumps) clock().JumpWall(by);
       }},
      {w.pause, [&] { Pause(random); }},
      {w.disk,
       [&] {
         world_.SetDiskFull(true);
         After(random.Exponential(seconds(5)), [this] { world_.SetDiskFull(false); });
       }},
      {w.kill, [&] { Kill(random); }},
      {w.restart,
       [&] {
         const absl::Status status = world_.hub().RestartDevice(devices()[device].id);
         world_.log().Text(clock().Now(), "restart " + devices()[device].id + ": " +
                                              absl::StatusCodeToString(status.code()));
       }},
      {w.reload, [&] { Reload(random); }},
      {w.acknowledge, [&] { Acknowledge(random); }},
      {w.recover,
       [&] {
         for (Act& act : FamilyOf(device).Recovery(devices()[device])) {
           Submit(clients_[random.Below(3)], device, std::move(act), Stage::kConfirmed, kNever, "");
         }
       }},
      {w.refresh, [&] { Refresh(random); }},
  };
  double sum = 0;
  for (const auto& [weight, what] : choices) sum += weight;
  double at = random.Unit() * sum;
  for (const auto& [weight, what] : choices) {
    if ((at -= weight) >= 0) continue;
    what();
    return;
  }
}

// ---------------------------------------------------------------- after every step

void Simulation::AfterStep() {
  if (!world_.alive()) return;
  Sample();
  for (PromptWatch& prompt : prompt_) {
    const auto snapshot = world_.hub().cache().Snapshot(Index(prompt.device));
    if (snapshot->generation() != prompt.generation) {
      prompt.generation = snapshot->generation();
      prompt.id = snapshot->items().Find(prompt.item);
    }
    if (*prompt.ready) {
      *prompt.ready = false;
      // Until it is empty: only then it asks again.
      for (WatchBatch batch = prompt.watch->Drain(); !batch.items.empty();
           batch = prompt.watch->Drain()) {
        for (const WatchBatch::Entry& entry : batch.items) {
          if (entry.snapshot->generation() != prompt.generation || entry.ref.item != prompt.id) {
            continue;
          }
          prompt.shown_change = entry.snapshot->Read(entry.ref.item).change_time;
        }
      }
    }
    if (!prompt.id) continue;
    const Reading reading = snapshot->Read(*prompt.id);
    if (reading.change_time == prompt.shown_change || reading.quality == Quality::kNeverRead) {
      prompt.behind_since = kNever;
    } else if (prompt.behind_since == kNever) {
      prompt.behind_since = clock().Now();
    } else {
      checker().OnWatchLag(prompt.device, clock().Now() - prompt.behind_since);
    }
  }
}

// A look at two readings after every step: all are looked at in turn.
void Simulation::Sample() {
  for (int i = 0; i < 2; ++i) {
    const auto snapshot = world_.hub().cache().Snapshot(Index(sampled_device_));
    if (sampled_item_ >= snapshot->items().size()) {
      sampled_item_ = 0;
      sampled_device_ = (sampled_device_ + 1) % devices().size();
      continue;
    }
    const Reading reading = snapshot->Read(sampled_item_);
    checker().OnShown(sampled_device_, sampled_item_, reading, world_.QualityOf(reading),
                      *snapshot);
    ++sampled_item_;
  }
}

void Simulation::DropWatches() {
  prompt_.clear();
  stalled_.clear();
  stalled_alarms_.clear();
}

RunResult Simulate(const RunOptions& options) {
  Simulation simulation(options);
  return simulation.Run();
}

}  // namespace canhub::simulation
