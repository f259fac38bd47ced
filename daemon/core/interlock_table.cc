#include "daemon/core/interlock_table.h"

namespace canhub {

std::string_view ToString(InterlockState state) {
  switch (state) {
    case InterlockState::kClear:
      return "clear";
    case InterlockState::kSettling:
      return "settling";
    case InterlockState::kTripped:
      return "tripped";
    case InterlockState::kLatched:
      return "latched";
  }
  return "";
}

std::string InterlockCause::ToText(MonoTime now) const {
  const std::string fact = subject + " is " + found;
  std::string text = condition == subject || condition == fact ? fact : condition + ": " + fact;
  if (time) {
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - *time);
    text += ", " + std::to_string(age.count()) + " ms old";
  }
  return text;
}

}  // namespace canhub
