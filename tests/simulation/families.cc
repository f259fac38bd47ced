#include "tests/simulation/family.h"
#include "tests/simulation/family_iseg.h"

namespace canhub::simulation {

std::span<const Family* const> Families() {
  static const Family* const kFamilies[] = {&IsegFamily()};
  return kFamilies;
}

}  // namespace canhub::simulation
