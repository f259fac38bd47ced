#include "daemon/safety/interlock.h"

#include <algorithm>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {

Interlock::Interlock(size_t index, const InterlockRule* rule, SafetyInputs* inputs,
                     InterlockHost* host)
    : index_(index), rule_(rule), inputs_(inputs), host_(host), when_(inputs->Compile(rule->when)) {
  if (rule->verify) verify_ = inputs->Compile(*rule->verify);
  Compile(rule->steps, "");
  Compile(rule->clear_steps, "on_clear ");
}

void Interlock::Compile(const std::vector<SafeStep>& rules, const std::string& prefix) {
  for (const SafeStep& rule : rules) {
    Step& step = steps_.emplace_back(Step{.rule = &rule});
    step.info.text = prefix + rule.text;
    if (rule.only_if) step.only_if = inputs_->Compile(*rule.only_if);
    if (rule.until) step.until = inputs_->Compile(*rule.until);
  }
}

bool Interlock::Has(const SafeStep& what) const {
  return std::any_of(steps_.begin(), steps_.begin() + static_cast<ptrdiff_t>(rule_->steps.size()),
                     [&](const Step& step) {
                       return Meet(*step.rule, what) &&
                              (step.acted || step.info.state == InterlockStepInfo::State::kIdle);
                     });
}

bool Interlock::Look(MonoTime now) {
  const InterlockState before = state_;
  const Truth when = inputs_->Evaluate(when_);
  if (when != Truth::kUnknown) {
    unknown_since_.reset();
  } else if (!unknown_since_) {
    unknown_since_ = now;
  }
  over_ = when == Truth::kFalse;
  holds_now_ = when == Truth::kTrue;
  settled_ |= when != Truth::kUnknown || !inputs_->settling();
  const bool settling = !settled_;
  const bool trips = when == Truth::kTrue || (when == Truth::kUnknown && !settling &&
                                              now - *unknown_since_ >= rule_->unknown_for);
  switch (state_) {
    case InterlockState::kClear:
    case InterlockState::kSettling:
      if (trips) {
        Trip(now);
      } else if (when == Truth::kFalse) {
        state_ = InterlockState::kClear;
      } else if (settling) {
        state_ = InterlockState::kSettling;
      }
      if (state_ == InterlockState::kTripped) break;
      causes_.clear();
      if (state_ == InterlockState::kSettling) inputs_->AddCauses(when_, true, &causes_);
      break;
    case InterlockState::kTripped:
      if (when != Truth::kFalse) {
        // The newest readings, but not none: what is unknown may be so for a moment only.
        std::vector<InterlockCause> causes;
        inputs_->AddCauses(when_, true, &causes);
        causes_ = std::move(causes);
        // Its end is taken back.
        if (clearing_ && trips) Trip(now);
      } else if (rule_->latch) {
        state_ = InterlockState::kLatched;
        events_.push_back(Event::kLatched);
      } else if (!clearing_ &&
                 (phase_ == Phase::kSteps || phase_ == Phase::kVerifying || unfinished())) {
        // What has begun is brought to its end.
      } else if (now < *tripped_ + rule_->hold) {
        // Not yet.
      } else if (rule_->clear_steps.empty() || (clearing_ && phase_ == Phase::kComplete)) {
        Release();
      } else if (!clearing_) {
        BeginSequence(/*clearing=*/true);
      }
      break;
    case InterlockState::kLatched:
      if (trips) Trip(now);
      break;
  }
  return state_ != before;
}

void Interlock::Trip(MonoTime now) {
  state_ = InterlockState::kTripped;
  if (!tripped_ || clearing_) tripped_ = now;
  ++trips_;
  causes_.clear();
  inputs_->AddCauses(when_, true, &causes_);
  events_.push_back(Event::kTripped);
  if (clearing_ || (phase_ != Phase::kSteps && phase_ != Phase::kVerifying)) {
    BeginSequence(/*clearing=*/false);
  }
}

