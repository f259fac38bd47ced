// Runs a whole lab on a virtual clock, for tests: no thread, no sleep, the same every time.
#pragma once

#include <vector>

#include "daemon/wiring.h"
#include "drivers/testing/step_runner.h"

namespace canhub {

// Steps a lab that was created with `clock`. Not thread-safe. Destroyed before the lab.
class LabStepper {
 public:
  LabStepper(Lab* lab, SimulatedClock* clock) : steps_(lab->Steppables()), runner_(clock) {
    for (Steppable* step : steps_) runner_.Add(step);
  }
  // A lab that ends wakes its own parts: none of them may call this any more.
  ~LabStepper() {
    for (Steppable* step : steps_) runner_.Remove(step);
  }
  LabStepper(const LabStepper&) = delete;
  LabStepper& operator=(const LabStepper&) = delete;

  // For what is not the lab's: RpcServer::steppables(). The caller removes it (runner()) when it
  // goes first.
  void Add(Steppable* step) { runner_.Add(step); }
  // Everything that is due now, without moving the clock.
  void Settle() { runner_.Settle(); }
  void RunFor(Duration time) { runner_.RunFor(time); }
  // At most for `limit`; whether `done()` became true.
  template <typename Predicate>
  bool RunUntilTrue(Predicate done, Duration limit) {
    return runner_.RunUntilTrue(std::move(done), limit);
  }
  // Remove, Pause and the count of steps.
  StepRunner& runner() { return runner_; }

 private:
  const std::vector<Steppable*> steps_;
  StepRunner runner_;
};

}  // namespace canhub
