// The tables of data/ as they stand in the program; the build makes the definitions.
#pragma once

#include "drivers/studer/catalogue.h"

namespace canhub::studer {

CatalogueTexts BuiltInTexts();

}  // namespace canhub::studer
