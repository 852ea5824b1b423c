#include "tests/support/require.h"

#include <cstdlib>

namespace caldera::test {

std::string_view variable(const char* name) {
  const char* given = std::getenv(name);
  return given ? given : "";
}

bool all_required() {
  return variable("CALDERA_REQUIRE_DRIVERS") == "1";
}

std::string_view driver() {
  return variable("CALDERA_TEST_DRIVER");
}

bool driver_has_halves() {
  return driver() == "lavapipe" || driver() == "lavapipe-next";
}

bool driver_has_subgroups_of_eight() {
  return driver() == "lavapipe" || driver() == "lavapipe-next";
}

bool driver_has_matrices() {
  return driver() == "lavapipe-next";
}

}  // namespace caldera::test
