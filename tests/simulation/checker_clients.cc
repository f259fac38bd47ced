// The clients: what they gave, were told and were shown; their leases.
#include <algorithm>

#include "drivers/api/errors.h"
#include "tests/simulation/checker.h"

namespace canhub::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// S06.
constexpr Duration kWatchLag = milliseconds(200);
// What daemon/core/gate_impl.h states for callers without a deadline.
constexpr Duration kDefaultDeadline = seconds(10);
constexpr Duration kDefaultSettledDeadline = minutes(10);

}  // namespace

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
  const auto& origin = OriginsOf(device, snapshot)[item];
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
  const std::optional<Duration> stated = devices_[device].plan.family->GoodFor(what, snapshot);
  if (stated && reading.good_until - reading.read_time > *stated) {
    Fail("S03", name + " is GOOD for " + Milliseconds(reading.good_until - reading.read_time) +
                    ", stated are " + Milliseconds(*stated));
  }
}

const Checker::Origins& Checker::OriginsOf(size_t device, const DeviceSnapshot& snapshot) {
  const auto found = origins_.find(snapshot.items_ptr());
  if (found != origins_.end()) return found->second;
  if (origins_.size() > 64) origins_.clear();
  Origins& origins = origins_[snapshot.items_ptr()];
  for (ItemId item = 0; item < snapshot.items().size(); ++item) {
    origins.push_back(devices_[device].plan.family->Origin(snapshot.items(), item));
  }
  return origins;
}

void Checker::OnWatchLag(size_t device, Duration lag) {
  if (lag <= kWatchLag) return;
  Fail("S06", "a watch of " + Name(device) + " that is drained is " + Milliseconds(lag) +
                  " behind the cache, with " + std::to_string(stalled_watches_) +
                  " that are not drained");
}

}  // namespace canhub::simulation
