// What clients asked for and were told: the checker's half of the truth, beside the wire.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daemon/core/command_gate.h"
#include "tests/simulation/family.h"

namespace canhub::simulation {

// A command, a raw frame, or a safe action that the daemon started by itself.
struct Given {
  uint64_t number = 0;
  size_t device = 0;  // raw frames: not used
  std::string bus;
  std::variant<Act, CanFrame> what;
  bool safe = false;
  bool by_daemon = false;
  Stage wait_for = Stage::kConfirmed;
  std::string request_id;
  std::string lease_id;
  int life = 0;  // of the daemon that took it
  MonoTime given{};
  MonoTime deadline = kNever;

  bool refused = false;  // answered with an error in the call itself
  bool answered = false;
  MonoTime answer_time{};
  absl::Status status;
  CommandId command_id = 0;

  // Frames that went out for it, with how often.
  std::vector<std::pair<CanFrame, int>> frames;
  MonoTime first_frame = kNever;
  // Since when a frame has been out that can be of no other given, and whether one was that can be
  // of this one: two clients may set the same value.
  MonoTime certain_frame = kNever;
  bool perhaps_frame = false;
  // Other frames of the daemon that started between a safe action and its first frame.
  int overtaken_by = 0;

  bool raw() const { return std::holds_alternative<CanFrame>(what); }
};

struct GivenLease {
  std::string lease_id;
  std::vector<size_t> devices;
  std::map<size_t, std::string> actions;
  Duration window{};
  MonoTime expires{};
  int life = 0;
  bool releasing = false;
  std::vector<size_t> made_safe;  // while releasing
  bool over = false;
  MonoTime over_since{};
  bool wall_jumped = false;  // during its time
};

}  // namespace canhub::simulation
