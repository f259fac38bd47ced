// Devices behind one gateway that serves one question at a time take turns (ADR 0007).
#pragma once

#include <chrono>

#include "drivers/api/time.h"

namespace canhub {

// One device's part in it; used on its actor's thread only. Whoever has the turn asks one question
// and gives the turn back with the answer, or when it has given the answer up.
class Turn {
 public:
  // A turn that is not given back passes on after this: a device that hangs holds up its
  // neighbours for no longer (S09). What is sent for a turn must not wait beyond it.
  static constexpr Duration kLongest = std::chrono::seconds(2);

  virtual ~Turn() = default;
  // Asks for the turn. True: it is this device's, now. False: Driver::OnTurn is called once it is;
  // asking again meanwhile only changes the rank. Smaller ranks go first, the family says what they
  // mean; of equal ones goes who has waited longest.
  virtual bool Want(int rank) = 0;
  // Gives the turn back, or withdraws the wish; nothing where there is neither.
  virtual void Release() = 0;
};

}  // namespace canhub
