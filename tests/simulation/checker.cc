#include "tests/simulation/checker.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "drivers/api/errors.h"
#include "tests/simulation/random.h"

namespace canhub::simulation {
namespace {

using Kind = FrameMeaning::Kind;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// S04: what waited at the bus when the actor stopped, behind everything else that may wait there.
constexpr Duration kDrain = milliseconds(200);
// S05: the promise, and the frames of others that may be on the line first.
constexpr Duration kSafeWithin = milliseconds(50);
constexpr Duration kLineFirst = milliseconds(30);
// S06.
constexpr Duration kWatchLag = milliseconds(200);
constexpr Duration kAnswerGrace = milliseconds(100);
// Raw frames: the gate waits a second more for a bus that forgot them.
constexpr Duration kRawGrace = milliseconds(2100);
// What daemon/core/gate_impl.h states for callers without a deadline.
constexpr Duration kDefaultDeadline = seconds(10);
constexpr Duration kDefaultSettledDeadline = minutes(10);
constexpr Duration kSafeDeadline = minutes(10);
// S09: beside the other poll period; a device that cannot be used is looked at every 30 s.
constexpr Duration kCadenceGrace = seconds(6);
constexpr Duration kUnsupportedPause = seconds(30);
constexpr Duration kSlowCheckPeriod = milliseconds(500);
// S07: an answer this long after the question is one.
constexpr Duration kAsked = milliseconds(40);
// A given that is over is remembered this long: what it may not do any more must be recognised.
constexpr Duration kRemember = seconds(30);
constexpr size_t kMostRemembered = 4000;
constexpr size_t kMostTaken = 5000;

std::string Milliseconds(Duration d) {
  return Value::Number(std::chrono::duration<double, std::milli>(d).count()).ToString() + " ms";
}

}  // namespace

Checker::Checker(const Family& family, std::vector<PlannedDevice> devices,
                 std::vector<BusFacts> buses, const SimulatedClock* clock, EventLog* log)
    : family_(family), clock_(clock), log_(log) {
  for (BusFacts& facts : buses) buses_.push_back({.facts = std::move(facts)});
  for (PlannedDevice& plan : devices) {
    Device device{.plan = std::move(plan)};
    while (buses_[device.bus].facts.id != device.plan.bus) ++device.bus;
    device.turns_since = Now();
    devices_.push_back(std::move(device));
  }
}

void Checker::Fail(const char* invariant, std::string text) {
  if (violation_) return;
  log_->Text(Now(), std::string("VIOLATION ") + invariant + ": " + text);
  violation_ = Violation{invariant, std::move(text), Now()};
}

std::optional<size_t> Checker::DeviceAt(const std::string& bus, uint32_t address) const {
  for (size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i].plan.address == address && devices_[i].plan.bus == bus) return i;
  }
  return std::nullopt;
}

bool Checker::Turns(const Device& device) const {
  return !device.paused && !buses_[device.bus].away;
}

// ---------------------------------------------------------------- the wire

void Checker::OnFrameStarts(const std::string& bus, const CanFrame& frame, bool from_daemon) {
  ++frames_;
  if (!from_daemon) return;
  const FrameMeaning meaning = family_.Read(frame, true);
  size_t bus_index = 0;
  while (buses_[bus_index].facts.id != bus) ++bus_index;
  if (meaning.kind == Kind::kAct) return CheckAct(bus_index, frame, meaning);
  const std::optional<size_t> index = DeviceAt(bus, meaning.address);
  if (meaning.kind == Kind::kForeign || !index) return;
  Device& device = devices_[*index];
  const bool raw = std::any_of(given_.begin(), given_.end(), [&](const Given& given) {
    return given.raw() && Allowance(given, bus_index, frame).first > 0;
  });
  if (raw) return;
  if (device.paused && Now() > device.paused_since + kDrain) {
    Fail("S04", Name(*index) + ": " + FormatFrame(frame) +
                    " although its actor has not turned for " +
                    Milliseconds(Now() - device.paused_since));
  }
  device.last_asked = Now();  // S09; what keeps it on the line shows as well that its actor turns
  if (meaning.kind == Kind::kQuestion) {
    device.asked[meaning.what] = Now();
    // S05: where everything is off already, a safe action sends nothing and asks for the proof.
    std::erase_if(expected_frames_, [&](const ExpectedFrame& e) { return e.device == *index; });
    // A safe action's own question for its proof is as urgent as another safe action.
    const bool proof = std::any_of(given_.begin(), given_.end(), [&](const Given& given) {
      return given.safe && !given.answered && given.life == life_ && given.device == *index;
    });
    if (!proof) CountOvertaking(bus_index, nullptr);
  }
}

