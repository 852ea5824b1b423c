#include "tests/graph/ops/share.h"

#include <variant>

namespace caldera::test {

std::string kind_of(const OpCase& test) {
  const Node& node = test.graph.nodes[0];
  std::string kind(op_name(node.kind()));
  if (test.every_tile) kind += " every tile";
  if (test.edit) kind += " edited";
  const auto* conv = std::get_if<Conv2dAttrs>(&node.attrs);
  if (!conv) return kind;
  const Shape& weight = test.graph.value(node.inputs[1]).shape;  // [O, I / groups, KH, KW]
  if (conv->groups > 1) {
    kind += weight[1] == 1 && conv->groups == weight[0] ? " depthwise" : " grouped";
  }
  if (weight[2] == 1 && weight[3] == 1) kind += " 1x1";
  if (weight[2] == 3 && weight[3] == 3) kind += " 3x3";
  if (conv->stride.h > 1 || conv->stride.w > 1) kind += " strided";
  if (conv->dilation.h > 1 || conv->dilation.w > 1) kind += " dilated";
  return kind;
}

CaseCount& counted_cases() {
  static CaseCount count;
  return count;
}

}  // namespace caldera::test
