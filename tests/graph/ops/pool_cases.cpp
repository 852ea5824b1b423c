// Pools, with all their attributes at their corners.
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "tests/graph/ops/op_case.h"

namespace caldera::test {

namespace {

std::string describe(const Shape& input, Size2d kernel, Size2d stride, Size2d padding,
                     bool ceil_mode) {
  return fmt::format("{} k{}x{} s{}x{} p{}x{}{}", to_string(input), kernel.h, kernel.w, stride.h,
                     stride.w, padding.h, padding.w, ceil_mode ? " ceil" : "");
}

OpCase max_pool(const Shape& input, const MaxPool2dAttrs& attrs) {
  return {fmt::format("max {} d{}x{}",
                      describe(input, attrs.kernel, attrs.stride, attrs.padding, attrs.ceil_mode),
                      attrs.dilation.h, attrs.dilation.w),
          one_node([&](GraphBuilder& builder) {
            return builder.max_pool2d("pool", builder.input("x", input), attrs);
          })};
}

OpCase avg_pool(const Shape& input, const AvgPool2dAttrs& attrs) {
  return {fmt::format("avg {} {}",
                      describe(input, attrs.kernel, attrs.stride, attrs.padding, attrs.ceil_mode),
                      attrs.count_include_pad ? "counting padding" : "not counting padding"),
          one_node([&](GraphBuilder& builder) {
            return builder.avg_pool2d("pool", builder.input("x", input), attrs);
          })};
}

OpCase adaptive(const Shape& input, Size2d output) {
  return {fmt::format("adaptive {} to {}x{}", to_string(input), output.h, output.w),
          one_node([&](GraphBuilder& builder) {
            return builder.adaptive_avg_pool2d("pool", builder.input("x", input), {output});
          })};
}

struct Window {
  Size2d kernel, stride, padding;
};

}  // namespace

std::vector<OpCase> pool_cases() {
  std::vector<OpCase> cases;
  // The networks'.
  cases.push_back(max_pool({1, 64, 112, 112}, {{3, 3}, {2, 2}, {1, 1}, {1, 1}, false}));
  cases.push_back(max_pool({1, 64, 56, 56}, {{2, 2}, {2, 2}, {0, 0}, {1, 1}, false}));
  for (const int64_t channels : {512, 2048}) cases.push_back(adaptive({1, channels, 7, 7}, {1, 1}));
  cases.push_back(adaptive({1, 512, 7, 7}, {7, 7}));  // VGG's.
  cases.push_back(adaptive({2, 64, 8, 8}, {1, 1}));
  cases.push_back(avg_pool({2, 64, 8, 8}, {{8, 8}, {8, 8}, {0, 0}, false, true}));

  const std::vector<Window> windows = {
      {{2, 2}, {2, 2}, {0, 0}}, {{3, 3}, {2, 2}, {1, 1}}, {{3, 2}, {1, 3}, {1, 0}},
      {{5, 3}, {4, 2}, {2, 1}}, {{1, 1}, {2, 2}, {0, 0}},
  };
  const std::vector<Shape> inputs = {{1, 1, 7, 7}, {2, 3, 13, 7}, {5, 17, 6, 9}, {1, 113, 5, 5}};
  for (const Shape& input : inputs) {
    for (const Window& w : windows) {
      for (const bool ceil_mode : {false, true}) {
        cases.push_back(max_pool(input, {w.kernel, w.stride, w.padding, {1, 1}, ceil_mode}));
        for (const bool count : {false, true}) {
          cases.push_back(avg_pool(input, {w.kernel, w.stride, w.padding, ceil_mode, count}));
        }
      }
    }
  }
  cases.push_back(max_pool({2, 7, 13, 11}, {{3, 3}, {2, 1}, {1, 1}, {2, 3}, false}));
  cases.push_back(max_pool({2, 7, 13, 11}, {{2, 3}, {3, 2}, {1, 1}, {4, 2}, true}));
  cases.push_back(max_pool({1, 3, 225, 225}, {{3, 3}, {2, 2}, {1, 1}, {1, 1}, true}));
  cases.push_back(max_pool({1, 3, 1, 1}, {{3, 3}, {2, 2}, {1, 1}, {1, 1}, false}));

  // Bins of unlike sizes, overlapping, and more bins than pixels.
  for (const Size2d output : {Size2d{1, 1}, {3, 5}, {7, 7}, {2, 13}}) {
    cases.push_back(adaptive({2, 7, 13, 9}, output));
    cases.push_back(adaptive({1, 17, 5, 3}, output));
    cases.push_back(adaptive({5, 3, 1, 1}, output));
  }

  OpCase nan = max_pool({1, 6, 9, 9}, {{3, 3}, {2, 2}, {1, 1}, {1, 1}, false});
  nan.name += " with NaN and infinities";
  nan.edit = [](std::vector<std::vector<float>>& values) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const auto at = [&](size_t channel, size_t h, size_t w) -> float& {
      return values[0][(channel * 9 + h) * 9 + w];
    };
    at(0, 4, 4) = std::numeric_limits<float>::quiet_NaN();
    at(1, 0, 0) = std::numeric_limits<float>::quiet_NaN();
    at(2, 8, 8) = -std::numeric_limits<float>::quiet_NaN();
    at(3, 3, 3) = kInfinity;
    for (size_t i = 0; i < 81; ++i) at(5, i / 9, i % 9) = -kInfinity;
  };
  cases.push_back(std::move(nan));
  return cases;
}

}  // namespace caldera::test