// S10: every safe action of this bus that has not begun to speak is being overtaken.
void Checker::CountOvertaking(size_t bus, const Given* own) {
  for (Given& given : given_) {
    if (!given.safe || given.refused || given.answered || given.first_frame != kNever ||
        &given == own || given.life != life_ || devices_[given.device].bus != bus ||
        given.given >= Now()) {
      continue;
    }
    // An actor that hangs, or a bus that is away, lets nobody be quick.
    const Device& device = devices_[given.device];
    if (!Turns(device) || device.turns_since >= given.given) continue;
    ++given.overtaken_by;
  }
}

std::pair<int, int> Checker::Allowance(const Given& given, size_t bus,
                                       const CanFrame& frame) const {
  int allowed = 0;
  if (given.raw()) {
    const CanFrame& raw = std::get<CanFrame>(given.what);
    allowed = given.bus == buses_[bus].facts.id && raw.dlc <= 8 && raw == frame ? 1 : 0;
  } else if (devices_[given.device].bus == bus) {
    allowed = family_.Allows(std::get<Act>(given.what), devices_[given.device].plan, frame);
  }
  if (allowed == 0) return {0, 0};
  for (const auto& [sent, times] : given.frames) {
    if (sent == frame) return {allowed, times};
  }
  return {allowed, 0};
}

std::pair<const char*, std::string> Checker::WhyNot(const Given& given) const {
  const MonoTime now = Now();
  if (given.life != life_) return {"S01", "given to the daemon before it was restarted"};
  if (!given.safe) {
    for (const Given& later : given_) {
      if (!later.safe || later.refused || later.number <= given.number || later.given >= now ||
          later.life != life_) {
        continue;
      }
      const bool same =
          given.raw() ? devices_[later.device].plan.bus == given.bus : later.device == given.device;
      if (same) return {"S10", "older than safe action " + std::to_string(later.number)};
    }
  }
  const Bus& bus = *std::find_if(buses_.begin(), buses_.end(),
                                 [&](const Bus& b) { return b.facts.id == given.bus; });
  if (bus.away_since != MonoTime{} && given.given <= bus.away_since && now > bus.away_since) {
    return {"S02", "given before the bus was away"};
  }
  if (!given.safe && now >= given.deadline) return {"S02", "its deadline has passed"};
  // A safe action needs no lease, so none that ends stops it, with whatever lease it was given.
  if (!given.safe && !given.lease_id.empty()) {
    const auto lease = leases_.find(given.lease_id);
    if (lease != leases_.end() && (lease->second.over || lease->second.expires < now) &&
        now > std::min(lease->second.over_since, lease->second.expires)) {
      return {"S02", "its lease is over"};
    }
  }
  if (given.refused) return {"S08", "it was refused"};
  const bool sent_is_all = given.raw() && given.wait_for == Stage::kSent && given.status.ok();
  if (given.answered && now > given.answer_time && !sent_is_all) {
    return {"S08", "it was answered " + Milliseconds(now - given.answer_time) + " before"};
  }
  return {"", ""};
}

std::string Checker::Describe(const Given& given) const {
  std::string text = "#" + std::to_string(given.number) + " ";
  if (given.raw()) {
    CanFrame frame = std::get<CanFrame>(given.what);
    frame.dlc = std::min<uint8_t>(frame.dlc, 8);  // nonsense has any length
    return text + "raw " + FormatFrame(frame);
  }
  text += Name(given.device) + " ";
  const Act& act = std::get<Act>(given.what);
  if (const auto* call = std::get_if<ActionCall>(&act)) {
    text += call->name + "(";
    for (const auto& [name, value] : call->arguments) text += name + "=" + value.ToString() + " ";
    return text + ")";
  }
  for (const NamedWrite& write : std::get<std::vector<NamedWrite>>(act)) {
    text += write.item + "=" + write.value.ToString() + " ";
  }
  return text;
}

