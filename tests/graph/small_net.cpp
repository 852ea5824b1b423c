// A stem, two branches of unlike length, a gate and a classifier.
#include "tests/graph/small_net.h"

#include <utility>

namespace caldera::test {

Graph small_net(int64_t batch) {
  GraphBuilder b;
  const ValueId x = b.input("x", {batch, 3, 13, 11});
  ValueId stem = b.conv2d("stem.conv", x, 8, {3, 3}, {.padding = {1, 1}});
  stem = b.relu("stem.relu", b.batch_norm("stem.bn", stem));

  // Two branches of unlike length, and the stem itself, joined by a sum and by channels.
  ValueId left = b.conv2d("left.conv1", stem, 5, {1, 1}, {.bias = true});
  left = b.activation("left.silu", left, Activation::kSilu);
  left = b.conv2d("left.conv2", left, 8, {3, 3}, {.padding = {1, 1}});
  left = b.batch_norm("left.bn", left);
  left = b.relu("left.relu", b.add("left.sum", left, stem));
  ValueId right = b.max_pool2d("right.pool", stem, {.kernel = {3, 3}, .padding = {1, 1}});
  right = b.conv2d("right.conv", right, 6, {1, 1}, {});
  right = b.activation("right.act", b.batch_norm("right.bn", right), Activation::kHardSwish);
  ValueId y = b.concat("join", {left, right});

  y = b.conv2d("down", y, 10, {3, 3}, {.stride = {2, 2}, .padding = {1, 1}, .groups = 2});
  ValueId gate = b.adaptive_avg_pool2d("gate.pool", y, {{1, 1}});
  gate = b.conv2d("gate.conv", gate, 10, {1, 1}, {.bias = true});
  y = b.multiply("gate", y, b.activation("gate.sigmoid", gate, Activation::kSigmoid));

  y = b.flatten("flatten", b.adaptive_avg_pool2d("pool", y, {{2, 2}}));
  y = b.linear("fc1", b.dropout("dropout", y, {}), 16);
  b.output(b.linear("fc2", b.relu("fc1.relu", y), 5));
  return std::move(b).finish().value();
}

}  // namespace caldera::test
