#include "daemon/core/lease_impl.h"

#include <sys/random.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "daemon/core/closest_names.h"
#include "daemon/core/gate_checks.h"
#include "drivers/api/errors.h"
#include "drivers/api/mutex.h"

namespace canhub {
namespace {

using absl::StatusCode;

constexpr size_t kMaxPurpose = 200;
constexpr size_t kMaxIdentity = 256;

// 128 random bits as hexadecimal digits.
absl::StatusOr<std::string> NewLeaseId() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
    return MakeError(StatusCode::kUnavailable, "NO_RANDOM_NUMBERS",
                     "the kernel gave no random numbers for a lease id");
  }
  std::string id;
  for (const unsigned char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    id += kDigits[byte >> 4];
    id += kDigits[byte & 15];
  }
  return id;
}

// Enough to recognise a lease in texts that everybody may read; not enough to use it.
std::string Short(const std::string& lease_id) { return lease_id.substr(0, 8) + "…"; }

std::string Seconds(Duration duration) {
  const double seconds =
      static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()) /
      1000;
  return Value::Number(seconds).ToString() + " s";
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

absl::Status RoleTooLow(const Caller& caller, Role needed, const std::string& act) {
  return MakeError(StatusCode::kPermissionDenied, "ROLE_TOO_LOW",
                   act + " needs the role " + std::string(ToString(needed)) + "; " +
                       caller.identity + " has the role " + std::string(ToString(caller.role)) +
                       " (access rules of the configuration)",
                   {{"needed", std::string(ToString(needed))},
                    {"role", std::string(ToString(caller.role))},
                    {"identity", caller.identity}});
}

absl::Status Invalid(std::string_view reason, const std::string& text, ErrorFields fields = {}) {
  return MakeError(StatusCode::kInvalidArgument, reason, text, std::move(fields));
}

class Leases final : public LeaseTable, private LeaseAuthority {
 public:
  explicit Leases(LeaseDependencies dependencies)
      : clock_(dependencies.clock),
        gate_(dependencies.gate),
        audit_(dependencies.audit),
        alarms_(dependencies.alarms) {
    gate_->SetLeases(this);
  }
  ~Leases() override { gate_->SetLeases(nullptr); }

  absl::StatusOr<LeaseInfo> Acquire(const AcquireRequest& request) override;
  absl::StatusOr<LeaseInfo> KeepAlive(const Caller& caller, const std::string& lease_id) override;
  absl::Status Release(const Caller& caller, const std::string& lease_id,
                       bool run_safe_actions) override;
  std::vector<LeaseInfo> List() const override;
  std::optional<LeaseInfo> Covering(std::string_view device_id) const override;
  MonoTime RunUntil(MonoTime now) override;

 private:
  // A lease is valid until it expires or ends, whichever is first. One that is ending still covers
  // its devices, so that nobody commands them before its safe actions are under way.
  struct Lease {
    LeaseInfo info;
    uint64_t number = 0;  // rises with every lease
    bool ending = false;
    bool ValidAt(MonoTime now) const { return !ending && now < info.expires; }
  };

  absl::Status MayCommand(const std::string& device_id, const Caller& caller,
                          const std::string& lease_id, bool lease_required) const override;
  absl::Status MaySendFrames(const std::string& bus_id, const std::vector<std::string>& device_ids,
                             const Caller& caller, const std::string& lease_id) const override;

  absl::StatusOr<std::map<std::string, std::string>> SafeActions(
      const AcquireRequest& request) const;
  Lease* Find(const std::string& lease_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = leases_.find(lease_id);
    return found == leases_.end() ? nullptr : &found->second;
  }
  const Lease* CoveringLease(std::string_view device_id) const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    const auto found = by_device_.find(device_id);
    return found == by_device_.end() ? nullptr : &leases_.at(found->second);
  }
  void Forget(const std::string& lease_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LeasedByOther(const std::string& device_id, const Lease& lease, MonoTime now,
                             StatusCode code) const;
  static absl::Status UnknownLease(const std::string& lease_id);

  // Ends a lease that is marked as ending: withdraws what was given under it, then runs its safe
  // actions. No lock is held.
  void End(const LeaseInfo& lease, const absl::Status& why, bool run_safe_actions, bool lapsed);
  void RunSafeAction(const std::string& device_id, const std::string& action,
                     const LeaseInfo& lease, const std::string& why, bool lapsed);
  AuditEntry Entry(const std::string& identity, const LeaseInfo& lease, std::string text) const;

  const Clock* const clock_;
  HubGate* const gate_;
  AuditLog* const audit_;
  AlarmBook* const alarms_;

  mutable Mutex mutex_;
  std::unordered_map<std::string, Lease> leases_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string, std::less<>> by_device_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<MonoTime, std::string>> by_expiry_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
};