void Checker::CheckAct(size_t bus, const CanFrame& frame, const FrameMeaning& meaning) {
  ++acts_;
  const auto device = DeviceAt(buses_[bus].facts.id, meaning.address);
  const Given* suspect = nullptr;
  const char* invariant = "S01";
  std::string why;
  Given* own = nullptr;  // the oldest that may send it: commands go in their order
  int candidates = 0;
  for (Given& given : given_) {
    const auto [allowed, used] = Allowance(given, bus, frame);
    if (allowed == 0) continue;
    auto [broken, text] = WhyNot(given);
    if (*broken == '\0' && used >= allowed) {
      broken = "S01";
      text = "sent " + std::to_string(used) + " times already";
    }
    if (*broken != '\0') {
      // The newest is the one most likely meant.
      suspect = &given;
      invariant = broken;
      why = text;
      continue;
    }
    given.perhaps_frame = true;
    ++candidates;
    if (own == nullptr) {
      own = &given;
    } else if (given.first_frame == kNever) {
      given.first_frame = Now();  // two of a kind: what one sends serves the other
    }
  }
  if (own != nullptr) {
    if (candidates == 1 && own->certain_frame == kNever) own->certain_frame = Now();
    return OnActOf(*own, bus, frame);
  }
  const std::string name = device ? Name(*device) : buses_[bus].facts.id;
  if (suspect == nullptr) {
    return Fail("S01", name + ": nobody asked for " + FormatFrame(frame));
  }
  Fail(invariant, name + ": " + FormatFrame(frame) + " for " + Describe(*suspect) + ": " + why);
}

void Checker::OnActOf(Given& given, size_t bus, const CanFrame& frame) {
  if (given.first_frame == kNever) {
    given.first_frame = Now();
    if (given.safe && given.overtaken_by > 0) {
      Fail("S10", std::to_string(given.overtaken_by) + " frames of the daemon started between " +
                      Describe(given) + " and its first frame");
    }
  }
  bool counted = false;
  for (auto& [sent, times] : given.frames) {
    if (!(sent == frame)) continue;
    ++times;
    counted = true;
  }
  if (!counted) given.frames.emplace_back(frame, 1);
  if (!given.raw() && devices_[given.device].paused &&
      Now() > devices_[given.device].paused_since + kDrain) {
    Fail("S04",
         FormatFrame(frame) + " for " + Describe(given) + " although the actor does not turn");
  }
  if (!given.safe) CountOvertaking(bus, &given);
}

void Checker::OnFrameReceived(const std::string& bus, const CanFrame& frame, MonoTime time) {
  const FrameMeaning meaning = family_.Read(frame, false);
  if (meaning.kind != Kind::kAnswer) return;
  const std::optional<size_t> device = DeviceAt(bus, meaning.address);
  if (!device) return;
  if (meaning.malformed) {
    if (hub_ == nullptr) return;  // nobody there to be misled
    const auto asked = devices_[*device].asked.find(meaning.what);
    malformed_.push_back(
        {.device = *device,
         .meaning = meaning,
         .time = time,
         .bad_before = BadFrames(*device),
         .asked = asked != devices_[*device].asked.end() && asked->second + kAsked > time});
    return;
  }
  std::array<MonoTime, 4>& times = answers_[{*device, meaning.what, meaning.channel}];
  std::rotate(times.begin(), times.begin() + 1, times.end());
  times.back() = time;
}

void Checker::OnBus(const std::string& bus, BusState state) {
  for (Bus& b : buses_) {
    if (b.facts.id != bus) continue;
    const bool away = !CanTransmit(state);
    if (away && !b.away) b.away_since = Now();
    if (!away && b.away) {
      for (Device& device : devices_) {
        if (device.plan.bus == bus) device.turns_since = Now();
      }
    }
    b.away = away;
  }
}

// ---------------------------------------------------------------- the clients

Given& Checker::OnGiven(Given given) {
  given.number = ++next_number_;
  given.life = life_;
  given.given = Now();
  if (given.safe) {
    given.deadline = Now() + kSafeDeadline;
  } else if (given.deadline == kNever) {
    given.deadline =
        Now() + (given.wait_for == Stage::kSettled ? kDefaultSettledDeadline : kDefaultDeadline);
  }
  Forget();
  given_.push_back(std::move(given));
  open_.push_back(given_.back().number);
  log_->Text(Now(), "given " + Describe(given_.back()));
  return given_.back();
}

