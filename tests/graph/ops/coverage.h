// Which kernel variants the cases of this program reached, in which precision. A variant that no
// case reaches is tested by nobody: the program says so at its end, and fails where the driver is
// known to run it.
#pragma once

#include <string>

#include "caldera/session.h"

namespace caldera::test {

void count_as_reached(const std::string& variant, Precision precision);

}  // namespace caldera::test
