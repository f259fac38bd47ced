#include "daemon/core/gate_impl.h"

#include <atomic>
#include <functional>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "daemon/core/closest_names.h"
#include "daemon/core/gate_checks.h"
#include "daemon/core/gate_ledger.h"
#include "daemon/core/request_ids.h"
#include "drivers/api/errors.h"
#include "drivers/api/mutex.h"

namespace canhub {
namespace {

using absl::StatusCode;

// A bus reports every frame that wants it, at the latest when its deadline passes; a frame still
// unreported after this much more was forgotten by the bus.
constexpr Duration kReportGrace = std::chrono::seconds(1);

// Heterogeneous look-up: a string_view finds a std::string without a copy.
struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
};
template <typename T>
using ByName = std::unordered_map<std::string, T, NameHash, std::equal_to<>>;

// The gate's own place on a bus.
class FramePort final : public FrameSink {
 public:
  FramePort(std::shared_ptr<GateLedger> ledger, CanBus* bus) : ledger_(std::move(ledger)) {
    port_ = bus->Attach({}, this);
  }
  absl::Status Send(TxFrame frame) { return port_->Send(std::move(frame)); }
  void OnRx(const RxFrame&) override {}
  void OnTxReport(const TxReport& report) override { ledger_->FrameReported(report); }
  void OnBusState(BusState) override {}  // the bus purges and reports what waited

 private:
  const std::shared_ptr<GateLedger> ledger_;
  std::unique_ptr<BusPort> port_;  // last: detached before anything that the sink uses is gone
};

class Gate final : public HubGate {
 public:
  explicit Gate(GateDependencies dependencies)
      : clock_(dependencies.clock),
        cache_(dependencies.cache),
        audit_(dependencies.audit),
        ledger_(std::make_shared<GateLedger>(clock_, audit_)) {}
  ~Gate() override { DetachBuses(); }

  void SetDevice(std::shared_ptr<const GatedDevice> device) override {
    WriterLock lock(&mutex_);
    const std::string& id = device->config.id;
    const auto found = devices_.find(id);
    if (found != devices_.end()) {
      found->second.device = std::move(device);
      return;
    }
    device_ids_.push_back(id);
    devices_.emplace(device_ids_.back(), Device{std::move(device), std::make_shared<GateCounts>()});
  }

  std::shared_ptr<const GatedDevice> FindDevice(std::string_view device_id) const override {
    return Find(device_id).device;
  }

  std::vector<std::string> DeviceIds() const override {
    ReaderLock lock(&mutex_);
    return device_ids_;
  }

  void AddBus(const std::string& bus_id, CanBus* bus) override {
    auto port = std::make_shared<FramePort>(ledger_, bus);
    WriterLock lock(&mutex_);
    buses_.insert_or_assign(bus_id, Bus{std::move(port), std::make_shared<GateCounts>()});
  }

  void DetachBuses() override {
    ByName<Bus> buses;
    {
      WriterLock lock(&mutex_);
      buses.swap(buses_);
    }
    buses.clear();
    for (const CommandId id : ledger_->Frames()) {
      const PendingPtr pending = ledger_->Take(id);
      if (pending == nullptr) continue;
      CommandOutcome outcome;
      outcome.sent = pending->sent;
      outcome.status = MakeError(StatusCode::kUnavailable, "SHUTTING_DOWN",
                                 pending->place +
                                     ": the daemon gave up the bus before the frame "
                                     "was seen on the wire",
                                 {{"bus_id", pending->place}});
      ledger_->Finish(*pending, std::move(outcome));
    }
  }

  void SetLeases(const LeaseAuthority* leases) override {
    leases_.store(leases, std::memory_order_release);
  }

  void SetInterlocks(const InterlockAuthority* interlocks) override {
    interlocks_.store(interlocks, std::memory_order_release);
  }

