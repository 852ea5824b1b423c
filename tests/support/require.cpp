#include "tests/support/require.h"

#include <cstdlib>
#include <string_view>

namespace caldera::test {

bool all_required() {
  const char* given = std::getenv("CALDERA_REQUIRE_DRIVERS");
  return given && std::string_view(given) == "1";
}

}  // namespace caldera::test
