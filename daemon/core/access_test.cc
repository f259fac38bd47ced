#include "daemon/core/access.h"

#include <gtest/gtest.h>

namespace canhub {
namespace {

TEST(AccessRulesTest, TheFirstRuleThatMatchesDecides) {
  const AccessRules rules({{"unix:uid=1000(alice)", Role::kOperator},
                           {"unix:*", Role::kViewer},
                           {"cert:CN=*,O=lab", Role::kEngineer}},
                          Role::kNone);
  EXPECT_EQ(rules.RoleOf("unix:uid=1000(alice)"), Role::kOperator);
  EXPECT_EQ(rules.RoleOf("unix:uid=1001(bob)"), Role::kViewer);
  EXPECT_EQ(rules.RoleOf("cert:CN=carol,O=lab"), Role::kEngineer);
  EXPECT_EQ(rules.RoleOf("cert:CN=carol,O=lab,OU=x"), Role::kNone);
  EXPECT_EQ(rules.RoleOf(""), Role::kNone);
}

TEST(AccessRulesTest, AStarStandsForAnyCharactersAnywhere) {
  const AccessRules rules({{"a*b*c", Role::kEngineer}}, Role::kNone);
  EXPECT_EQ(rules.RoleOf("abc"), Role::kEngineer);
  EXPECT_EQ(rules.RoleOf("a-b-b-c-c"), Role::kEngineer);
  EXPECT_EQ(rules.RoleOf("ac"), Role::kNone);
  EXPECT_EQ(rules.RoleOf("abcd"), Role::kNone);
}

TEST(AccessRulesTest, WithoutRulesEverybodyMayWatch) {
  EXPECT_EQ(AccessRules().RoleOf("anybody"), Role::kViewer);
}

}  // namespace
}  // namespace canhub