  void Submit(CommandRequest request, CommandCallback done) override {
    Submit(std::move(request), nullptr, std::move(done));
  }
  void SubmitInterlockWrite(InterlockWrite write, MonoTime deadline,
                            CommandCallback done) override {
    Submit({.caller = InterlockCaller(write.interlock),
            .device_id = write.device_id,
            .what = std::vector<NamedWrite>{write.write},
            .deadline = deadline},
           &write, std::move(done));
  }
  absl::Status Check(const CommandRequest& request) const override {
    const Device found = Find(request.device_id);
    if (found.device == nullptr) return UnknownDevice(request.device_id);
    const MonoTime now = clock_->Now();
    const absl::StatusOr<Checked> checked = Check(*found.device, request, nullptr, now);
    if (!checked.ok() || checked->safe || request.request_id.empty()) return checked.status();
    return request_ids_.Look(request.caller.identity, request.device_id, request.request_id, now);
  }
  void SubmitFrame(FrameRequest request, CommandCallback done) override;
  void SubmitSafeAction(const std::string& device_id, const std::string& action,
                        const std::string& why, CommandCallback done) override;

  int RevokeLease(const std::string& lease_id, const absl::Status& why) override {
    if (lease_id.empty()) return 0;
    return ledger_->Withdraw([&](const Pending& p) { return p.lease_id == lease_id; }, why);
  }

  int RevokeDevice(const std::string& device_id, const absl::Status& why) override {
    const InterlockAuthority* interlocks = interlocks_.load(std::memory_order_acquire);
    return ledger_->Withdraw(
        [&](const Pending& p) {
          if (p.frame || p.place != device_id) return false;
          return !p.step || (interlocks != nullptr && !interlocks->MaySet(*p.step).ok());
        },
        why);
  }

  int RevokeFrames(const std::string& bus_id, const absl::Status& why) override {
    return ledger_->Withdraw([&](const Pending& p) { return p.frame && p.place == bus_id; }, why);
  }

  int UnderWay(std::string_view device_id) const override {
    const Device device = Find(device_id);
    return device.counts == nullptr ? 0 : device.counts->under_way.load(std::memory_order_relaxed);
  }

  GateCounters Counters(std::string_view device_id) const override {
    const Device device = Find(device_id);
    if (device.counts == nullptr) return {};
    return {device.counts->accepted.load(std::memory_order_relaxed),
            device.counts->refused.load(std::memory_order_relaxed)};
  }

  MonoTime RunUntil(MonoTime now) override {
    for (const CommandId id : ledger_->FramesExpiredAt(now - kReportGrace)) {
      ledger_->FrameReported({id, TxOutcome::kExpired, now});
    }
    return ledger_->frame_count() == 0 ? kNever : now + kReportGrace;
  }

 private:
  struct Device {
    std::shared_ptr<const GatedDevice> device;
    std::shared_ptr<GateCounts> counts;
  };
  struct Bus {
    std::shared_ptr<FramePort> port;
    std::shared_ptr<GateCounts> counts;
  };

  Device Find(std::string_view device_id) const {
    ReaderLock lock(&mutex_);
    const auto found = devices_.find(device_id);
    return found == devices_.end() ? Device{} : found->second;
  }

  absl::Status UnknownDevice(const std::string& device_id) const {
    return MakeError(StatusCode::kNotFound, "DEVICE_UNKNOWN",
                     "there is no device \"" + Printable(device_id, kMaxQuotedName) + "\"" +
                         DidYouMean(device_id, DeviceIds()),
                     {{"device_id", Printable(device_id, kMaxQuotedName)}});
  }

  // `step`: of an interlock; nullptr: somebody's command.
  void Submit(CommandRequest request, const InterlockWrite* step, CommandCallback done);

  // Where the lease is checked: first in its turn, and once more when the command can be revoked.
  absl::Status CheckLease(const GatedDevice& device, const CommandRequest& request,
                          const InterlockWrite* step) const {
    const LeaseAuthority* leases = leases_.load(std::memory_order_acquire);
    if (leases == nullptr || step != nullptr) return absl::OkStatus();
    return leases->MayCommand(device.config.id, request.caller, request.lease_id,
                              device.require_lease);
  }

  struct Checked;
  // The same of interlocks.
  absl::Status CheckInterlocks(const GatedDevice& device, const Checked& checked,
                               const InterlockWrite* step) const;

