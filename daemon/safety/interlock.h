// One interlock: when it trips, what it does then, and how it ends.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/core/interlock_table.h"
#include "daemon/safety/inputs.h"
#include "daemon/safety/rules.h"

namespace canhub {

// What an interlock asks of its engine.
class InterlockHost {
 public:
  virtual ~InterlockHost() = default;
  // What the step does, at once. Its end comes to Interlock::ActionEnded with the same numbers.
  virtual void Act(size_t interlock, uint64_t run, size_t step, const SafeStep& what) = 0;
  // Whether another interlock has what the step is about now: with `any` whichever, otherwise one
  // to which this one yields.
  virtual bool Taken(const InterlockRule& rule, const SafeStep& step, bool any) const = 0;
};

// States (InterlockState): clear ⇄ settling; clear, settling → tripped; tripped → latched → clear
// by acknowledgement, or tripped → clear where it does not latch; latched → tripped. Its sequence
// runs once with each trip, and again every kRetry while it is not known to have worked. One that
// does not latch ends so: its condition is over, `hold` has passed, nobody else has what its
// `clear_steps` are about, these are done.
class Interlock {
 public:
  // A sequence that did not do what it should is tried again after this.
  static constexpr Duration kRetry = std::chrono::seconds(5);

  // `rule`, `inputs` and `host` outlive it.
  Interlock(size_t index, const InterlockRule* rule, SafetyInputs* inputs, InterlockHost* host);
  Interlock(Interlock&&) = default;

  // What changed by a look.
  enum class Event : uint8_t { kTripped, kLatched, kReleased, kIncomplete, kComplete };

  // One look, in three parts: the state; the actions; what became of them. `Look` says whether the
  // state changed.
  bool Look(MonoTime now);
  // Takes the sequence as far as it goes now.
  void Proceed(MonoTime now);
  // Before the first look: latched by an earlier run of the daemon.
  void Restore(const std::string& why, MonoTime now);
  void ActionEnded(uint64_t run, size_t step, const absl::Status& status);
  // Requires that MayAcknowledge is OK.
  void Acknowledge();
  // `takes_over`: by somebody who may answer for what cannot be seen.
  absl::Status MayAcknowledge(MonoTime now, bool takes_over) const;
  // In this look.
  bool has_tripped() const {
    return std::find(events_.begin(), events_.end(), Event::kTripped) != events_.end();
  }
  std::vector<Event> TakeEvents() { return std::exchange(events_, {}); }

  const InterlockRule& rule() const { return *rule_; }
  InterlockState state() const { return state_; }
  // Commands are refused, others yield to it.
  bool holds() const { return state_ != InterlockState::kClear; }
  bool acting() const {
    return state_ == InterlockState::kTripped || state_ == InterlockState::kLatched;
  }
  // All that it does is done, and seen to be so now.
  bool complete() const {
    return phase_ == Phase::kComplete && !clearing_ && IsSafe() == Truth::kTrue;
  }
  // A danger whose sequence has ended, and is not seen to have done what it should.
  bool unfinished() const {
    const bool ended = phase_ == Phase::kIncomplete || phase_ == Phase::kComplete;
    return rule_->severity == Level::kDangerous && ended && !clearing_ && !complete();
  }
  // Its condition names this level, of SafetyInputs::levels(), and holds of that now.
  bool Answers(size_t level) const { return Answers(when_, level); }
  // What the sequence should do is so now, by `verify`, or else by its steps.
  Truth IsSafe() const;
  // It does not latch, and its condition is over.
  bool ending() const {
    return state_ == InterlockState::kTripped && over_ && !rule_->latch && !unfinished();
  }
  // Has it, or will it have, done something that this step meets?
  bool Has(const SafeStep& what) const;
  // When Proceed wants to be called next.
  MonoTime next() const;
  const std::vector<InterlockCause>& causes() const { return causes_; }
  std::optional<MonoTime> tripped() const { return tripped_; }
  // What did not work: "step 2, pcs1/stop: …; not verified: …".
  std::string problem() const;
  InterlockInfo Info() const;

 private:
  enum class Phase : uint8_t { kIdle, kSteps, kVerifying, kComplete, kIncomplete };
  struct Step {
    const SafeStep* rule;
    InterlockStepInfo info;
    std::optional<ConditionNode> only_if, until;
    bool begun = false;
    bool postponed = false;  // skipped: not known, or another had what it is about
    bool awaited = false;    // `until`
    bool waits = false;      // for the end of its action
    bool acted = false;      // since the trip
    MonoTime deadline{};
  };

  void Compile(const std::vector<SafeStep>& rules, const std::string& prefix);
  void Trip(MonoTime now);
  // Of `steps`, or of `clear_steps`.
  void BeginSequence(bool clearing);
  size_t first() const { return clearing_ ? rule_->steps.size() : 0; }
  size_t last() const { return clearing_ ? steps_.size() : rule_->steps.size(); }
  std::span<const Step> Running() const {
    return std::span(steps_).subspan(first(), last() - first());
  }
  // Whether the step is to be done now; unknown: that needs something that is not known.
  Truth Wanted(const Step& step) const;
  bool Left(const Step& step) const;  // to another
  // Goes back to what was postponed, where its reason is gone.
  void CatchUp();
  void Begin(Step& step, MonoTime now);
  void Release();
  void Verify(MonoTime now);
  void Fail(size_t step, const std::string& why);
  bool Answers(const ConditionNode& node, size_t level) const;
  bool AnyFailed() const;
  bool AnyWaits() const;

  const size_t index_;
  const InterlockRule* const rule_;
  SafetyInputs* const inputs_;
  InterlockHost* const host_;
  const ConditionNode when_;
  std::optional<ConditionNode> verify_;

  InterlockState state_ = InterlockState::kClear;
  bool settled_ = false;    // it was known once, or it had its time
  bool over_ = false;       // its condition is known not to hold
  bool holds_now_ = false;  // its condition is known to hold
  std::optional<MonoTime> unknown_since_;
  std::optional<MonoTime> tripped_;
  std::vector<InterlockCause> causes_;
  uint64_t trips_ = 0;

  Phase phase_ = Phase::kIdle;
  bool clearing_ = false;  // the sequence is that of its end
  bool blocked_ = false;   // which waits for another interlock
  uint64_t run_ = 0;       // of the sequence; reports of earlier ones are late
  // When a step of this run last acted: what was read before shows nothing of it.
  MonoTime last_act_ = MonoTime::min();
  size_t at_ = 0;
  std::vector<Step> steps_;  // `steps`, then `clear_steps`
  MonoTime deadline_{};      // of Verify
  MonoTime retry_{};
  std::vector<Event> events_;
};

}  // namespace canhub
