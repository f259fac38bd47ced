#include "daemon/safety/interlock_engine.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "daemon/core/closest_names.h"
#include "daemon/core/gate_checks.h"
#include "daemon/safety/ends.h"
#include "daemon/safety/inputs.h"
#include "daemon/safety/interlock.h"
#include "daemon/safety/latches.h"
#include "daemon/safety/refusals.h"
#include "drivers/api/errors.h"
#include "drivers/api/mutex.h"

namespace canhub {
namespace {

using absl::StatusCode;

// Its own items are GOOD for ten ticks: if it hangs, everybody sees that (S03).
constexpr Duration kGoodFor = 10 * kSafetyTick;
constexpr size_t kMaxComment = 500;
constexpr size_t kMaxKept = 500;

constexpr ValueLabel kStateLabels[] = {{0, "init"},      {1, "normal"},   {2, "warning"},
                                       {3, "dangerous"}, {4, "security"}, {5, "precharge"}};
constexpr ValueLabel kLevelLabels[] = {{0, "normal"}, {1, "warning"}, {2, "dangerous"}};
constexpr ValueLabel kInterlockLabels[] = {
    {0, "clear"}, {1, "settling"}, {2, "tripped"}, {3, "latched"}};

// The engine's items, with the names that its specs point to.
struct OwnItems {
  std::deque<std::string> names;
  std::vector<ItemSpec> specs;

  void Add(std::string name, std::span<const ValueLabel> labels, const char* description) {
    names.push_back(std::move(name));
    specs.push_back({.name = names.back().c_str(),
                     .type = ValueType::kInteger,
                     .description = description,
                     .confidence = Confidence::kDerived,
                     .labels = labels});
  }
};

std::shared_ptr<const ItemTable> MakeItems(const SafetyRules& rules) {
  auto items = std::make_shared<OwnItems>();
  items->Add("state", kStateLabels, "of the whole lab, as battery safety facts 5.4 name it");
  for (const LevelRule& rule : rules.levels) {
    items->Add(rule.id + ".level", kLevelLabels, "the worst of what the level watches");
  }
  for (const InterlockRule& rule : rules.interlocks) {
    items->Add(rule.id + ".state", kInterlockLabels, "what the interlock does");
  }
  std::vector<ItemBlock> blocks = {{.specs = items->specs}};
  return std::make_shared<const ItemTable>(std::move(blocks), std::move(items));
}

class Engine final : public InterlockTable, private InterlockHost {
 public:
  Engine(SafetyRules rules, InterlockDependencies dependencies)
      : rules_(std::move(rules)),
        clock_(dependencies.clock),
        cache_(dependencies.cache),
        writer_(std::move(dependencies.writer)),
        gate_(dependencies.gate),
        alarms_(dependencies.alarms),
        audit_(dependencies.audit),
        bus_of_(std::move(dependencies.bus_of)),
        refusals_(clock_, &rules_),
        inputs_(&rules_, dependencies, [this] { News(); }),
        latches_(&rules_, dependencies.values, alarms_, [this] { News(); }),
        ends_(std::make_shared<Ends>([this] { News(); })) {
    InterlockHost* const host = this;
    for (size_t i = 0; i < rules_.interlocks.size(); ++i) {
      interlocks_.emplace_back(i, &rules_.interlocks[i], &inputs_, host);
    }
    if (rules_.precharge) precharge_ = inputs_.Compile(*rules_.precharge);
    for (size_t i = 0; i < rules_.levels.size(); ++i) levels_raised_.push_back(Level::kNormal);
    Restore();
    writer_->SetItems(MakeItems(rules_));
    writer_->SetLink(LinkState::kOnline, "has not read all that its rules need");
    writer_->Commit();
    cache_->SetFirstListener([this, watched = inputs_.WatchedDevices()](DeviceIndex device) {
      if (watched[device]) News();
    });
    const MutexLock lock(&mutex_);
    PublishView();
  }
  ~Engine() override {
    cache_->SetFirstListener(nullptr);
    gate_->SetInterlocks(nullptr);
    ends_->Close();
  }

  MonoTime RunUntil(MonoTime now) override;