absl::Status Leases::UnknownLease(const std::string& lease_id) {
  return MakeError(StatusCode::kNotFound, "LEASE_UNKNOWN",
                   "there is no lease " + Short(Printable(lease_id, 32)) +
                       ": it lapsed (its safe actions have started), was released, or never was",
                   {{"lease", Short(Printable(lease_id, 32))}});
}

absl::Status Leases::LeasedByOther(const std::string& device_id, const Lease& lease, MonoTime now,
                                   StatusCode code) const {
  const bool valid = lease.ValidAt(now);
  return MakeError(
      code, "LEASED_BY_OTHER",
      device_id + (valid ? " is leased by " + lease.info.holder + " for another " +
                               Seconds(lease.info.expires - now) + " unless kept alive" +
                               (lease.info.purpose.empty() ? "" : " (" + lease.info.purpose + ")")
                         : " was leased by " + lease.info.holder +
                               "; its safe action is starting, try again"),
      {{"device_id", device_id},
       {"holder", lease.info.holder},
       {"purpose", lease.info.purpose},
       {"remaining_s", valid ? Seconds(lease.info.expires - now) : "0 s"}});
}

AuditEntry Leases::Entry(const std::string& identity, const LeaseInfo& lease,
                         std::string text) const {
  AuditEntry entry;
  entry.time = clock_->WallNow();
  entry.kind = "lease";
  entry.identity = identity;
  entry.device_id = lease.device_ids.size() == 1 ? lease.device_ids[0] : "";
  entry.text = Printable("lease " + Short(lease.lease_id) + " of " + lease.holder + " on " +
                             Joined(lease.device_ids) + " " + text,
                         kMaxAuditText);
  entry.status = "OK";
  return entry;
}

absl::StatusOr<std::map<std::string, std::string>> Leases::SafeActions(
    const AcquireRequest& request) const {
  std::map<std::string, std::string> actions;
  for (const std::string& device_id : request.device_ids) {
    const std::shared_ptr<const GatedDevice> device = gate_->FindDevice(device_id);
    if (device == nullptr) {
      const std::string printable = Printable(device_id, kMaxQuotedName);
      return MakeError(
          StatusCode::kNotFound, "DEVICE_UNKNOWN",
          "there is no device \"" + printable + "\"" + DidYouMean(device_id, gate_->DeviceIds()),
          {{"device_id", printable}});
    }
    const std::string& action =
        request.safe_action.empty() ? device->on_lease_lost : request.safe_action;
    if (action == kHoldAction) {
      // What happens to a device that nobody watches is the configuration's decision.
      if (device->on_lease_lost != kHoldAction && request.caller.role < Role::kEngineer) {
        return RoleTooLow(request.caller, Role::kEngineer,
                          device_id + ": the safe action hold instead of " + device->on_lease_lost);
      }
    } else {
      const ActionSpec* spec = FindAction(*device->driver, action);
      if (spec == nullptr || !spec->safe) {
        std::string known = kHoldAction;
        for (const ActionSpec& candidate : device->driver->actions) {
          if (candidate.safe) known += std::string(", ") + candidate.name;
        }
        return Invalid("SAFE_ACTION_UNKNOWN",
                       device_id + ": found safe action \"" + Printable(action, kMaxQuotedName) +
                           "\", expected one of " + known,
                       {{"device_id", device_id},
                        {"found", Printable(action, kMaxQuotedName)},
                        {"expected", known}});
      }
    }
    if (!actions.emplace(device_id, action).second) {
      return Invalid("DEVICE_TWICE", "found " + device_id + " twice, expected it once",
                     {{"device_id", device_id}});
    }
  }
  return actions;
}