void Interlock::Restore(const std::string& why, MonoTime now) {
  state_ = InterlockState::kLatched;
  tripped_ = now;
  causes_ = {
      {.condition = "latched before the daemon started", .subject = rule_->id, .found = why}};
  if (!verify_) return BeginSequence(/*clearing=*/false);
  // What shows that it is safe gets its time to be read; nothing is sent where it does.
  phase_ = Phase::kIncomplete;
  retry_ = now + kRetry;
}

void Interlock::BeginSequence(bool clearing) {
  ++run_;
  last_act_ = MonoTime::min();
  clearing_ = clearing;
  blocked_ = false;
  at_ = first();
  phase_ = Phase::kSteps;
  for (size_t i = first(); i < last(); ++i) {
    steps_[i].begun = steps_[i].postponed = steps_[i].waits = false;
    steps_[i].info.state = InterlockStepInfo::State::kIdle;
    steps_[i].info.problem.clear();
  }
}

void Interlock::Fail(size_t step, const std::string& why) {
  InterlockStepInfo& info = steps_[step].info;
  info.state = InterlockStepInfo::State::kFailed;
  if (!info.problem.empty()) info.problem += "; ";
  info.problem += why;
}

bool Interlock::AnyFailed() const {
  return std::any_of(Running().begin(), Running().end(), [](const Step& step) {
    return step.info.state == InterlockStepInfo::State::kFailed;
  });
}

bool Interlock::AnyWaits() const {
  return std::any_of(Running().begin(), Running().end(),
                     [](const Step& step) { return step.waits; });
}

Truth Interlock::Wanted(const Step& step) const {
  if (!step.rule->acts() && !step.only_if) return Truth::kTrue;
  if (clearing_) {
    // Of what was not done there is nothing to end.
    const bool done =
        std::any_of(steps_.begin(), steps_.begin() + static_cast<ptrdiff_t>(rule_->steps.size()),
                    [&](const Step& own) { return own.acted && Meet(*own.rule, *step.rule); });
    if (step.rule->acts() && !done) return Truth::kFalse;
  }
  const Truth wanted = step.only_if ? inputs_->Evaluate(*step.only_if) : Truth::kTrue;
  // Making safe is right while nothing is known; a value that corrects something is not.
  if (!step.rule->sets()) return wanted == Truth::kFalse ? wanted : Truth::kTrue;
  const bool known = clearing_ || rule_->severity == Level::kDangerous || holds_now_;
  return known ? wanted : std::min(wanted, Truth::kUnknown);
}

bool Interlock::Left(const Step& step) const {
  return !clearing_ && host_->Taken(*rule_, *step.rule, /*any=*/false);
}

void Interlock::Begin(Step& step, MonoTime now) {
  const Truth wanted = Wanted(step);
  const bool done = wanted == Truth::kTrue && !Left(step);
  step.begun = true;
  step.deadline = now + step.rule->within;
  step.awaited = step.until && wanted == Truth::kTrue;
  step.postponed = !done && wanted != Truth::kFalse;
  if (!done) {
    step.info.state = InterlockStepInfo::State::kSkipped;
    return;
  }
  step.info.state = InterlockStepInfo::State::kRunning;
  if (!step.rule->acts()) return;
  step.waits = step.acted = true;
  last_act_ = now;
  host_->Act(index_, run_, at_, *step.rule);
}

void Interlock::CatchUp() {
  for (size_t i = first(); i < last(); ++i) {
    Step& step = steps_[i];
    if (!step.postponed) continue;
    const Truth wanted = Wanted(step);
    // What is known not to be wanted is no longer.
    step.postponed = wanted != Truth::kFalse;
    if (wanted != Truth::kTrue || Left(step)) continue;
    step.begun = step.postponed = false;
    step.info.state = InterlockStepInfo::State::kIdle;
    at_ = std::min(at_, i);
    phase_ = Phase::kSteps;
  }
}

