// Polling, counting, commands; frames are in battery_frames.cc, levels in battery_levels.cc.
#include "drivers/battery-module/battery_driver.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/battery-module/codec.h"

namespace canhub::battery_module {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A frame of eight bytes with all the stuff bits that it can have (facts, section 4.8).
constexpr double kFrameBits = 135;
// How long a refresh waits for the modules' answers.
constexpr Duration kRefreshTimeout = seconds(1);

std::string Modules(int count) {
  return std::to_string(count) + (count == 1 ? " module" : " modules");
}

}  // namespace

BatteryDriver::BatteryDriver(DriverContext context, Settings settings)
    : context_(std::move(context)),
      settings_(std::move(settings)),
      items_(settings_.cells, settings_.sensors),
      layout_(settings_, items_),
      bounds_(MakeBounds(settings_, layout_)),
      highest_module_volt_(HighestModuleVolt(settings_, layout_)),
      timers_(context_.timers),
      awaited_(context_.timers),
      alarms_(context_.alarms),
      modules_(kMaxModules, Module(settings_, bounds_)),
      route_times_(layout_.routes().size()),
      route_pending_(layout_.routes().size()),
      spec_{items_.Spec(battery::module::kPresence),
            items_.Spec(battery::module::kLevel),
            items_.Spec(battery::module::kCellMin),
            items_.Spec(battery::module::kCellMax),
            items_.Spec(battery::module::kCellSum),
            items_.Spec(battery::module::kCellSpread),
            items_.Spec(battery::module::kCellMinCell),
            items_.Spec(battery::module::kCellMaxCell),
            items_.Spec("alarm_flags")} {
  context_.state.SetItems(items_.table());
}

void BatteryDriver::Start() {
  started_ = true;
  context_.state.SetIdentity("dbc", settings_.database->file);
  context_.state.SetIdentity("cells_per_module", std::to_string(settings_.cells));
  sync_period_ =
      SyncPeriod(settings_.expected_modules > 0 ? settings_.expected_modules : kMaxModules);
  stale_after_ = std::max(settings_.stale_after, 3 * sync_period_);
  PublishPeriods();
  timers_.Every(std::max<Duration>(kTick, settings_.stale_after / 10), [this] { Tick(); });
  if (CanTransmit(bus_state_)) {
    StartCounting();
  } else {
    UpdateLink(context_.clock.Now());
  }
}

void BatteryDriver::PublishPeriods() {
  const auto text = [](Duration time) {
    return Value::Number(std::chrono::duration<double>(time).count()).ToString() + " s";
  };
  context_.state.SetIdentity("sync_period", text(sync_period_));
  context_.state.SetIdentity("stale_after", text(stale_after_));
  context_.state.SetIdentity("sensors_stale_after", text(settings_.sensors_stale_after));
}

void BatteryDriver::OnBusState(BusState state) {
  const bool could = CanTransmit(bus_state_);
  bus_state_ = state;
  if (!started_) return;
  const MonoTime now = context_.clock.Now();
  if (CanTransmit(state)) {
    if (could) return;
    if (phase_ == Phase::kLatched) {
      StartPolling();
    } else {
      StartCounting();
    }
    return UpdateLink(now);
  }
  timers_.Cancel(sync_timer_);
  timers_.Cancel(std::exchange(request_timer_, 0));
  timers_.Cancel(counting_timer_);
  // A count that was begun is given up, not the pack that was counted before.
  if (phase_ == Phase::kCounting) phase_ = latched_ > 0 ? Phase::kLatched : Phase::kWaiting;
  OnCounted(BusAway());
  awaited_.EndAll(BusAway());
  context_.state.InvalidateAll(Quality::kStale);
  context_.state.SetPolled(false);
  polled_ = level_published_ = false;
  UpdateLink(now);
}

absl::Status BatteryDriver::BusAway() const {
  return MakeError(
      absl::StatusCode::kUnavailable, "BUS_DOWN",
      context_.config.id + ": the bus is " + std::string(ToString(bus_state_)),
      {{"device_id", context_.config.id}, {"bus_state", std::string(ToString(bus_state_))}});
}

// ---------------------------------------------------------------- polling

Duration BatteryDriver::SyncPeriod(int modules) const {
  const int frames = layout_.FramesOf(layout_.routes()[0].module, Group::kMain) +
                     layout_.FramesOf(layout_.routes()[0].module, Group::kExtra);
  const double bits = kFrameBits * (1 + frames * modules);
  const double least = bits / context_.bus_info.bitrate / context_.bus_info.poll_share;
  return std::max(settings_.sync_period,
                  std::chrono::duration_cast<Duration>(std::chrono::duration<double>(least)));
}