absl::StatusOr<LeaseInfo> Leases::Acquire(const AcquireRequest& request) {
  if (request.caller.role < Role::kOperator) {
    return RoleTooLow(request.caller, Role::kOperator, "a lease");
  }
  if (request.device_ids.empty()) {
    return Invalid("NO_DEVICE", "found no device to lease, expected at least one");
  }
  if (request.purpose.size() > kMaxPurpose) {
    return Invalid("PURPOSE_TOO_LONG",
                   "found a purpose of " + std::to_string(request.purpose.size()) +
                       " bytes, expected at most " + std::to_string(kMaxPurpose),
                   {{"maximum", std::to_string(kMaxPurpose)}});
  }
  const Duration window = request.window.value_or(kDefaultWindow);
  if (window < kMinWindow || window > kMaxWindow) {
    return Invalid("LEASE_WINDOW",
                   "found a lease window of " + Seconds(window) + ", expected " +
                       Seconds(kMinWindow) + " to " + Seconds(kMaxWindow),
                   {{"found", Seconds(window)},
                    {"minimum", Seconds(kMinWindow)},
                    {"maximum", Seconds(kMaxWindow)}});
  }
  absl::StatusOr<std::map<std::string, std::string>> actions = SafeActions(request);
  if (!actions.ok()) return actions.status();
  absl::StatusOr<std::string> id = NewLeaseId();
  if (!id.ok()) return id.status();

  Lease lease;
  lease.info.lease_id = *std::move(id);
  lease.info.holder = Printable(request.caller.identity, kMaxIdentity);
  lease.info.device_ids = request.device_ids;
  lease.info.purpose = Printable(request.purpose, kMaxPurpose);
  lease.info.window = window;
  lease.info.safe_actions = *std::move(actions);
  bool first = false;
  {
    MutexLock lock(&mutex_);
    const MonoTime now = clock_->Now();
    for (const std::string& device_id : request.device_ids) {
      const Lease* other = CoveringLease(device_id);
      if (other == nullptr) continue;
      if (other->info.holder != lease.info.holder || !other->ValidAt(now)) {
        return LeasedByOther(device_id, *other, now, StatusCode::kFailedPrecondition);
      }
      return MakeError(StatusCode::kFailedPrecondition, "ALREADY_LEASED",
                       device_id + " is leased already by " + lease.info.holder + ", under lease " +
                           Short(other->info.lease_id) + "; release that one first",
                       {{"device_id", device_id}, {"holder", lease.info.holder}});
    }
    lease.info.acquired = now;
    lease.info.expires = now + window;
    lease.number = ++last_number_;
    std::string text = "acquired for " + Seconds(window);
    if (!lease.info.purpose.empty()) text += ", " + lease.info.purpose;
    for (const auto& [device_id, action] : lease.info.safe_actions) {
      text += ", " + device_id + " → " + action;
    }
    // A lease that cannot be recorded allows nothing anyway: commands could not be recorded either.
    if (absl::Status status = audit_->Append(Entry(lease.info.holder, lease.info, text));
        !status.ok()) {
      return MakeError(
          status.code(), "AUDIT_NOT_WRITABLE",
          "the audit record cannot be written: " + audit_->problem() + "; no lease was given",
          {{"problem", audit_->problem()}});
    }
    for (const std::string& device_id : request.device_ids) {
      by_device_.emplace(device_id, lease.info.lease_id);
    }
    const auto place = by_expiry_.emplace(lease.info.expires, lease.info.lease_id).first;
    first = place == by_expiry_.begin();
    leases_.emplace(lease.info.lease_id, lease);
  }
  for (const std::string& device_id : lease.info.device_ids) {
    alarms_->Clear(device_id, kLeaseLostAlarm);
  }
  if (first) Wake();
  return std::move(lease.info);
}

absl::StatusOr<LeaseInfo> Leases::KeepAlive(const Caller& caller, const std::string& lease_id) {
  MutexLock lock(&mutex_);
  // Read under the lock: a call that waited for it past the end of the lease is too late.
  const MonoTime now = clock_->Now();
  Lease* lease = Find(lease_id);
  if (lease == nullptr || !lease->ValidAt(now)) return UnknownLease(lease_id);
  if (lease->info.holder != Printable(caller.identity, kMaxIdentity)) {
    return LeasedByOther(lease->info.device_ids[0], *lease, now, StatusCode::kPermissionDenied);
  }
  if (caller.role < Role::kOperator) return RoleTooLow(caller, Role::kOperator, "a lease");
  by_expiry_.erase({lease->info.expires, lease_id});
  lease->info.expires = now + lease->info.window;
  by_expiry_.emplace(lease->info.expires, lease_id);
  return lease->info;
}