void Checker::OnAnswer(uint64_t number, bool in_call, const CommandResult& result) {
  if (hub_ == nullptr) return;  // a daemon that is killed answers nobody
  const auto given = std::find_if(given_.begin(), given_.end(),
                                  [&](const Given& g) { return g.number == number; });
  log_->Text(Now(), "answered #" + std::to_string(number) + " " +
                        absl::StatusCodeToString(result.status.code()) + " " +
                        GetErrorInfo(result.status).reason);
  std::erase(open_, number);
  if (given == given_.end()) return;
  if (given->answered) return Fail("S08", Describe(*given) + " was answered twice");
  given->answered = true;
  given->answer_time = Now();
  given->status = result.status;
  given->command_id = result.receipt.command_id;
  given->refused = in_call && !result.status.ok();
  if (result.status.ok() || given->raw() || given->refused) return;
  // S08: what was on the wire before this moment must be told. A frame that has begun and not ended
  // is not known to be on the wire.
  const Device& device = devices_[given->device];
  Duration longest{0};
  for (const auto& [frame, times] : given->frames) {
    longest = std::max(longest, buses_[device.bus].facts.frame_time(frame));
  }
  const bool was_on_wire = given->certain_frame != kNever && given->certain_frame + longest < Now();
  const std::string text(result.status.message());
  if (was_on_wire && text.find("done: ") == std::string::npos &&
      text.find("sent") == std::string::npos) {
    Fail("S08",
         Describe(*given) + " had frames on the wire, and its error does not say so: " + text);
  }
  if (!given->perhaps_frame && text.find("done: ") != std::string::npos) {
    Fail("S08", Describe(*given) + " sent nothing, and its error says that it did: " + text);
  }
}

void Checker::OnLease(GivenLease lease) {
  lease.life = life_;
  leases_[lease.lease_id] = std::move(lease);
}

void Checker::OnLeaseKept(const std::string& lease_id) {
  GivenLease& lease = leases_.at(lease_id);
  lease.expires = Now() + lease.window;
  lease.wall_jumped = false;
}

void Checker::OnLeaseReleasing(const std::string& lease_id) {
  leases_.at(lease_id).releasing = true;
}

void Checker::OnLeaseReleased(const std::string& lease_id, bool safe_actions) {
  GivenLease& lease = leases_.at(lease_id);
  lease.releasing = false;
  if (!lease.over) EndLease(lease, Now(), safe_actions);
}

void Checker::OnLeaseUnknown(const std::string& lease_id) {
  const auto lease = leases_.find(lease_id);
  if (lease == leases_.end() || lease->second.over || Now() >= lease->second.expires) return;
  Fail(lease->second.wall_jumped ? "S12" : "S05",
       "a lease ended " + Milliseconds(lease->second.expires - Now()) + " before its time");
}

void Checker::EndLease(GivenLease& lease, MonoTime when, bool safe_actions) {
  lease.over = true;
  lease.over_since = when;
  if (!safe_actions) return;
  for (const auto& [device, action] : lease.actions) {
    if (action == "hold") continue;
    if (std::find(lease.made_safe.begin(), lease.made_safe.end(), device) !=
        lease.made_safe.end()) {
      continue;
    }
    expected_.push_back({device, action, when});
  }
}

void Checker::OnShown(size_t device, ItemId item, const Reading& reading, Quality shown,
                      const DeviceSnapshot& snapshot) {
  if (shown != Quality::kGood) return;
  const MonoTime now = Now();
  const std::string name = Name(device) + "/" + snapshot.items().Name(item);
  if (now >= reading.good_until) {
    return Fail("S03", name + " is shown as GOOD " + Milliseconds(now - reading.good_until) +
                           " after the end of GOOD");
  }
  const auto& origin = OriginsOf(snapshot)[item];
  if (!origin) return;
  const auto [what, channel] = *origin;
  const auto times = answers_.find({device, what, channel});
  if (times == answers_.end()) {
    return Fail("S03", name + " is shown as GOOD and was never answered");
  }
  const bool from_frame = std::find(times->second.begin(), times->second.end(),
                                    reading.read_time) != times->second.end();
  if (!from_frame && reading.read_time > times->second.front()) {
    return Fail("S03", name + " is shown as GOOD with a time at which no answer came");
  }
  const std::optional<Duration> stated = family_.GoodFor(what, snapshot);
  if (stated && reading.good_until - reading.read_time > *stated) {
    Fail("S03", name + " is GOOD for " + Milliseconds(reading.good_until - reading.read_time) +
                    ", stated are " + Milliseconds(*stated));
  }
}