  struct Checked {
    std::variant<std::vector<ItemWrite>, ActionCall> what;
    // The table that item numbers belong to; the actor refuses them when the device has another.
    std::shared_ptr<const ItemTable> items;
    std::string text;
    bool safe = false;
  };
  // Every check up to the deadline.
  absl::StatusOr<Checked> Check(const GatedDevice& device, const CommandRequest& request,
                                const InterlockWrite* step, MonoTime now) const;

  // Audits and answers a refusal.
  void Refuse(const Caller& caller, const std::string& place, const std::string& request_id,
              const std::string& what, absl::Status status, GateCounts* counts,
              CommandCallback& done);
  // A pending command with everything that commands of devices and frames share.
  PendingPtr NewPending(const Caller& caller, const std::string& request_id, std::string place,
                        std::string text, MonoTime now, MonoTime deadline, CommandCallback done);
  absl::Status AuditRefusal(const absl::Status& why, const std::string& place) const;
  // Withdraws everything that a safe action overtakes, so that no frame of it follows (S10).
  void ClearTheWay(const GatedDevice& device, const std::string& action);
  // Posts a safe action; never refuses it.
  void PostSafe(const GatedDevice& device, PendingPtr pending, ActionCall call);
  CommandDone EndsCommand(const PendingPtr& pending) const {
    return [ledger = ledger_, id = pending->id](CommandOutcome outcome) {
      if (const PendingPtr taken = ledger->Take(id)) ledger->Finish(*taken, std::move(outcome));
    };
  }

  const Clock* const clock_;
  const StateCache* const cache_;
  AuditLog* const audit_;
  const std::shared_ptr<GateLedger> ledger_;
  RequestIds request_ids_;
  std::atomic<const LeaseAuthority*> leases_{nullptr};
  std::atomic<const InterlockAuthority*> interlocks_{nullptr};
  std::atomic<CommandId> next_id_{1};