void BatteryDriver::StartPolling() {
  timers_.Cancel(sync_timer_);
  if (!settings_.poll) return;
  SendSync();
  sync_timer_ = timers_.Every(sync_period_, [this] { SendSync(); });
  // Requests that run already go on: a count gives them no reason to come sooner.
  if (request_timer_ == 0 && latched_ > 0 && settings_.request_period > Duration(0) &&
      settings_.sensors > 0) {
    SendRequest();
  }
}

void BatteryDriver::Send(const CanFrame& frame, Duration lives) {
  // What cannot be taken now is asked for again soon.
  context_.bus.Send({.frame = frame, .deadline = context_.clock.Now() + lives}).IgnoreError();
}

void BatteryDriver::SendSync() {
  for (int number = 1; number <= kMaxModules; ++number) {
    Module& module = At(number);
    module.doubled = module.seen_since_sync > 1 ? module.doubled + 1 : 0;
    module.seen_since_sync = 0;
    alarms_.Set(number, ModuleAlarm::kDoubled, module.doubled >= kSeenOften,
                [] { return std::string("answers each SYNC twice: two modules of one number"); });
  }
  Send(SyncFrame(), sync_period_);
}

void BatteryDriver::SendRequest() {
  // Spread over the period (facts, section 12.5), of as many modules as there are by now.
  request_timer_ = timers_.At(context_.clock.Now() + settings_.request_period / latched_,
                              [this] { SendRequest(); });
  for (int tries = 0; tries < kMaxModules; ++tries) {
    next_request_ = next_request_ % kMaxModules + 1;
    if (At(next_request_).latched) {
      return Send(SensorRequestFrame(next_request_), settings_.request_period);
    }
  }
}

// ---------------------------------------------------------------- counting

void BatteryDriver::StartCounting() {
  for (Module& module : modules_) module.seen = 0;
  phase_ = Phase::kCounting;
  StartPolling();
  timers_.Cancel(counting_timer_);
  counting_timer_ =
      timers_.At(context_.clock.Now() + kWindowPeriods * sync_period_, [this] { EndCounting(); });
  UpdateLink(context_.clock.Now());
}

void BatteryDriver::EndCounting() {
  const MonoTime now = context_.clock.Now();
  int found = 0;
  for (const Module& module : modules_) found += module.seen >= kSeenOften ? 1 : 0;
  const bool none = found == 0;
  alarms_.Set(PackAlarm::kNone, none,
              [] { return std::string("no module answers; tried again every 5 s"); });
  if (none) {
    const absl::Status status =
        MakeError(absl::StatusCode::kUnavailable, "NO_MODULE",
                  context_.config.id + ": no module answered within the window",
                  {{"device_id", context_.config.id}});
    // Not a pack of nothing: one that was counted before stays, else it is looked for.
    phase_ = latched_ > 0 ? Phase::kLatched : Phase::kWaiting;
    if (phase_ == Phase::kWaiting) {
      counting_timer_ = timers_.At(now + kRetry, [this] { StartCounting(); });
    } else {
      StartPolling();
    }
    UpdateLink(now);
    return OnCounted(status);
  }
  std::string names;
  for (int number = 1; number <= kMaxModules; ++number) {
    Module& module = At(number);
    const bool is_there = module.seen >= kSeenOften;
    if (is_there && !module.latched) module.sensors_time = now;
    module.latched = is_there;
    module.stale = false;
    if (!module.latched) {
      alarms_.Forget(number);
      module.seen = 0;
      continue;
    }
    alarms_.Set(number, ModuleAlarm::kUnexpected, false, [] { return std::string(); });
    names += (names.empty() ? "" : ", ") + std::to_string(number);
  }
  latched_ = found;
  latched_at_ = now;
  phase_ = Phase::kLatched;
  const int expected = settings_.expected_modules;
  alarms_.Set(PackAlarm::kCount, expected > 0 && found != expected, [&] {
    return "found " + Modules(found) + " (" + names + "), expected " + std::to_string(expected);
  });
  context_.log.Log(LogLevel::kInfo, "the pack has " + Modules(found) + ": " + names);
  context_.state.SetIdentity("modules", names);
  sync_period_ = SyncPeriod(std::max(found, expected));
  stale_after_ = std::max(settings_.stale_after, 3 * sync_period_);
  PublishPeriods();
  if (sync_period_ > settings_.sync_period) {
    context_.log.Log(LogLevel::kWarning,
                     "the bus's share for polling makes SYNC slower than sync_period: " +
                         std::to_string(sync_period_ / milliseconds(1)) + " ms");
  }
  StartPolling();
  Tick();
  OnCounted(absl::OkStatus());
}