  bool refuses() const override { return refusals_.any(); }
  SafetyState state() const override { return state_.load(std::memory_order_acquire); }
  std::vector<InterlockInfo> List() const override {
    const MutexLock lock(&view_mutex_);
    return view_;
  }
  std::vector<LevelInfo> Levels() const override {
    const MutexLock lock(&view_mutex_);
    return level_view_;
  }
  absl::StatusOr<InterlockInfo> Acknowledge(const Caller& caller, const std::string& id,
                                            const std::string& comment) override;

  // InterlockAuthority, on the threads of callers.
  absl::Status MayCommand(const std::string& device_id,
                          const std::vector<std::string>& names) const override {
    return refusals_.MayCommand(device_id, names);
  }
  absl::Status MaySet(const InterlockWrite& write) const override {
    return refusals_.MaySet(write);
  }
  absl::Status MaySendFrames(const std::vector<std::string>& device_ids) const override {
    return refusals_.MaySendFrames(device_ids);
  }

 private:
  // Any thread.
  void News() {
    if (!news_.exchange(true, std::memory_order_acq_rel)) Wake();
  }

  // InterlockHost.
  void Act(size_t interlock, uint64_t run, size_t step, const SafeStep& what) override;
  bool Taken(const InterlockRule& rule, const SafeStep& step, bool any) const override;