const Checker::Origins& Checker::OriginsOf(const DeviceSnapshot& snapshot) {
  const auto found = origins_.find(snapshot.items_ptr());
  if (found != origins_.end()) return found->second;
  if (origins_.size() > 64) origins_.clear();
  Origins& origins = origins_[snapshot.items_ptr()];
  for (ItemId item = 0; item < snapshot.items().size(); ++item) {
    origins.push_back(family_.Origin(snapshot.items(), item));
  }
  return origins;
}

void Checker::OnWatchLag(size_t device, Duration lag) {
  if (lag <= kWatchLag) return;
  Fail("S06", "a watch of " + Name(device) + " that is drained is " + Milliseconds(lag) +
                  " behind the cache, with " + std::to_string(stalled_watches_) +
                  " that are not drained");
}

// ---------------------------------------------------------------- the daemon

void Checker::OnDaemonStarts(Hub* hub, int life) {
  hub_ = hub;
  life_ = life;
  started_ = Now();
  for (Device& device : devices_) device.turns_since = Now();
}

void Checker::OnDaemonKilled() {
  // What the dying daemon's record held as acknowledged then must be so afterwards.
  std::set<std::string> still;
  for (const AlarmRecord& alarm :
       hub_->alarms().List({.include_history = true, .include_shelved = true})) {
    if (alarm.acknowledged) still.insert(alarm.id());
  }
  std::erase_if(acknowledged_, [&](const std::string& id) { return !still.contains(id); });
  hub_ = nullptr;
  open_.clear();
  leases_.clear();
  expected_.clear();
  expected_frames_.clear();
  malformed_.clear();
}

void Checker::OnWallJump() {
  for (auto& [id, lease] : leases_) lease.wall_jumped = true;
}

void Checker::OnAudit(const AuditEntry& entry) {
  if (hub_ == nullptr) return;  // neither does it write
  log_->Count(Now(), Mix(HashText(entry.kind + entry.device_id + entry.status), entry.command_id));
  taken_.push_back(entry);
  if (taken_.size() > 2 * kMostTaken) {
    taken_.erase(taken_.begin(), taken_.begin() + static_cast<ptrdiff_t>(kMostTaken));
  }
  const bool daemon = entry.identity == "canhubd";
  if (entry.kind == "safe_action" && daemon) return OnSafeActionOfDaemon(entry);
  if (entry.kind == "result" && daemon) {
    for (Given& given : given_) {
      if (!given.by_daemon || given.command_id != entry.command_id || given.life != life_) continue;
      given.answered = true;
      given.answer_time = Now();
    }
  }
}

void Checker::OnSafeActionOfDaemon(const AuditEntry& entry) {
  CheckLeases();
  size_t device = 0;
  while (device < devices_.size() && Name(device) != entry.device_id) ++device;
  if (device == devices_.size()) return;
  const std::string action = entry.text.substr(0, entry.text.find(' '));
  log_->Text(Now(), "safe action of the daemon: " + Name(device) + " " + action);
  const auto expected = std::find_if(expected_.begin(), expected_.end(), [&](const Expected& e) {
    return e.device == device && e.action == action;
  });
  MonoTime since = Now();
  if (expected != expected_.end()) {
    since = expected->since;
    expected_.erase(expected);
  } else {
    const auto lease =
        std::find_if(leases_.begin(), leases_.end(), [&](const auto& entry_of_lease) {
          const GivenLease& l = entry_of_lease.second;
          return !l.over && l.actions.contains(device) && l.actions.at(device) == action;
        });
    if (lease == leases_.end()) {
      Fail("S01", Name(device) + ": the daemon did " + action + " and no lease had ended");
    } else if (lease->second.releasing) {
      lease->second.made_safe.push_back(device);
    } else {
      Fail(lease->second.wall_jumped ? "S12" : "S05",
           Name(device) + ": a lease lapsed " + Milliseconds(lease->second.expires - Now()) +
               " before its time");
    }
  }
  Given given{.device = device,
              .bus = devices_[device].plan.bus,
              .what = Act(ActionCall{action, {}}),
              .safe = true,
              .by_daemon = true};
  given.number = ++next_number_;
  given.life = life_;
  given.given = Now();
  given.deadline = Now() + kSafeDeadline;
  given.command_id = entry.command_id;
  given_.push_back(std::move(given));
  const bool online =
      hub_->cache().Snapshot(static_cast<DeviceIndex>(device))->link() == LinkState::kOnline;
  if (online && Turns(devices_[device]) && devices_[device].turns_since < since) {
    expected_frames_.push_back({given_.back().number, device, since});
  }
}