void Interlock::Proceed(MonoTime now) {
  if (!acting() || (clearing_ && !over_)) return;
  if (phase_ == Phase::kIncomplete && now >= retry_) BeginSequence(clearing_);
  if (!clearing_ && phase_ == Phase::kComplete && verify_ &&
      inputs_->Evaluate(*verify_, last_act_) == Truth::kFalse) {
    // Somebody else has undone it.
    BeginSequence(/*clearing=*/false);
  }
  if (state_ == InterlockState::kTripped && !clearing_) CatchUp();
  while (phase_ == Phase::kSteps && at_ < last()) {
    Step& step = steps_[at_];
    if (!step.begun) {
      blocked_ = clearing_ && Wanted(step) == Truth::kTrue &&
                 host_->Taken(*rule_, *step.rule, /*any=*/true);
      if (blocked_) return;
      Begin(step, now);
    }
    if (step.awaited && inputs_->Evaluate(*step.until, last_act_) != Truth::kTrue) {
      if (now < step.deadline) return;
      std::vector<InterlockCause> causes;
      inputs_->AddCauses(*step.until, false, &causes, last_act_);
      Fail(at_,
           "not in time: " + (causes.empty() ? step.rule->until->text : causes[0].ToText(now)));
    }
    // Not once more, where what was postponed is caught up with.
    step.awaited = false;
    if (!step.waits && step.info.state == InterlockStepInfo::State::kRunning) {
      step.info.state = InterlockStepInfo::State::kDone;
    }
    ++at_;
  }
  if (phase_ == Phase::kSteps) {
    phase_ = Phase::kVerifying;
    deadline_ = now + rule_->verify_within;
  }
  if (phase_ == Phase::kVerifying || phase_ == Phase::kIncomplete) Verify(now);
}

void Interlock::Verify(MonoTime now) {
  const bool verifies = verify_ && !clearing_;
  const bool safe = verifies ? inputs_->Evaluate(*verify_, last_act_) == Truth::kTrue
                             : !AnyWaits() && !AnyFailed();
  if (safe) {
    phase_ = Phase::kComplete;
    if (!clearing_) events_.push_back(Event::kComplete);
    return;
  }
  if (phase_ == Phase::kIncomplete) return;
  const bool hopeless = !verifies && !AnyWaits();
  if (now < deadline_ && !hopeless) return;
  phase_ = Phase::kIncomplete;
  retry_ = now + kRetry;
  events_.push_back(Event::kIncomplete);
}

void Interlock::ActionEnded(uint64_t run, size_t step, const absl::Status& status) {
  if (run != run_) return;
  steps_[step].waits = false;
  if (!status.ok()) {
    Fail(step, std::string(status.message()));
  } else if (steps_[step].info.state == InterlockStepInfo::State::kRunning && at_ > step) {
    steps_[step].info.state = InterlockStepInfo::State::kDone;
  }
}

void Interlock::Release() {
  state_ = InterlockState::kClear;
  phase_ = Phase::kIdle;
  clearing_ = false;
  tripped_.reset();
  causes_.clear();
  for (Step& step : steps_) {
    step.info = {.text = std::move(step.info.text)};
    step.waits = step.acted = false;
  }
  events_.push_back(Event::kReleased);
}

bool Interlock::Answers(const ConditionNode& node, size_t level) const {
  if (node.condition->kind == RuleCondition::Kind::kLevel) {
    return node.index == level && inputs_->Evaluate(node) == Truth::kTrue;
  }
  return std::any_of(node.parts.begin(), node.parts.end(),
                     [&](const ConditionNode& part) { return Answers(part, level); });
}

Truth Interlock::IsSafe() const {
  if (verify_) return inputs_->Evaluate(*verify_, last_act_);
  Truth safe = Truth::kTrue;
  for (const Step& step : Running()) {
    if (!step.waits && step.info.state != InterlockStepInfo::State::kFailed) continue;
    safe = std::min(safe, step.until ? inputs_->Evaluate(*step.until, last_act_) : Truth::kUnknown);
  }
  return safe;
}

