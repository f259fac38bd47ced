#include "daemon/core/access.h"

#include <string_view>

namespace canhub {
namespace {

constexpr char kDaemon[] = "canhubd";
// No client's identity begins so.
constexpr char kInterlockPrefix[] = "interlock:";

// '*' stands for any characters, none included. Linear in practice: on a mismatch only the last
// star grows.
bool MatchesPattern(std::string_view pattern, std::string_view text) {
  constexpr size_t kNone = std::string_view::npos;
  size_t p = 0, t = 0, star = kNone, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != kNone) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

Caller DaemonCaller() { return {kDaemon, Role::kEngineer}; }

Caller InterlockCaller(const std::string& interlock) {
  return {kInterlockPrefix + interlock, Role::kEngineer};
}

bool IsDaemonsOwn(std::string_view identity) {
  return identity == kDaemon || identity.starts_with(kInterlockPrefix);
}

Role AccessRules::RoleOf(std::string_view identity) const {
  for (const AccessRule& rule : rules_) {
    if (MatchesPattern(rule.identity, identity)) return rule.role;
  }
  return otherwise_;
}

}  // namespace canhub