void Checker::OnAcknowledged(const std::string& alarm_id) { acknowledged_.push_back(alarm_id); }

void Checker::CheckRecord() {
  const auto key = [](const AuditEntry& e) {
    return std::tuple(e.kind, e.identity, e.device_id, e.command_id, e.request_id, e.text,
                      e.status);
  };
  std::multiset<decltype(key(AuditEntry{}))> missing;
  for (const AuditEntry& entry : taken_) missing.insert(key(entry));
  AuditQuery query{.limit = 1000};
  for (int page = 0; page < 100 && !missing.empty(); ++page) {
    const absl::StatusOr<AuditPage> found = hub_->audit().Query(query);
    if (!found.ok()) return Fail("S11", "the record cannot be read: " + found.status().ToString());
    for (const AuditEntry& entry : found->entries) {
      if (const auto it = missing.find(key(entry)); it != missing.end()) missing.erase(it);
      query.before_sequence = entry.sequence;
    }
    if (!found->more) break;
  }
  if (!missing.empty()) {
    const auto& [kind, identity, device, id, request, text, status] = *missing.begin();
    Fail("S11", std::to_string(missing.size()) + " of " + std::to_string(taken_.size()) +
                    " entries are lost, for example " + kind + " " + device + " " + text);
  }
  taken_.clear();
  std::set<std::string> acknowledged;
  for (const AlarmRecord& alarm :
       hub_->alarms().List({.include_history = true, .include_shelved = true})) {
    if (alarm.acknowledged) acknowledged.insert(alarm.id());
  }
  for (const std::string& id : acknowledged_) {
    if (!acknowledged.contains(id)) Fail("S11", "the acknowledgement of " + id + " is lost");
  }
  acknowledged_.clear();
}

// ---------------------------------------------------------------- the strain

void Checker::OnPaused(size_t index, bool paused) {
  Device& device = devices_[index];
  if (paused && !device.paused) device.paused_since = Now();
  if (!paused && device.paused) device.turns_since = Now();
  device.paused = paused;
}

void Checker::OnMute(size_t device, bool mute) { devices_[device].mute = mute; }

// ---------------------------------------------------------------- after every step

void Checker::AfterStep() {
  if (violation_ || hub_ == nullptr) return;
  CheckLeases();
  CheckExpected();
  if (!malformed_.empty()) CheckMalformed();
  if (Now() < next_slow_check_) return;
  next_slow_check_ = Now() + kSlowCheckPeriod;
  CheckCadence();
  CheckAnswers();
}

void Checker::CheckLeases() {
  for (auto& [id, lease] : leases_) {
    if (!lease.over && !lease.releasing && lease.expires <= Now()) {
      EndLease(lease, lease.expires, true);
    }
  }
}