absl::Status Interlock::MayAcknowledge(MonoTime now, bool takes_over) const {
  const auto refuse = [&](std::string_view reason, const std::string& text) {
    return MakeError(absl::StatusCode::kFailedPrecondition, reason,
                     "interlock " + rule_->id + ": " + text, {{"interlock", rule_->id}});
  };
  switch (state_) {
    case InterlockState::kClear:
    case InterlockState::kSettling:
      return refuse("INTERLOCK_NOT_LATCHED",
                    "is " + std::string(ToString(state_)) + ": there is nothing to acknowledge");
    case InterlockState::kTripped:
      // A person takes over what it cannot end.
      if (clearing_ && over_ && (phase_ == Phase::kIncomplete || blocked_)) return absl::OkStatus();
      if (over_ && unfinished()) break;
      if (ending()) return refuse("INTERLOCK_ENDS", "its condition is over, and it ends by itself");
      return refuse("INTERLOCK_HOLDS",
                    "its condition still holds: " +
                        (causes_.empty() ? rule_->when.text : causes_[0].ToText(now)));
    case InterlockState::kLatched:
      break;
  }
  if (const Level worst = inputs_->WorstLevel(when_); worst != Level::kNormal) {
    return refuse("LEVEL_NOT_NORMAL", "a level of it is still at " + std::string(ToString(worst)) +
                                          ", expected normal, with its hysteresis");
  }
  if (inputs_->Evaluate(when_) != Truth::kFalse) {
    return refuse("INTERLOCK_HOLDS", "something that it needs is not known");
  }
  if (phase_ == Phase::kSteps || phase_ == Phase::kVerifying) {
    return refuse("SEQUENCE_UNDER_WAY", "its sequence is under way; wait for its end");
  }
  if (!unfinished()) return absl::OkStatus();
  const Truth safe = IsSafe();
  if (safe == Truth::kFalse || (safe == Truth::kUnknown && !takes_over)) {
    return refuse(
        "SHUTDOWN_INCOMPLETE",
        "its shutdown is incomplete: " + problem() +
            "; it is tried again every 5 s. Make it safe by hand, and acknowledge it when that is "
            "seen" +
            (safe == Truth::kFalse ? ""
                                   : "; for what cannot be seen any more, the role engineer "
                                     "answers, with a comment that says how it was made safe"));
  }
  return absl::OkStatus();
}

void Interlock::Acknowledge() { Release(); }

MonoTime Interlock::next() const {
  // While its end waits for its condition, or for another, a look each tick is enough.
  if (!acting() || blocked_ || (clearing_ && !over_)) return kNever;
  switch (phase_) {
    case Phase::kSteps:
      return at_ < last() && steps_[at_].awaited ? steps_[at_].deadline : kNever;
    case Phase::kVerifying:
      return deadline_;
    case Phase::kIncomplete:
      return retry_;
    case Phase::kIdle:
    case Phase::kComplete:
      return kNever;
  }
  return kNever;
}

std::string Interlock::problem() const {
  std::string text;
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].info.problem.empty()) continue;
    text += (text.empty() ? "step " : "; step ") + std::to_string(i + 1) + ", " +
            steps_[i].info.text + ": " + steps_[i].info.problem;
  }
  if (AnyWaits()) text += text.empty() ? "an action has not ended" : "; an action has not ended";
  if (!verify_ || clearing_) return text;
  std::vector<InterlockCause> causes;
  inputs_->AddCauses(*verify_, false, &causes, last_act_);
  for (const InterlockCause& cause : causes) {
    text += (text.empty() ? "not verified: " : "; not verified: ") + cause.condition + ", found " +
            cause.found;
  }
  return text;
}

InterlockInfo Interlock::Info() const {
  InterlockInfo info{.id = rule_->id,
                     .description = rule_->description,
                     .condition = rule_->when.text,
                     .state = state_,
                     .severity = rule_->severity,
                     .latching = rule_->latch,
                     .causes = causes_,
                     .tripped = tripped_,
                     .complete = complete(),
                     .trips = trips_};
  for (const Step& step : steps_) info.steps.push_back(step.info);
  for (const Refusal& refusal : rule_->refuse) {
    info.refuses.push_back(refusal.device + (refusal.name.empty() ? "" : "/" + refusal.name));
  }
  return info;
}

}  // namespace canhub
