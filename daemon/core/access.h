// Who may do what: identities from certificates, Unix peers and addresses, mapped to roles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "drivers/api/driver.h"

namespace canhub {

// Who calls. Identities look like "unix:uid=1000(alice)", "cert:CN=alice,O=lab", "tcp:127.0.0.1".
struct Caller {
  std::string identity;
  Role role = Role::kNone;
};
// The daemon itself: safe actions, lease lapses, shutdown.
Caller DaemonCaller();
// One of its interlocks: "interlock:battery_danger".
Caller InterlockCaller(const std::string& interlock);
// Either of them.
bool IsDaemonsOwn(std::string_view identity);

struct AccessRule {
  std::string identity;  // "*" within it stands for any characters
  Role role = Role::kNone;
};

// First match wins.
class AccessRules {
 public:
  AccessRules() = default;
  AccessRules(std::vector<AccessRule> rules, Role otherwise)
      : rules_(std::move(rules)), otherwise_(otherwise) {}
  Role RoleOf(std::string_view identity) const;

 private:
  std::vector<AccessRule> rules_;
  Role otherwise_ = Role::kViewer;
};

}  // namespace canhub