void Checker::CheckExpected() {
  for (const Expected& expected : expected_) {
    if (Now() <= expected.since + kSafeWithin) continue;
    Fail("S05", Name(expected.device) + ": the lease ended " +
                    Milliseconds(Now() - expected.since) + " ago, and its safe action " +
                    expected.action + " has not begun");
    return;
  }
  std::erase_if(expected_frames_, [&](const ExpectedFrame& expected) {
    const auto given = std::find_if(given_.begin(), given_.end(),
                                    [&](const Given& g) { return g.number == expected.number; });
    if (given == given_.end() || given->answered || given->first_frame != kNever) return true;
    // Whatever happens to the device meanwhile ends the promise: it is not online any more.
    const Device& device = devices_[given->device];
    const bool online = hub_->cache().Snapshot(static_cast<DeviceIndex>(given->device))->link() ==
                        LinkState::kOnline;
    if (!online || !Turns(device) || device.turns_since > expected.since) return true;
    if (Now() <= expected.since + kSafeWithin + kLineFirst) return false;
    Fail("S05", Name(given->device) + ": the lease ended " + Milliseconds(Now() - expected.since) +
                    " ago, and no frame of its safe action was on the line");
    return true;
  });
}

void Checker::CheckCadence() {
  for (size_t i = 0; i < devices_.size(); ++i) {
    const Device& device = devices_[i];
    if (!Turns(device)) continue;
    const auto snapshot = hub_->cache().Snapshot(static_cast<DeviceIndex>(i));
    Duration period = device.plan.poll;
    if (snapshot->link() == LinkState::kUnsupported) period = std::max(period, kUnsupportedPause);
    const MonoTime since = std::max({device.last_asked, device.turns_since, started_});
    if (Now() - since <= 2 * period + kCadenceGrace) continue;
    Fail(stalled_watches_ > 0 ? "S06" : "S09",
         Name(i) + " was not asked for " + Milliseconds(Now() - since) + ", its period is " +
             Milliseconds(device.plan.poll) + "; link " + std::string(ToString(snapshot->link())));
  }
}

void Checker::CheckAnswers() {
  for (const uint64_t number : open_) {
    const auto given = std::find_if(given_.begin(), given_.end(),
                                    [&](const Given& g) { return g.number == number; });
    if (given == given_.end()) continue;
    MonoTime due = given->deadline + (given->raw() ? kRawGrace : kAnswerGrace);
    if (!given->raw()) {
      const Device& device = devices_[given->device];
      if (device.paused) continue;
      due = std::max(due, device.turns_since + kAnswerGrace);
    }
    if (Now() <= due) continue;
    Fail(stalled_watches_ > 0 ? "S06" : "S09", Describe(*given) + " was not answered, " +
                                                   Milliseconds(Now() - given->deadline) +
                                                   " after its deadline");
  }
}

void Checker::CheckMalformed() {
  for (const Malformed& bad : malformed_) {
    const Device& device = devices_[bad.device];
    if (device.paused) continue;
    const auto snapshot = hub_->cache().Snapshot(static_cast<DeviceIndex>(bad.device));
    const Origins& origins = OriginsOf(*snapshot);
    for (ItemId item = 0; item < origins.size(); ++item) {
      if (!origins[item] || origins[item]->first != bad.meaning.what) continue;
      const Reading reading = snapshot->Read(item);
      if (reading.quality == Quality::kGood && reading.read_time == bad.time) {
        Fail("S07", Name(bad.device) + "/" + snapshot->items().Name(item) +
                        " was taken from a malformed frame");
      }
    }
    if (bad.asked && snapshot->link() == LinkState::kOnline &&
        BadFrames(bad.device) <= bad.bad_before) {
      Fail("S07", Name(bad.device) + ": a malformed answer of register " +
                      std::to_string(bad.meaning.what) + " was not counted");
    }
  }
  malformed_.clear();
}

uint64_t Checker::BadFrames(size_t device) const {
  uint64_t sum = 0;
  for (const auto& [reason, count] : hub_->Counters(static_cast<DeviceIndex>(device)).bad_frames) {
    sum += count;
  }
  return sum;
}

void Checker::Forget() {
  // In order; one that is still open keeps those behind it, within bounds.
  while (!given_.empty()) {
    const Given& oldest = given_.front();
    const bool over = oldest.answered ? Now() > oldest.answer_time + kRemember
                                      : Now() > oldest.deadline + kRemember;
    if (!over && given_.size() < kMostRemembered) break;
    std::erase(open_, oldest.number);
    given_.pop_front();
  }
  std::erase_if(leases_, [&](const auto& entry) {
    return entry.second.over && Now() > entry.second.over_since + minutes(12);
  });
}

}  // namespace canhub::simulation
