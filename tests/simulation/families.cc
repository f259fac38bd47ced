#include "tests/simulation/family.h"
#include "tests/simulation/family_battery_module.h"
#include "tests/simulation/family_iseg.h"
#include "tests/simulation/family_studer.h"
#include "tests/simulation/family_ystech_pcs.h"

namespace canhub::simulation {

std::span<const Family* const> Families() {
  static const Family* const kFamilies[] = {&IsegFamily(), &StuderFamily(), &YstechPcsFamily(),
                                            &BatteryModuleFamily()};
  return kFamilies;
}

}  // namespace canhub::simulation