void BatteryDriver::OnSeen(int number) {
  Module& module = At(number);
  ++module.seen_since_sync;
  if (module.seen < kSeenOften) ++module.seen;
  if (phase_ != Phase::kLatched || module.latched || module.seen < kSeenOften) return;
  if (latched_ < settings_.expected_modules) {
    // One that was expected and slow to start.
    module.latched = true;
    module.sensors_time = context_.clock.Now();
    ++latched_;
    alarms_.Set(PackAlarm::kCount, latched_ != settings_.expected_modules,
                [] { return std::string(); });
    context_.log.Log(LogLevel::kInfo, "module " + std::to_string(number) + " has come");
    return;
  }
  alarms_.Set(number, ModuleAlarm::kUnexpected, true, [] {
    return std::string(
        "sends, but was not there when the pack was counted; \"detect\" counts anew");
  });
}

bool BatteryDriver::IsSupervised(const Module& module) const {
  return module.latched || (phase_ == Phase::kLatched && module.seen >= kSeenOften);
}

// ---------------------------------------------------------------- commands

void BatteryDriver::Execute(Command command) {
  const auto* call = std::get_if<ActionCall>(&command.what);
  if (call == nullptr || call->name != battery::action::kDetect) {
    return context_.commands.Finish(
        command.id,
        MakeError(absl::StatusCode::kUnimplemented, "NOTHING_TO_SET",
                  context_.config.id + ": a battery has nothing that can be set",
                  {{"device_id", context_.config.id}}),
        {}, {});
  }
  if (!CanTransmit(bus_state_)) {
    return context_.commands.Finish(command.id, BusAway(), {}, {});
  }
  detecting_.push_back(command.id);
  StartCounting();
}

void BatteryDriver::OnCounted(const absl::Status& status) {
  const MonoTime now = context_.clock.Now();
  for (const CommandId id : std::exchange(detecting_, {})) {
    if (status.ok()) {
      for (const Stage stage : {Stage::kSent, Stage::kOnWire, Stage::kConfirmed, Stage::kSettled}) {
        context_.commands.Reached(id, stage, now);
      }
    }
    context_.commands.Finish(id, status, {items_.Pack(battery::pack::kModuleCount)},
                             {{"modules", Value::Integer(latched_)}});
  }
}

void BatteryDriver::Cancel(CommandId id, absl::Status why) {
  if (std::erase(detecting_, id) > 0) context_.commands.Finish(id, std::move(why), {}, {});
}

void BatteryDriver::Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) {
  if (!CanTransmit(bus_state_)) return done(BusAway());
  std::set<int> awaited;
  bool requests[kMaxModules + 1] = {};
  for (const ItemId item : items) {
    if (item >= items_.table()->size()) continue;
    const ItemTable::Place place = items_.table()->Locate(items_.table()->Storage(item));
    const int number = place.block == 0 ? 0 : place.instance + 1;
    for (size_t r = 0; r < layout_.routes().size(); ++r) {
      const Route& route = layout_.routes()[r];
      // What comes by itself cannot be hurried.
      if (route.group == Group::kAlarm || route.group == Group::kInfo) continue;
      if (!At(route.module).latched || route_times_[r] == MonoTime{}) continue;
      const bool whole = number == 0 && route.group == Group::kMain;
      const bool own = number == route.module &&
                       std::any_of(route.targets.begin(), route.targets.end(),
                                   [&](const Target& target) { return target.spec == place.spec; });
      if (!whole && !own) continue;
      awaited.insert(static_cast<int>(r));
      requests[route.module] |= route.group == Group::kSensors;
    }
  }
  if (awaited.empty() || !settings_.poll) return done(absl::OkStatus());
  Send(SyncFrame(), sync_period_);
  for (int number = 1; number <= kMaxModules; ++number) {
    if (requests[number]) Send(SensorRequestFrame(number), settings_.request_period);
  }
  awaited_.Add(std::move(awaited), context_.clock.Now() + kRefreshTimeout,
               MakeError(absl::StatusCode::kUnavailable, "NO_ANSWER",
                         context_.config.id + ": a module did not answer within 1 s",
                         {{"device_id", context_.config.id}}),
               std::move(done));
}

// ---------------------------------------------------------------- the link

void BatteryDriver::UpdateLink(MonoTime now) {
  LinkState state = LinkState::kSearching;
  std::string text = "no module has answered";
  if (!CanTransmit(bus_state_)) {
    state = LinkState::kBusDown;
    text = "the bus is " + std::string(ToString(bus_state_));
  } else if (phase_ == Phase::kCounting && latched_ == 0) {
    state = LinkState::kIdentifying;
    text = "counting modules";
  } else if (latched_ > 0) {
    int good = 0;
    for (int number = 1; number <= kMaxModules; ++number) {
      good += At(number).latched && MainIsFresh(number, now) ? 1 : 0;
    }
    state = good > 0 ? LinkState::kOnline : LinkState::kLost;
    text = std::to_string(good) + " of " + Modules(latched_);
  }
  if (state == link_ && text == link_text_) return;
  link_ = state;
  link_text_ = text;
  context_.state.SetLink(state, text);
}

}  // namespace canhub::battery_module
