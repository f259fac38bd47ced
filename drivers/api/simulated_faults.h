// The faults in force on one simulated device, and those of the line that every family has.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/api/can_frame.h"
#include "drivers/api/driver.h"
#include "drivers/api/time.h"

namespace canhub {

// "silence", "delay", "wrong_length", "lost_frames", "garbled": to stand first in a family's list.
std::vector<FaultSpec> LineFaults();

// Not thread-safe.
class SimulatedFaults {
 public:
  // `specs` outlive this.
  explicit SimulatedFaults(const std::vector<FaultSpec>& specs) : specs_(specs) {}

  // NOT_FOUND: no such fault. INVALID_ARGUMENT: an argument that it does not have, or no number (no
  // text where the spec says "text …"). OUT_OF_RANGE: below 0 (where the spec does not say "± …"),
  // or "probability" above 1.
  absl::Status Check(std::string_view fault, const Arguments& arguments) const;
  // Puts a checked fault in force, in the place of the one of this name. Where both have the
  // argument `key`, only in the place of one with an equal value.
  void Add(std::string_view fault, const Arguments& arguments, std::string_view key = "");
  // "" for all. How many were in force; NOT_FOUND: no such fault.
  absl::StatusOr<int> Clear(std::string_view fault);

  bool Active(std::string_view fault) const;
  // With this value of an argument.
  bool Active(std::string_view fault, std::string_view argument, double value) const;
  // Of the first fault in force that has this value of an argument, or has no such argument and so
  // is meant for all; nullptr: none.
  const Arguments* FindActive(std::string_view fault, std::string_view argument,
                              double value) const;
  // The argument of the fault in force, `otherwise` when there is none.
  double Number(std::string_view fault, std::string_view argument, double otherwise) const;
  const std::vector<std::pair<std::string, Arguments>>& active() const { return active_; }

  // The line's faults. "lost_frames" alone: true for a frame that is lost.
  bool Lost(std::mt19937_64& random) const;
  // False: the frame does not reach the device.
  bool Receives(std::mt19937_64& random) const;
  // Applies them to a frame of the device; false: it is not sent.
  bool Distort(CanFrame* frame, std::mt19937_64& random) const;
  // Added to the time an answer takes.
  Duration delay() const;

 private:
  const std::vector<FaultSpec>& specs_;
  std::vector<std::pair<std::string, Arguments>> active_;
};

}  // namespace canhub