absl::Status Leases::Release(const Caller& caller, const std::string& lease_id,
                             bool run_safe_actions) {
  LeaseInfo info;
  const std::string identity = Printable(caller.identity, kMaxIdentity);
  bool own = false;
  {
    MutexLock lock(&mutex_);
    const MonoTime now = clock_->Now();
    Lease* lease = Find(lease_id);
    if (lease == nullptr || !lease->ValidAt(now)) return UnknownLease(lease_id);
    own = lease->info.holder == identity;
    if (!own && caller.role < Role::kEngineer) {
      return LeasedByOther(lease->info.device_ids[0], *lease, now, StatusCode::kPermissionDenied);
    }
    lease->ending = true;
    info = lease->info;
  }
  const bool safe = run_safe_actions || !own;
  AuditEntry entry =
      Entry(identity, info, "released by " + identity + (safe ? ", safe actions run" : ""));
  if (!audit_->Append(entry).ok()) audit_->AppendReserved(std::move(entry)).IgnoreError();
  End(info,
      MakeError(StatusCode::kAborted, "LEASE_RELEASED",
                "lease " + Short(lease_id) + " was released by " + identity +
                    "; what was not sent yet will not be sent",
                {{"lease", Short(lease_id)}, {"by", identity}}),
      safe, /*lapsed=*/false);
  MutexLock lock(&mutex_);
  Forget(lease_id);
  return absl::OkStatus();
}

void Leases::Forget(const std::string& lease_id) {
  const Lease* lease = Find(lease_id);
  if (lease == nullptr) return;
  for (const std::string& device_id : lease->info.device_ids) by_device_.erase(device_id);
  by_expiry_.erase({lease->info.expires, lease_id});
  leases_.erase(lease_id);
}

void Leases::RunSafeAction(const std::string& device_id, const std::string& action,
                           const LeaseInfo& lease, const std::string& why, bool lapsed) {
  if (action == kHoldAction) {
    if (lapsed) alarms_->Clear(device_id, kLeaseLostAlarm);
    return;
  }
  // Called on the actor's thread, perhaps after this table is gone.
  gate_->SubmitSafeAction(
      device_id, action, why,
      [alarms = alarms_, device_id, action, holder = lease.holder](const CommandResult& result) {
        if (result.status.ok()) {
          alarms->Clear(device_id, kLeaseLostAlarm);
          return;
        }
        alarms->Raise(device_id, kLeaseLostAlarm, AlarmSeverity::kCritical,
                      "the lease of " + holder + " ended, and the safe action " + action +
                          " FAILED: " + std::string(result.status.message()) +
                          ". Check the device and make it safe by hand.");
      });
}

void Leases::End(const LeaseInfo& lease, const absl::Status& why, bool run_safe_actions,
                 bool lapsed) {
  gate_->RevokeLease(lease.lease_id, why);
  if (!run_safe_actions) return;
  for (const auto& [device_id, action] : lease.safe_actions) {
    if (lapsed) {
      alarms_->Raise(device_id, kLeaseLostAlarm, AlarmSeverity::kWarning,
                     "the lease of " + lease.holder + " lapsed after " + Seconds(lease.window) +
                         " of silence; safe action: " + action);
    }
    RunSafeAction(device_id, action, lease, std::string(why.message()), lapsed);
  }
}

MonoTime Leases::RunUntil(MonoTime now) {
  std::vector<LeaseInfo> lapsed;
  {
    MutexLock lock(&mutex_);
    for (const auto& [expires, id] : by_expiry_) {
      if (expires > now) break;
      Lease* lease = Find(id);
      // One that is ending is in the hands of Release.
      if (lease->ending) continue;
      lease->ending = true;
      lapsed.push_back(lease->info);
    }
  }
  // One after the other, the longest due first; each takes microseconds: nothing here waits for a
  // disk, a bus or an actor.
  for (const LeaseInfo& lease : lapsed) {
    const std::string text = "lapsed after " + Seconds(lease.window) + " of silence";
    End(lease,
        MakeError(StatusCode::kAborted, "LEASE_LOST",
                  "lease " + Short(lease.lease_id) + " of " + lease.holder + " " + text +
                      "; what was not sent yet will not be sent",
                  {{"lease", Short(lease.lease_id)}, {"holder", lease.holder}}),
        /*run_safe_actions=*/true, /*lapsed=*/true);
    AuditEntry entry = Entry(DaemonCaller().identity, lease, text + ", safe actions run");
    if (!audit_->Append(entry).ok()) audit_->AppendReserved(std::move(entry)).IgnoreError();
  }
  MutexLock lock(&mutex_);
  for (const LeaseInfo& lease : lapsed) Forget(lease.lease_id);
  for (const auto& [expires, id] : by_expiry_) {
    if (!leases_.at(id).ending) return expires;
  }
  return kNever;
}

