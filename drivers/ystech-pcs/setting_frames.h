// The stored settings: which action sets which frame, and how it is read back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "drivers/api/driver.h"
#include "drivers/ystech-pcs/frames.h"

namespace canhub::ystech_pcs {

struct SettingFrame {
  const char* action;
  Pf set;
  Pf reply;
  int selector;                    // of the reply; -1: it has none
  std::optional<Pf> stored;        // the frame that reads it back; nullopt: nothing does
  std::vector<const char*> items;  // arguments and items, in the order of the frame's fields
  bool while_running;
};

// In the order in which they are sent; set_protection has three.
const std::vector<SettingFrame>& SettingFrames();
std::vector<const SettingFrame*> SettingFramesOf(std::string_view action);

// The actions, each with its items as arguments. Role: engineer.
std::vector<ActionSpec> SettingActions();

// The values of the frame's fields: from the arguments, and where these have none from `present`
// (physical, in the frame's units; nullopt: not known). INVALID_ARGUMENT: a label that is none, a
// number that is not whole where it must be. FAILED_PRECONDITION: a value is neither given nor
// known.
using Present = std::function<std::optional<double>(size_t field)>;
absl::StatusOr<std::vector<double>> SettingValues(const std::string& device_id,
                                                  const SettingFrame& frame,
                                                  const Arguments& arguments,
                                                  const Present& present);
// Whether any of its items is given.
bool Concerns(const SettingFrame& frame, const Arguments& arguments);

}  // namespace canhub::ystech_pcs