  mutable SharedMutex mutex_;
  std::vector<std::string> device_ids_ ABSL_GUARDED_BY(mutex_);
  ByName<Device> devices_ ABSL_GUARDED_BY(mutex_);
  ByName<Bus> buses_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<Gate::Checked> Gate::Check(const GatedDevice& device, const CommandRequest& request,
                                          const InterlockWrite* step, MonoTime now) const {
  const std::string& id = device.config.id;
  const auto* call = std::get_if<ActionCall>(&request.what);
  const ActionSpec* action = call == nullptr ? nullptr : FindAction(*device.driver, call->name);

  const Role needed = action == nullptr ? Role::kOperator : action->role;
  if (request.caller.role < needed) {
    return RoleTooLow(request.caller, needed, id, action == nullptr ? "a command" : action->name);
  }
  const bool safe = action != nullptr && action->safe;
  if (!safe) {
    if (absl::Status status = CheckLease(device, request, step); !status.ok()) return status;
  }
  Checked checked;
  checked.safe = safe;
  if (call == nullptr) {
    const std::shared_ptr<const DeviceSnapshot> snapshot = cache_->Snapshot(device.index);
    absl::StatusOr<std::vector<ItemWrite>> writes =
        CheckWrites(device, *snapshot, std::get<std::vector<NamedWrite>>(request.what));
    if (!writes.ok()) return writes.status();
    checked.text = Describe(*snapshot, *writes);
    checked.what = *std::move(writes);
    checked.items = snapshot->items_ptr();
  } else {
    if (action == nullptr) return UnknownAction(device, call->name);
    absl::StatusOr<ActionCall> typed = CheckAction(device, *action, *call);
    if (!typed.ok()) return typed.status();
    checked.text = Describe(*action, *typed);
    checked.what = *std::move(typed);
  }
  if (!safe) {
    if (absl::Status status = CheckInterlocks(device, checked, step); !status.ok()) return status;
  }
  if (absl::Status status = CheckRequestId(id, request.request_id); !status.ok()) return status;
  if (absl::Status status =
          CheckWaitFor(id, request.wait_for, {Stage::kSent, Stage::kConfirmed, Stage::kSettled});
      !status.ok()) {
    return status;
  }
  // A safe action is carried out however late its caller asked for it, and after its caller has
  // stopped waiting: giving up making something safe is not safe.
  if (!safe && request.deadline <= now) return DeadlinePassed(id, request.deadline, now);
  checked.text += ", wait for ";
  checked.text += ToString(request.wait_for);
  return checked;
}

absl::Status Gate::CheckInterlocks(const GatedDevice& device, const Checked& checked,
                                   const InterlockWrite* step) const {
  const InterlockAuthority* interlocks = interlocks_.load(std::memory_order_acquire);
  if (interlocks == nullptr) return absl::OkStatus();
  if (step != nullptr) return interlocks->MaySet(*step);
  std::vector<std::string> names;
  if (const auto* call = std::get_if<ActionCall>(&checked.what)) {
    names.push_back(call->name);
  } else {
    for (const ItemWrite& write : std::get<std::vector<ItemWrite>>(checked.what)) {
      names.push_back(checked.items->Name(write.item));
    }
  }
  return interlocks->MayCommand(device.config.id, names);
}

void Gate::Refuse(const Caller& caller, const std::string& place, const std::string& request_id,
                  const std::string& what, absl::Status status, GateCounts* counts,
                  CommandCallback& done) {
  if (counts != nullptr) counts->refused.fetch_add(1, std::memory_order_relaxed);
  AuditEntry entry;
  entry.time = clock_->WallNow();
  entry.kind = "refused";
  entry.identity = Printable(caller.identity, kMaxIdentity);
  entry.device_id = Printable(place, kMaxQuotedName);
  entry.request_id = Printable(request_id, RequestIds::kMaxLength);
  entry.text = Printable(what + ": " + std::string(status.message()), kMaxAuditText);
  entry.status = absl::StatusCodeToString(status.code());
  // Nothing was done: a record that is full keeps its reserve for what is done. That a safe action
  // of the daemon's own could not be done belongs there too.
  if (!IsDaemonsOwn(caller.identity)) {
    audit_->Append(std::move(entry)).IgnoreError();
  } else {
    audit_->AppendReserved(std::move(entry)).IgnoreError();
  }
  if (!done) return;
  CommandResult result;
  result.status = std::move(status);
  result.receipt.request_id = request_id;
  result.receipt.device_id = place;
  done(std::move(result));
}

PendingPtr Gate::NewPending(const Caller& caller, const std::string& request_id, std::string place,
                            std::string text, MonoTime now, MonoTime deadline,
                            CommandCallback done) {
  auto pending = std::make_shared<Pending>();
  pending->id = next_id_.fetch_add(1, std::memory_order_relaxed);
  pending->place = std::move(place);
  pending->identity = Printable(caller.identity, kMaxIdentity);
  pending->request_id = request_id;
  pending->text = Printable(text, kMaxAuditText);
  pending->accepted = now;
  pending->guard = std::make_shared<CommandGuard>(deadline);
  pending->done = std::move(done);
  return pending;
}

absl::Status Gate::AuditRefusal(const absl::Status& why, const std::string& place) const {
  std::string problem = audit_->problem();
  if (problem.empty()) problem = std::string(why.message());
  const StatusCode code = why.code() == StatusCode::kUnavailable ? StatusCode::kUnavailable
                                                                 : StatusCode::kResourceExhausted;
  return MakeError(code, "AUDIT_NOT_WRITABLE",
                   place + ": the audit record cannot be written: " + problem +
                       "; nothing was sent (safe actions still go out)",
                   {{"device_id", place}, {"problem", problem}});
}

void Gate::ClearTheWay(const GatedDevice& device, const std::string& action) {
  const std::string& id = device.config.id;
  const absl::Status why = MakeError(StatusCode::kAborted, "OVERTAKEN_BY_SAFE_ACTION",
                                     id + ": the safe action " + action +
                                         " overtook the command; what was not sent "
                                         "yet will not be sent",
                                     {{"device_id", id}, {"action", action}});
  // A raw frame on the same bus may address the device.
  ledger_->Withdraw(
      [&](const Pending& p) {
        return p.frame ? !device.bus_id.empty() && p.bus_id == device.bus_id : p.place == id;
      },
      why);
}

void Gate::PostSafe(const GatedDevice& device, PendingPtr pending, ActionCall call) {
  pending->safe = true;
  pending->target = device.target;
  pending->counts->accepted.fetch_add(1, std::memory_order_relaxed);
  ClearTheWay(device, call.name);
  ledger_->Add(pending);
  // A record that is full even in its reserve stops no safe action.
  audit_->AppendReserved(ledger_->Entry("safe_action", *pending, pending->text)).IgnoreError();
  Command command;
  command.id = pending->id;
  command.what = std::move(call);
  command.wait_for = pending->wait_for;
  command.urgency = Urgency::kSafe;
  command.guard = pending->guard;
  const absl::Status posted = device.target->PostCommand(std::move(command), EndsCommand(pending));
  if (posted.ok()) return;
  if (const PendingPtr taken = ledger_->Take(pending->id)) {
    CommandOutcome outcome;
    outcome.status = posted;
    ledger_->Finish(*taken, std::move(outcome));
  }
}

void Gate::Submit(CommandRequest request, const InterlockWrite* step, CommandCallback done) {
  const MonoTime now = clock_->Now();
  const Device found = Find(request.device_id);
  if (found.device == nullptr) {
    // Who may not command anything learns nothing about what there is to command.
    absl::Status status =
        request.caller.role < Role::kOperator
            ? RoleTooLow(request.caller, Role::kOperator, request.device_id, "a command")
            : UnknownDevice(request.device_id);
    Refuse(request.caller, request.device_id, request.request_id, DescribeRequest(request),
           std::move(status), nullptr, done);
    return;
  }
  const GatedDevice& device = *found.device;
  const std::string& id = device.config.id;
  absl::StatusOr<Checked> checked = Check(device, request, step, now);
  if (!checked.ok()) {
    Refuse(request.caller, id, request.request_id, DescribeRequest(request), checked.status(),
           found.counts.get(), done);
    return;
  }
  const bool settled = request.wait_for == Stage::kSettled;
  const MonoTime deadline = checked->safe ? now + kSafeActionDeadline
                            : request.deadline == kNever
                                ? now + (settled ? kDefaultSettledDeadline : kDefaultDeadline)
                                : request.deadline;
  PendingPtr pending = NewPending(request.caller, request.request_id, id, std::move(checked->text),
                                  now, deadline, std::move(done));
  pending->counts = found.counts;
  pending->bus_id = device.bus_id;
  pending->wait_for = request.wait_for;
  if (checked->safe) {
    PostSafe(device, std::move(pending), std::get<ActionCall>(std::move(checked->what)));
    return;
  }
  pending->lease_id = request.lease_id;
  if (step != nullptr) pending->step = *step;
  pending->target = device.target;

  const bool named = !request.request_id.empty();
  if (named) {
    absl::Status status =
        request_ids_.Claim(request.caller.identity, id, request.request_id, pending->id, now);
    if (!status.ok()) {
      Refuse(request.caller, id, request.request_id, pending->text, std::move(status),
             found.counts.get(), pending->done);
      return;
    }
  }
  const auto refuse = [&](absl::Status status) {
    if (named) request_ids_.GiveBack(request.caller.identity, id, request.request_id);
    Refuse(request.caller, id, request.request_id, pending->text, std::move(status),
           found.counts.get(), pending->done);
  };
  // From here on whoever ends the lease, or trips an interlock, also revokes this command; what
  // came before is seen by the second look. There is no moment between the two (S02).
  ledger_->Add(pending);
  absl::Status still = CheckLease(device, request, step);
  if (still.ok()) still = CheckInterlocks(device, *checked, step);
  if (!still.ok()) {
    ledger_->Take(pending->id);
    refuse(std::move(still));
    return;
  }
  absl::Status recorded = audit_->Append(ledger_->Entry("command", *pending, pending->text));
  if (!recorded.ok() && step != nullptr) {
    recorded = audit_->AppendReserved(ledger_->Entry("command", *pending, pending->text));
  }
  if (!recorded.ok()) {
    ledger_->Take(pending->id);
    refuse(AuditRefusal(recorded, id));
    return;
  }
  Command command;
  command.id = pending->id;
  command.what = std::move(checked->what);
  command.items = std::move(checked->items);
  command.wait_for = request.wait_for;
  command.urgency = Urgency::kCommand;
  command.guard = pending->guard;
  if (absl::Status status = device.target->PostCommand(std::move(command), EndsCommand(pending));
      !status.ok()) {
    if (const PendingPtr taken = ledger_->Take(pending->id)) {
      if (named) request_ids_.GiveBack(request.caller.identity, id, request.request_id);
      found.counts->refused.fetch_add(1, std::memory_order_relaxed);
      CommandOutcome outcome;
      outcome.status = std::move(status);
      ledger_->Finish(*taken, std::move(outcome));
    }
    return;
  }
  found.counts->accepted.fetch_add(1, std::memory_order_relaxed);
}

void Gate::SubmitSafeAction(const std::string& device_id, const std::string& action,
                            const std::string& why, CommandCallback done) {
  const MonoTime now = clock_->Now();
  const Device found = Find(device_id);
  absl::Status refusal;
  if (found.device == nullptr) {
    refusal = UnknownDevice(device_id);
  } else {
    const ActionSpec* spec = FindAction(*found.device->driver, action);
    if (spec == nullptr) {
      refusal = UnknownAction(*found.device, action);
    } else if (!spec->safe) {
      refusal = MakeError(StatusCode::kFailedPrecondition, "ACTION_NOT_SAFE",
                          device_id + ": " + action + " is not a safe action",
                          {{"device_id", device_id}, {"action", action}});
    }
  }
  if (!refusal.ok()) {
    Refuse(DaemonCaller(), device_id, "", action + " (" + why + ")", std::move(refusal),
           found.counts.get(), done);
    return;
  }
  PendingPtr pending = NewPending(DaemonCaller(), "", device_id, action + " (" + why + ")", now,
                                  now + kSafeActionDeadline, std::move(done));
  pending->counts = found.counts;
  pending->bus_id = found.device->bus_id;
  PostSafe(*found.device, std::move(pending), ActionCall{action, {}});
}

void Gate::SubmitFrame(FrameRequest request, CommandCallback done) {
  const MonoTime now = clock_->Now();
  // A frame longer than one can be has no text form.
  const std::string text =
      (request.frame.dlc > 8 ? "a frame of " + std::to_string(request.frame.dlc) + " bytes"
                             : FormatFrame(request.frame)) +
      ", wait for " + std::string(ToString(request.wait_for));
  Bus bus;
  std::vector<std::string> device_ids;
  std::vector<std::string> bus_ids;
  {
    ReaderLock lock(&mutex_);
    const auto found = buses_.find(request.bus_id);
    if (found != buses_.end()) bus = found->second;
    for (const auto& [id, unused] : buses_) bus_ids.push_back(id);
    for (const std::string& id : device_ids_) {
      if (devices_.find(id)->second.device->bus_id == request.bus_id) device_ids.push_back(id);
    }
  }
  const auto check = [&]() -> absl::Status {
    if (request.caller.role < Role::kEngineer) {
      return RoleTooLow(request.caller, Role::kEngineer, request.bus_id, "a raw frame");
    }
    if (bus.port == nullptr) {
      return MakeError(StatusCode::kNotFound, "BUS_UNKNOWN",
                       "there is no bus \"" + Printable(request.bus_id, kMaxQuotedName) + "\"" +
                           DidYouMean(request.bus_id, bus_ids),
                       {{"bus_id", Printable(request.bus_id, kMaxQuotedName)}});
    }
    if (const LeaseAuthority* leases = leases_.load(std::memory_order_acquire)) {
      absl::Status status =
          leases->MaySendFrames(request.bus_id, device_ids, request.caller, request.lease_id);
      if (!status.ok()) return status;
    }
    if (const InterlockAuthority* interlocks = interlocks_.load(std::memory_order_acquire)) {
      if (absl::Status status = interlocks->MaySendFrames(device_ids); !status.ok()) return status;
    }
    const uint32_t highest = request.frame.extended ? 0x1FFFFFFF : 0x7FF;
    if (request.frame.id > highest || request.frame.dlc > 8) {
      return MakeError(StatusCode::kInvalidArgument, "NOT_A_CLASSIC_FRAME",
                       request.bus_id + ": found identifier " + std::to_string(request.frame.id) +
                           " and " + std::to_string(request.frame.dlc) +
                           " bytes, expected an identifier of at most " + std::to_string(highest) +
                           " and at most 8 bytes",
                       {{"bus_id", request.bus_id},
                        {"id", std::to_string(request.frame.id)},
                        {"dlc", std::to_string(request.frame.dlc)}});
    }
    if (absl::Status status = CheckRequestId(request.bus_id, request.request_id); !status.ok()) {
      return status;
    }
    if (absl::Status status =
            CheckWaitFor(request.bus_id, request.wait_for, {Stage::kSent, Stage::kOnWire});
        !status.ok()) {
      return status;
    }
    if (request.deadline <= now) return DeadlinePassed(request.bus_id, request.deadline, now);
    return absl::OkStatus();
  };
  if (absl::Status status = check(); !status.ok()) {
    Refuse(request.caller, request.bus_id, request.request_id, text, std::move(status),
           bus.counts.get(), done);
    return;
  }
  const MonoTime deadline = request.deadline == kNever ? now + kDefaultDeadline : request.deadline;
  const PendingPtr pending = NewPending(request.caller, request.request_id, request.bus_id, text,
                                        now, deadline, std::move(done));
  pending->counts = bus.counts;
  pending->frame = true;
  pending->bus_id = request.bus_id;
  pending->lease_id = request.lease_id;
  pending->wait_for = request.wait_for;
  const bool named = !request.request_id.empty();
  const auto refuse = [&](absl::Status status) {
    Refuse(request.caller, request.bus_id, request.request_id, text, std::move(status),
           bus.counts.get(), pending->done);
  };
  if (named) {
    absl::Status status = request_ids_.Claim(request.caller.identity, request.bus_id,
                                             request.request_id, pending->id, now);
    if (!status.ok()) return refuse(std::move(status));
  }
  const auto give_back = [&] {
    ledger_->Take(pending->id);
    if (named) {
      request_ids_.GiveBack(request.caller.identity, request.bus_id, request.request_id);
    }
  };
  pending->sent = now;
  ledger_->Add(pending);
  // As for commands: the second look closes the gap before the frame could be revoked.
  absl::Status still;
  if (const LeaseAuthority* leases = leases_.load(std::memory_order_acquire)) {
    still = leases->MaySendFrames(request.bus_id, device_ids, request.caller, request.lease_id);
  }
  if (const InterlockAuthority* interlocks = interlocks_.load(std::memory_order_acquire);
      still.ok() && interlocks != nullptr) {
    still = interlocks->MaySendFrames(device_ids);
  }
  if (!still.ok()) {
    give_back();
    return refuse(std::move(still));
  }
  if (absl::Status status = audit_->Append(ledger_->Entry("frame", *pending, text)); !status.ok()) {
    give_back();
    return refuse(AuditRefusal(status, request.bus_id));
  }
  TxFrame frame;
  frame.frame = request.frame;
  frame.urgency = Urgency::kCommand;
  frame.deadline = deadline;
  frame.guard = pending->guard;
  frame.tag = pending->id;
  if (absl::Status status = bus.port->Send(std::move(frame)); !status.ok()) {
    if (const PendingPtr taken = ledger_->Take(pending->id)) {
      if (named) {
        request_ids_.GiveBack(request.caller.identity, request.bus_id, request.request_id);
      }
      bus.counts->refused.fetch_add(1, std::memory_order_relaxed);
      CommandOutcome outcome;
      outcome.status = std::move(status);
      ledger_->Finish(*taken, std::move(outcome));
    }
    return;
  }
  bus.counts->accepted.fetch_add(1, std::memory_order_relaxed);
  Wake();
  if (request.wait_for != Stage::kSent) return;
  // The caller does not wait for the wire; the record still gets the frame's end.
  if (CommandCallback answer = ledger_->TakeDone(*pending)) {
    CommandResult result;
    result.receipt.command_id = pending->id;
    result.receipt.request_id = request.request_id;
    result.receipt.device_id = request.bus_id;
    result.receipt.accepted = now;
    result.receipt.sent = now;
    answer(std::move(result));
  }
}

}  // namespace

std::unique_ptr<HubGate> MakeCommandGate(GateDependencies dependencies) {
  return std::make_unique<Gate>(dependencies);
}

}  // namespace canhub