std::vector<LeaseInfo> Leases::List() const {
  std::vector<std::pair<uint64_t, LeaseInfo>> numbered;
  {
    MutexLock lock(&mutex_);
    const MonoTime now = clock_->Now();
    for (const auto& [id, lease] : leases_) {
      if (lease.ValidAt(now)) numbered.emplace_back(lease.number, lease.info);
    }
  }
  std::sort(numbered.begin(), numbered.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<LeaseInfo> list;
  for (auto& [number, info] : numbered) list.push_back(std::move(info));
  return list;
}

std::optional<LeaseInfo> Leases::Covering(std::string_view device_id) const {
  MutexLock lock(&mutex_);
  const Lease* lease = CoveringLease(device_id);
  if (lease == nullptr || !lease->ValidAt(clock_->Now())) return std::nullopt;
  return lease->info;
}

absl::Status Leases::MayCommand(const std::string& device_id, const Caller& caller,
                                const std::string& lease_id, bool lease_required) const {
  MutexLock lock(&mutex_);
  const MonoTime now = clock_->Now();
  const Lease* covering = CoveringLease(device_id);
  if (covering != nullptr && !lease_id.empty() && covering->info.lease_id == lease_id &&
      covering->info.holder == caller.identity && covering->ValidAt(now)) {
    return absl::OkStatus();
  }
  const ErrorFields fields = {{"device_id", device_id}};
  if (covering != nullptr && covering->info.holder != Printable(caller.identity, kMaxIdentity)) {
    return LeasedByOther(device_id, *covering, now, StatusCode::kPermissionDenied);
  }
  if (!lease_id.empty()) {
    const auto named = leases_.find(lease_id);
    const bool valid = named != leases_.end() && named->second.ValidAt(now) &&
                       named->second.info.holder == Printable(caller.identity, kMaxIdentity);
    if (valid && covering == &named->second) return absl::OkStatus();
    return MakeError(StatusCode::kPermissionDenied, "LEASE_UNKNOWN",
                     device_id + ": the lease " + Short(Printable(lease_id, 32)) +
                         (valid ? " covers other devices, not this one"
                                : " has lapsed, was released, or never was") +
                         "; nothing was sent",
                     fields);
  }
  if (covering != nullptr) {
    return MakeError(StatusCode::kPermissionDenied, "LEASE_REQUIRED",
                     device_id + " is leased by " + covering->info.holder +
                         ": the command must name the lease (lease_id); nothing was sent",
                     fields);
  }
  if (lease_required) {
    return MakeError(StatusCode::kPermissionDenied, "LEASE_REQUIRED",
                     device_id +
                         " takes commands only under a lease (require_lease in the "
                         "configuration); acquire one first, nothing was sent",
                     fields);
  }
  return absl::OkStatus();
}

absl::Status Leases::MaySendFrames(const std::string& bus_id,
                                   const std::vector<std::string>& device_ids, const Caller& caller,
                                   const std::string& lease_id) const {
  MutexLock lock(&mutex_);
  const MonoTime now = clock_->Now();
  const std::string identity = Printable(caller.identity, kMaxIdentity);
  const auto named = leases_.find(lease_id);
  const bool valid = !lease_id.empty() && named != leases_.end() && named->second.ValidAt(now) &&
                     named->second.info.holder == identity;
  if (!lease_id.empty() && !valid) {
    return MakeError(StatusCode::kPermissionDenied, "LEASE_UNKNOWN",
                     bus_id + ": the lease " + Short(Printable(lease_id, 32)) +
                         " has lapsed, was released, or never was; nothing was sent",
                     {{"bus_id", bus_id}});
  }
  for (const std::string& device_id : device_ids) {
    const Lease* covering = CoveringLease(device_id);
    if (covering == nullptr) continue;
    if (covering->info.holder != identity || !covering->ValidAt(now)) {
      return Annotate(LeasedByOther(device_id, *covering, now, StatusCode::kPermissionDenied),
                      bus_id + ": a raw frame may reach any device, and ", {{"bus_id", bus_id}});
    }
    if (!valid) {
      return MakeError(StatusCode::kPermissionDenied, "LEASE_REQUIRED",
                       bus_id + ": " + device_id + " on it is leased by " + identity +
                           ": the frame must name the lease (lease_id); nothing was sent",
                       {{"bus_id", bus_id}, {"device_id", device_id}});
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<LeaseTable> MakeLeaseTable(LeaseDependencies dependencies) {
  return std::make_unique<Leases>(dependencies);
}

}  // namespace canhub
