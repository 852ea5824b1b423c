#include "tests/support/share.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tests/support/require.h"

namespace caldera::test {

namespace {

// FNV-1a, of which the upper half is well mixed.
uint64_t hash(std::string_view text) {
  uint64_t result = 0xcbf29ce484222325u;
  for (const char c : text) result = (result ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return result >> 32;
}

// Lavapipe runs two of four parts, since it is the quickest, and in halves SwiftShader's too, which
// has none; the others run one each.
bool is_in_share_of(std::string_view driver, uint64_t part, bool halves) {
  if (driver == "lavapipe") return part < 2 || (halves && part == 3);
  if (driver == "lavapipe-next") return part == 2;
  if (driver == "swiftshader") return part == 3;
  return true;
}

}  // namespace

bool takes_all_cases() {
  return variable("CALDERA_TEST_CASES") == "all";
}

bool runs_whole_share() {
  return takes_all_cases() || variable("CALDERA_TEST_CASES").empty();
}

bool is_in_share(const std::string& name, bool halves) {
  if (takes_all_cases()) return true;
  const std::string_view cases = variable("CALDERA_TEST_CASES");
  const uint64_t number = hash(std::string(variable("CALDERA_TEST_SEED")) + name);
  if (const uint64_t every = std::strtoull(cases.data(), nullptr, 10)) return number % every == 0;
  return is_in_share_of(driver(), number % 4, halves);
}

}  // namespace caldera::test
