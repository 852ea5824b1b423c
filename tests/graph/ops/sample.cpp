#include "tests/graph/ops/sample.h"

#include <cstdlib>
#include <span>
#include <string_view>
#include <variant>

#include "runtime/fnv1a.h"
#include "tests/support/require.h"

namespace caldera::test {

namespace {

std::string_view variable(const char* name) {
  const char* given = std::getenv(name);
  return given ? given : "";
}

CaseCount& count() {
  static CaseCount cases;
  return cases;
}

// Of four parts of the cases lavapipe runs two, since it is the quickest; the others one each.
constexpr uint64_t kParts = 4;
bool is_in_share_of(std::string_view driver, uint64_t part) {
  if (driver == "lavapipe") return part < 2;
  if (driver == "lavapipe-next") return part == 2;
  if (driver == "swiftshader") return part == 3;
  return true;
}

}  // namespace

std::string kind_of(const OpCase& test) {
  const Node& node = test.graph.nodes[0];
  std::string kind(op_name(node.kind()));
  if (test.every_tile) kind += " every tile";
  if (test.edit) kind += " edited";
  const auto* conv = std::get_if<Conv2dAttrs>(&node.attrs);
  if (!conv) return kind;
  const Shape& weight = test.graph.value(node.inputs[1]).shape;  // [O, I / groups, KH, KW]
  if (conv->groups > 1)
    kind += weight[1] == 1 && conv->groups == weight[0] ? " depthwise" : " grouped";
  if (weight[2] == 1 && weight[3] == 1) kind += " 1x1";
  if (weight[2] == 3 && weight[3] == 3) kind += " 3x3";
  if (conv->stride.h > 1 || conv->stride.w > 1) kind += " strided";
  if (conv->dilation.h > 1 || conv->dilation.w > 1) kind += " dilated";
  return kind;
}

bool is_in_share(const std::string& name) {
  const std::string seeded = std::string(variable("CALDERA_TEST_SEED")) + name;
  const uint64_t hash = fnv1a(std::as_bytes(std::span(seeded))) >> 32;  // The well mixed half.
  const std::string_view cases = variable("CALDERA_TEST_CASES");
  if (cases == "all") return true;
  if (const uint64_t every = std::strtoull(cases.data(), nullptr, 10)) return hash % every == 0;
  return is_in_share_of(driver(), hash % kParts);
}

bool runs_whole_share() {
  const std::string_view cases = variable("CALDERA_TEST_CASES");
  return cases.empty() || cases == "all";
}

void count_cases(size_t taken, size_t given) {
  count().taken += taken;
  count().given += given;
}

CaseCount counted_cases() {
  return count();
}

}  // namespace caldera::test