  void Restore();
  void Look(MonoTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What is refused from now on; withdraws what is under way on devices that are new in it.
  void UpdateRefusals() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Withdraw(const InterlockRule& rule) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(Interlock& interlock, MonoTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellLevels() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SafetyState StateNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Publish(MonoTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PublishView() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Audit(const std::string& identity, const std::string& text);

  const SafetyRules rules_;
  const Clock* const clock_;
  StateCache* const cache_;
  const std::unique_ptr<DeviceWriter> writer_;
  HubGate* const gate_;
  AlarmBook* const alarms_;
  AuditLog* const audit_;
  const std::map<std::string, std::string> bus_of_;

  std::atomic<bool> news_{false};
  Refusals refusals_;
  std::atomic<SafetyState> state_{SafetyState::kInit};

  // Held for a look; never waited for by the gate.
  mutable Mutex mutex_;
  SafetyInputs inputs_;
  std::vector<Interlock> interlocks_;
  std::optional<ConditionNode> precharge_;
  std::vector<Level> levels_raised_;
  Latches latches_;
  MonoTime next_tick_{};
  bool changed_ = false;  // since the last Publish

  mutable Mutex view_mutex_ ABSL_ACQUIRED_AFTER(mutex_);
  std::vector<InterlockInfo> view_ ABSL_GUARDED_BY(view_mutex_);
  std::vector<LevelInfo> level_view_ ABSL_GUARDED_BY(view_mutex_);

  const std::shared_ptr<Ends> ends_;
};

// ---------------------------------------------------------------- a look

MonoTime Engine::RunUntil(MonoTime now) {
  const MutexLock lock(&mutex_);
  news_.store(false, std::memory_order_release);
  for (const End& end : ends_->Take()) {
    interlocks_[end.interlock].ActionEnded(end.run, end.step, end.status);
    changed_ = true;
  }
  inputs_.Update(now);
  Look(now);
  TellLevels();
  const bool tick = now >= next_tick_;
  if (tick) next_tick_ = now + kSafetyTick;
  if (tick || changed_) Publish(now);
  MonoTime next = std::min(next_tick_, latches_.RunUntil(now));
  for (const Interlock& interlock : interlocks_) next = std::min(next, interlock.next());
  return next;
}

void Engine::Look(MonoTime now) {
  bool any = false, refusals = false;
  for (size_t i = 0; i < interlocks_.size(); ++i) {
    Interlock& interlock = interlocks_[i];
    const bool changed = interlock.Look(now);
    changed_ |= changed;
    refusals |= changed || interlock.state() == InterlockState::kSettling ||
                interlock.state() == InterlockState::kTripped;
    any |= interlock.holds();
    inputs_.SetInterlock(i, interlock.acting()  ? Truth::kTrue
                            : interlock.holds() ? Truth::kUnknown
                                                : Truth::kFalse);
  }
  // Refused first, so that nothing slips in behind the safe actions.
  if (refusals) UpdateRefusals();
  for (const Interlock& interlock : interlocks_) {
    if (interlock.has_tripped()) Withdraw(interlock.rule());
  }
  if (any) {
    for (Interlock& interlock : interlocks_) interlock.Proceed(now);
  }
  for (Interlock& interlock : interlocks_) Tell(interlock, now);
}

void Engine::UpdateRefusals() {
  std::vector<RefusingInterlock> refusing;
  for (const Interlock& interlock : interlocks_) {
    if (!interlock.holds() || interlock.rule().refuse.empty()) continue;
    refusing.push_back({.rule = &interlock.rule(),
                        .settling = interlock.state() == InterlockState::kSettling,
                        .latched = interlock.state() == InterlockState::kLatched,
                        .ending = interlock.ending(),
                        .causes = interlock.causes(),
                        .tripped = interlock.tripped()});
  }
  refusals_.Set(std::move(refusing));
  gate_->SetInterlocks(refusals_.any() ? this : nullptr);
}

void Engine::Withdraw(const InterlockRule& rule) {
  const absl::Status why =
      MakeError(StatusCode::kAborted, "OVERTAKEN_BY_INTERLOCK",
                "interlock " + rule.id + " tripped; what was not sent yet will not be sent",
                {{"interlock", rule.id}});
  for (const Refusal& refusal : rule.refuse) {
    gate_->RevokeDevice(refusal.device, why);
    if (const auto bus = bus_of_.find(refusal.device); bus != bus_of_.end()) {
      gate_->RevokeFrames(bus->second, why);
    }
  }
}

void Engine::Act(size_t interlock, uint64_t run, size_t step, const SafeStep& what) {
  const std::string& id = rules_.interlocks[interlock].id;
  const auto done = [ends = ends_, interlock, run, step](const CommandResult& result) {
    ends->Push({interlock, run, step, result.status});
  };
  if (what.sets()) {
    gate_->SubmitInterlockWrite({id, what.device, {what.item, what.value}},
                                clock_->Now() + Interlock::kRetry, done);
  } else {
    gate_->SubmitSafeAction(what.device, what.action, "interlock " + id, done);
  }
}

bool Engine::Taken(const InterlockRule& rule, const SafeStep& step, bool any) const {
  return std::any_of(interlocks_.begin(), interlocks_.end(), [&](const Interlock& other) {
    const std::vector<std::string>& yields_to = rule.yields_to;
    const bool counts =
        any ? &other.rule() != &rule
            : std::find(yields_to.begin(), yields_to.end(), other.rule().id) != yields_to.end();
    return counts && other.acting() && !other.ending() && other.Has(step);
  });
}

// ---------------------------------------------------------------- telling

void Engine::Audit(const std::string& identity, const std::string& text) {
  AuditEntry entry;
  entry.time = clock_->WallNow();
  entry.kind = "interlock";
  entry.identity = identity;
  entry.device_id = kSafetyDevice;
  entry.text = Printable(text, kMaxAuditText);
  entry.status = "OK";
  if (!audit_->Append(entry).ok()) audit_->AppendReserved(std::move(entry)).IgnoreError();
}

void Engine::Restore() {
  const std::vector<std::string> latched = latches_.Loaded();
  for (size_t i = 0; i < latched.size(); ++i) {
    if (!latched[i].empty()) interlocks_[i].Restore(latched[i], clock_->Now());
  }
  const MutexLock lock(&mutex_);
  UpdateRefusals();
}

void Engine::Tell(Interlock& interlock, MonoTime now) {
  const InterlockRule& rule = interlock.rule();
  const auto index = static_cast<size_t>(&interlock - interlocks_.data());
  const std::string incomplete = rule.id + ".incomplete";
  for (const Interlock::Event event : interlock.TakeEvents()) {
    changed_ = true;
    switch (event) {
      case Interlock::Event::kTripped: {
        std::string why;
        for (const InterlockCause& cause : interlock.causes()) {
          why += (why.empty() ? "" : "; ") + cause.ToText(now);
        }
        // Kept for people, who need no book.
        latches_.Set(index, Printable(why, kMaxKept));
        alarms_->Raise(
            kSafetyDevice, rule.id,
            rule.severity == Level::kDangerous ? AlarmSeverity::kCritical : AlarmSeverity::kWarning,
            "interlock " + rule.id + " tripped: " + why);
        Audit(DaemonCaller().identity, "interlock " + rule.id + " tripped: " + why);
        break;
      }
      case Interlock::Event::kLatched:
        Audit(DaemonCaller().identity,
              "interlock " + rule.id + ": its condition is over; latched until acknowledged");
        break;
      case Interlock::Event::kReleased:
        latches_.Set(index, "");
        alarms_->Clear(kSafetyDevice, rule.id);
        alarms_->Clear(kSafetyDevice, incomplete);
        if (!rule.latch) Audit(DaemonCaller().identity, "interlock " + rule.id + " released");
        break;
      case Interlock::Event::kIncomplete: {
        const bool danger = rule.severity == Level::kDangerous;
        const std::string text =
            "interlock " + rule.id + (danger ? ": shutdown incomplete: " : ": incomplete: ") +
            interlock.problem() + (danger ? ". Make it safe by hand." : ". Look after it.");
        alarms_->Raise(kSafetyDevice, incomplete,
                       danger ? AlarmSeverity::kCritical : AlarmSeverity::kWarning, text);
        Audit(DaemonCaller().identity, text);
        break;
      }
      case Interlock::Event::kComplete:
        alarms_->Clear(kSafetyDevice, incomplete);
        Audit(DaemonCaller().identity, "interlock " + rule.id + ": what it does is done" +
                                           (rule.verify ? " and verified" : ""));
        break;
    }
  }
}

void Engine::TellLevels() {
  const std::vector<LevelWatch>& levels = inputs_.levels();
  for (size_t i = 0; i < levels.size(); ++i) {
    const Level level = levels[i].level();
    if (level == levels_raised_[i]) continue;
    levels_raised_[i] = level;
    changed_ = true;
    const LevelRule& rule = levels[i].rule();
    if (level == Level::kNormal) {
      alarms_->Clear(kSafetyDevice, rule.id);
      continue;
    }
    const std::optional<InterlockCause> worst = levels[i].Worst(LevelSide::kAny);
    alarms_->Raise(kSafetyDevice, rule.id,
                   level == Level::kDangerous ? AlarmSeverity::kCritical : AlarmSeverity::kWarning,
                   "level " + rule.id + " is " + std::string(ToString(level)) +
                       (worst ? ": " + worst->subject + " is " + worst->found : ""));
  }
}

SafetyState Engine::StateNow() const {
  bool settling = false, warning = false, tripped = false, unsafe = false;
  for (const Interlock& interlock : interlocks_) {
    settling |= interlock.state() == InterlockState::kSettling;
    if (!interlock.acting()) continue;
    if (interlock.rule().severity == Level::kDangerous) {
      tripped = true;
      unsafe |= !interlock.complete();
    } else {
      warning = true;
    }
  }
  const auto answered = [&](size_t level) {
    return std::any_of(interlocks_.begin(), interlocks_.end(), [&](const Interlock& interlock) {
      return interlock.acting() && interlock.rule().severity == Level::kDangerous &&
             interlock.Answers(level);
    });
  };
  for (size_t i = 0; i < inputs_.levels().size(); ++i) {
    const Level level = inputs_.levels()[i].level();
    // A danger that no interlock answers is one nevertheless.
    unsafe |= level == Level::kDangerous && !answered(i);
    warning |= level == Level::kWarning;
  }
  if (unsafe) return SafetyState::kDangerous;
  if (tripped) return SafetyState::kSecurity;
  if (settling) return SafetyState::kInit;
  if (warning) return SafetyState::kWarning;
  if (precharge_ && inputs_.Evaluate(*precharge_) == Truth::kTrue) return SafetyState::kPrecharge;
  return SafetyState::kNormal;
}

void Engine::Publish(MonoTime now) {
  changed_ = false;
  const SafetyState state = StateNow();
  state_.store(state, std::memory_order_release);
  ItemId item = 0;
  const auto set = [&](auto value) {
    writer_->Set(item++, Value::Integer(static_cast<int64_t>(value)), now, kGoodFor);
  };
  set(state);
  for (const LevelWatch& level : inputs_.levels()) set(level.level());
  for (const Interlock& interlock : interlocks_) set(interlock.state());
  // Who waits until all is ready waits for what interlocks refuse until they have settled.
  if (state != SafetyState::kInit) {
    writer_->SetLink(LinkState::kOnline, "");
    writer_->SetPolled(true);
  }
  writer_->Commit();
  PublishView();
}

void Engine::PublishView() {
  std::vector<InterlockInfo> view;
  for (const Interlock& interlock : interlocks_) view.push_back(interlock.Info());
  std::vector<LevelInfo> levels;
  for (const LevelWatch& level : inputs_.levels()) {
    LevelInfo& info = levels.emplace_back();
    info.id = level.rule().id;
    info.level = level.level();
    if (info.level == Level::kNormal) continue;
    if (const auto worst = level.Worst(LevelSide::kAny)) {
      info.worst = worst->subject + " is " + worst->found;
    }
  }
  const MutexLock lock(&view_mutex_);
  view_ = std::move(view);
  level_view_ = std::move(levels);
}

// ---------------------------------------------------------------- what callers ask

absl::StatusOr<InterlockInfo> Engine::Acknowledge(const Caller& caller, const std::string& id,
                                                  const std::string& comment) {
  if (caller.role < Role::kOperator) {
    return MakeError(StatusCode::kPermissionDenied, "ROLE_TOO_LOW",
                     "interlocks are acknowledged by the role operator; " + caller.identity +
                         " has the role " + std::string(ToString(caller.role)),
                     {{"needed", std::string(ToString(Role::kOperator))},
                      {"role", std::string(ToString(caller.role))},
                      {"identity", caller.identity}});
  }
  if (comment.size() > kMaxComment) {
    return MakeError(StatusCode::kInvalidArgument, "COMMENT_TOO_LONG",
                     "found a comment of " + std::to_string(comment.size()) +
                         " bytes, expected at most " + std::to_string(kMaxComment),
                     {{"maximum", std::to_string(kMaxComment)}});
  }
  const MutexLock lock(&mutex_);
  const auto found = std::find_if(interlocks_.begin(), interlocks_.end(),
                                  [&](const Interlock& i) { return i.rule().id == id; });
  if (found == interlocks_.end()) {
    std::vector<std::string> ids;
    for (const Interlock& interlock : interlocks_) ids.push_back(interlock.rule().id);
    const std::string printable = Printable(id, kMaxQuotedName);
    return MakeError(StatusCode::kNotFound, "INTERLOCK_UNKNOWN",
                     "there is no interlock \"" + printable + "\"" + DidYouMean(id, ids),
                     {{"interlock", printable}});
  }
  // By the newest readings, not by those of the last look.
  const MonoTime now = clock_->Now();
  inputs_.Update(now);
  found->Look(now);
  const bool takes_over = caller.role >= Role::kEngineer && !comment.empty();
  if (absl::Status status = found->MayAcknowledge(now, takes_over); !status.ok()) {
    News();
    return status;
  }
  const bool unseen = found->unfinished() && found->IsSafe() != Truth::kTrue;
  Audit(caller.identity, "interlock " + id + " acknowledged" +
                             (unseen ? ", taken over incomplete (" + found->problem() + ")" : "") +
                             (comment.empty() ? "" : ": " + Printable(comment, kMaxComment)));
  found->Acknowledge();
  inputs_.SetInterlock(static_cast<size_t>(found - interlocks_.begin()), Truth::kFalse);
  Tell(*found, now);
  UpdateRefusals();
  Publish(now);
  // Others may have left their devices to it.
  News();
  return found->Info();
}

}  // namespace

std::unique_ptr<InterlockTable> MakeInterlockEngine(SafetyRules rules,
                                                    InterlockDependencies dependencies) {
  return std::make_unique<Engine>(std::move(rules), std::move(dependencies));
}

}  // namespace canhub
