// Operators that move elements: concat, pad, subsample, flatten. Odd channels make their rows
// begin in the middle of a vector of four.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/graph/ops/op_case.h"

namespace caldera::test {

namespace {

OpCase concat(int64_t batch, const std::vector<int64_t>& channels, int64_t h, int64_t w) {
  return {fmt::format("concat {}x[{}]x{}x{}", batch, fmt::join(channels, "+"), h, w),
          one_node([&](GraphBuilder& builder) {
            std::vector<ValueId> inputs;
            for (const int64_t c : channels) {
              inputs.push_back(builder.input(fmt::format("x{}", inputs.size()), {batch, c, h, w}));
            }
            return builder.concat("concat", inputs);
          })};
}

OpCase pad(const Shape& input, const PadAttrs& a) {
  return {fmt::format("pad {} channels {}+{}, rows {}+{}, columns {}+{}", to_string(input),
                      a.channels_before, a.channels_after, a.top, a.bottom, a.left, a.right),
          one_node([&](GraphBuilder& builder) {
            return builder.pad("pad", builder.input("x", input), a);
          })};
}

OpCase subsample(const Shape& input, Size2d stride) {
  return {fmt::format("subsample {} by {}x{}", to_string(input), stride.h, stride.w),
          one_node([&](GraphBuilder& builder) {
            return builder.subsample("subsample", builder.input("x", input), {stride});
          })};
}

OpCase flatten(const Shape& input) {
  return {fmt::format("flatten {}", to_string(input)), one_node([&](GraphBuilder& builder) {
            return builder.flatten("flatten", builder.input("x", input));
          })};
}

}  // namespace

std::vector<OpCase> rearranging_cases() {
  std::vector<OpCase> cases;
  for (const std::vector<int64_t>& channels : std::vector<std::vector<int64_t>>{
           {3}, {1, 1}, {7, 17}, {4, 8}, {3, 1, 7}, {8, 3, 4}, {17, 1, 3, 113}, {4, 4, 4, 4}}) {
    cases.push_back(concat(1, channels, 7, 5));
    cases.push_back(concat(5, channels, 1, 1));
  }
  cases.push_back({"concat 2-d", one_node([](GraphBuilder& builder) {
                     const ValueId a = builder.input("a", {3, 7});
                     return builder.concat("concat", {a, builder.input("b", {3, 17})});
                   })});

  // Shortcut A of the CIFAR nets, both placements, and odd ones.
  cases.push_back(pad({2, 16, 16, 16}, {.channels_before = 8, .channels_after = 8}));
  cases.push_back(pad({2, 16, 16, 16}, {.channels_after = 16}));
  cases.push_back(pad({1, 64, 28, 28}, {.channels_after = 64}));
  for (const int64_t channels : {1, 3, 7, 17, 113}) {
    cases.push_back(pad({2, channels, 7, 5}, {.channels_before = 1, .channels_after = 2}));
    cases.push_back(pad({2, channels, 7, 5}, {.channels_after = 2}));
    cases.push_back(pad({1, channels, 5, 7}, {.channels_before = 3, .top = 1, .right = 2}));
    cases.push_back(pad({5, channels, 1, 3}, {.top = 3, .bottom = 1, .left = 2, .right = 5}));
  }
  cases.push_back(pad({1, 4, 4, 4}, {}));
  cases.push_back(pad({1, 3, 225, 13}, {.top = 1, .left = 1}));

  cases.push_back(subsample({2, 16, 32, 32}, {2, 2}));
  cases.push_back(subsample({1, 64, 56, 56}, {2, 2}));
  for (const Shape& input : {Shape{1, 1, 7, 7}, {2, 3, 13, 6}, {5, 17, 1, 1}, {1, 113, 5, 8}}) {
    for (const Size2d stride : {Size2d{1, 1}, {2, 2}, {3, 1}, {2, 5}}) {
      cases.push_back(subsample(input, stride));
    }
  }

  for (const Shape& input : {Shape{1, 512, 7, 7},
                             {2, 3, 5, 7},
                             {5, 7, 1, 1},
                             {2, 17, 1, 13},
                             {1, 113, 3, 3},
                             {2, 4, 2, 2},
                             {3, 8}}) {
    cases.push_back(flatten(input));
  }
  return cases;
}

}  // namespace caldera::test
