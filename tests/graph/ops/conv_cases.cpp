// Convolutions: those of the networks, and those that no network would choose.
#include <algorithm>

#include <fmt/format.h>

#include "tests/graph/ops/op_case.h"

namespace caldera::test {

namespace {

// Multiply-adds: a tenth of a second on the slowest driver.
constexpr int64_t kCostly = 40'000'000;

struct Square {
  int64_t in, out;
  int32_t size, kernel, stride, padding;
};

std::string describe(const ConvShape& s) {
  const Conv2dAttrs& a = s.attrs;
  std::string text =
      fmt::format("{} -> {} k{}x{}", to_string(s.input), s.out_channels, s.kernel.h, s.kernel.w);
  if (a.stride != Size2d{1, 1}) text += fmt::format(" s{}x{}", a.stride.h, a.stride.w);
  if (a.padding != Size2d{0, 0}) text += fmt::format(" p{}x{}", a.padding.h, a.padding.w);
  if (a.dilation != Size2d{1, 1}) text += fmt::format(" d{}x{}", a.dilation.h, a.dilation.w);
  if (a.groups != 1) text += fmt::format(" g{}", a.groups);
  if (a.bias) text += " bias";
  return text;
}

std::vector<OpCase> make_cases(const std::vector<ConvShape>& shapes) {
  std::vector<OpCase> cases;
  for (const ConvShape& shape : shapes) cases.push_back(conv_case(describe(shape), shape));
  return cases;
}

int64_t multiply_adds(const Square& s) {
  const int64_t out = (s.size + 2 * s.padding - s.kernel) / s.stride + 1;
  return out * out * s.in * s.out * s.kernel * s.kernel;
}

ConvShape conv_shape(const Square& s) {
  return {{1, s.in, s.size, s.size},
          s.out,
          {s.kernel, s.kernel},
          {.stride = {s.stride, s.stride}, .padding = {s.padding, s.padding}}};
}

const std::vector<Square>& resnet_convs() {
  static const std::vector<Square> shapes = {
      // ImageNet, basic blocks: input and output channels, input size, kernel, stride, padding.
      {3, 64, 224, 7, 2, 3},
      {64, 64, 56, 3, 1, 1},
      {64, 128, 56, 3, 2, 1},
      {64, 128, 56, 1, 2, 0},
      {128, 128, 28, 3, 1, 1},
      {128, 256, 28, 3, 2, 1},
      {128, 256, 28, 1, 2, 0},
      {256, 256, 14, 3, 1, 1},
      {256, 512, 14, 3, 2, 1},
      {256, 512, 14, 1, 2, 0},
      {512, 512, 7, 3, 1, 1},
      // ImageNet, bottlenecks.
      {64, 64, 56, 1, 1, 0},
      {64, 256, 56, 1, 1, 0},
      {256, 64, 56, 1, 1, 0},
      {256, 128, 56, 1, 1, 0},
      {128, 128, 56, 3, 2, 1},
      {128, 512, 28, 1, 1, 0},
      {256, 512, 56, 1, 2, 0},
      {512, 128, 28, 1, 1, 0},
      {512, 256, 28, 1, 1, 0},
      {256, 256, 28, 3, 2, 1},
      {256, 1024, 14, 1, 1, 0},
      {512, 1024, 28, 1, 2, 0},
      {1024, 256, 14, 1, 1, 0},
      {1024, 512, 14, 1, 1, 0},
      {512, 512, 14, 3, 2, 1},
      {512, 2048, 7, 1, 1, 0},
      {1024, 2048, 14, 1, 2, 0},
      {2048, 512, 7, 1, 1, 0},
      // The paper's stride on the first 1x1.
      {256, 128, 56, 1, 2, 0},
      {512, 256, 28, 1, 2, 0},
      {1024, 512, 14, 1, 2, 0},
      // CIFAR-10.
      {3, 16, 32, 3, 1, 1},
      {16, 16, 32, 3, 1, 1},
      {16, 32, 32, 3, 2, 1},
      {32, 32, 16, 3, 1, 1},
      {32, 64, 16, 3, 2, 1},
      {64, 64, 8, 3, 1, 1},
      {16, 32, 32, 1, 2, 0},
  };
  return shapes;
}

}  // namespace

std::vector<OpCase> resnet_conv_cases() {
  std::vector<ConvShape> table;
  for (Square s : resnet_convs()) {
    // Down to 7, the size of the networks' last stage.
    while (multiply_adds(s) > kCostly && s.size > 7) s.size /= 2;
    table.push_back(conv_shape(s));
  }
  return make_cases(table);
}

std::vector<OpCase> full_size_resnet_conv_cases() {
  std::vector<ConvShape> table;
  for (const Square& s : resnet_convs()) {
    if (multiply_adds(s) > kCostly && s.size > 7) table.push_back(conv_shape(s));
  }
  return make_cases(table);
}

std::vector<OpCase> odd_conv_cases() {
  std::vector<ConvShape> table;
  // Prime and odd channels, in every pairing, on an image of odd sides; batch 1, 2, 5 in turn.
  const std::vector<int64_t> channels = {1, 3, 7, 17, 113};
  const std::vector<int64_t> batches = {1, 2, 5};
  for (const int64_t in : channels) {
    for (const int64_t out : channels) {
      const int64_t batch = batches[table.size() % batches.size()];
      table.push_back({{batch, in, 7, 13}, out, {3, 3}, {.padding = {1, 1}, .bias = out != 7}});
      table.push_back({{batch, in, 13, 7}, out, {1, 1}, {.bias = out == 17}});
    }
  }
  // Sizes, down to one pixel and up to what no tile divides.
  for (const int64_t batch : batches) {
    table.push_back({{batch, 17, 1, 1}, 7, {1, 1}, {}});
    table.push_back({{batch, 3, 1, 1}, 17, {3, 3}, {.padding = {1, 1}}});
    table.push_back({{batch, 7, 1, 13}, 3, {1, 3}, {.padding = {0, 1}}});
    table.push_back({{batch, 7, 225, 1}, 3, {5, 1}, {.padding = {2, 0}}});
  }
  table.push_back({{1, 3, 225, 225}, 7, {3, 3}, {.stride = {2, 2}, .padding = {1, 1}}});
  table.push_back({{1, 1, 225, 225}, 3, {7, 7}, {.stride = {2, 2}, .padding = {3, 3}}});
  table.push_back({{2, 3, 225, 13}, 17, {1, 1}, {}});
  // Kernels, strides, padding and dilation, each other than square.
  table.push_back({{2, 3, 13, 17}, 5, {3, 5}, {.stride = {2, 3}, .padding = {1, 4}}});
  table.push_back({{2, 5, 13, 17}, 6, {5, 3}, {.padding = {2, 2}, .dilation = {1, 2}}});
  table.push_back({{1, 7, 17, 13}, 9, {3, 3}, {.padding = {2, 3}, .dilation = {2, 3}}});
  table.push_back(
      {{1, 17, 29, 31}, 7, {3, 3}, {.stride = {3, 2}, .padding = {4, 4}, .dilation = {4, 4}}});
  table.push_back({{1, 8, 8, 8}, 8, {2, 2}, {.stride = {2, 2}}});
  table.push_back({{1, 8, 9, 9}, 8, {3, 3}, {.stride = {4, 4}}});  // Skips the last rows.
  table.push_back({{1, 4, 11, 11}, 4, {1, 1}, {.stride = {5, 3}}});
  table.push_back({{3, 5, 5, 4}, 7, {5, 4}, {.bias = true}});       // As large as the image.
  table.push_back({{1, 2, 3, 3}, 3, {2, 2}, {.padding = {4, 5}}});  // Windows of nothing but zeros.
  table.push_back({{1, 4, 7, 7}, 4, {11, 11}, {.padding = {5, 5}}});
  std::vector<OpCase> cases = make_cases(table);

  // More than one large tile each way, of the weight gradient too, and a last one that is not
  // whole.
  ConvShape large{{2, 18, 9, 9}, 134, {3, 3}, {.padding = {1, 1}, .bias = true}};
  OpCase tiles = conv_case(describe(large) + " relu residual", large);
  tiles.graph = with_epilogue(std::move(tiles.graph), true, Activation::kRelu);
  tiles.every_tile = true;
  cases.push_back(tiles);
  // A weight's gradient meets strides where there is more than one tap.
  for (const Size2d kernel : {Size2d{1, 1}, Size2d{2, 1}}) {
    large = {{1, 68, 13, 11}, 140, kernel, {.stride = {1, 2}}};
    tiles = conv_case(describe(large), large);
    tiles.every_tile = true;
    cases.push_back(tiles);
  }

  // Epilogues.
  const ConvShape base{{2, 7, 9, 5}, 10, {3, 3}, {.padding = {1, 1}, .bias = true}};
  const ConvShape no_bias{{2, 16, 7, 7}, 12, {1, 1}, {}};
  // Nothing reaches past the smallest tiles.
  const ConvShape whole{{1, 8, 8, 8}, 32, {1, 1}, {.bias = true}};
  for (const ConvShape& shape : {base, no_bias, whole}) {
    for (const Activation activation : activations()) {
      for (const bool residual : {false, true}) {
        OpCase test = conv_case(fmt::format("{} {}{}", describe(shape), activation_name(activation),
                                            residual ? " residual" : ""),
                                shape);
        test.graph = with_epilogue(std::move(test.graph), residual, activation);
        cases.push_back(std::move(test));
      }
    }
    OpCase test = conv_case(describe(shape) + " residual", shape);
    test.graph = with_epilogue(std::move(test.graph), true, Activation::kNone);
    cases.push_back(std::move(test));
  }
  return cases;
}

std::vector<OpCase> grouped_conv_cases() {
  std::vector<ConvShape> table;
  const auto grouped = [&](Shape input, int64_t out, Size2d kernel, Size2d stride, Size2d padding,
                           int32_t groups, bool bias) {
    table.push_back({std::move(input),
                     out,
                     kernel,
                     {.stride = stride, .padding = padding, .groups = groups, .bias = bias}});
  };
  // ResNeXt's: 32 groups of 4, 8 and 16 channels.
  grouped({1, 128, 14, 14}, 128, {3, 3}, {1, 1}, {1, 1}, 32, false);
  grouped({1, 256, 14, 14}, 256, {3, 3}, {2, 2}, {1, 1}, 32, false);
  grouped({1, 512, 7, 7}, 512, {3, 3}, {1, 1}, {1, 1}, 32, false);
  grouped({1, 256, 7, 7}, 256, {3, 3}, {1, 1}, {1, 1}, 64, false);
  // Groups of 3, 5 and 7 channels in, of 5, 3 and 1 out: no vector of four fits them.
  grouped({2, 6, 7, 7}, 10, {3, 3}, {1, 1}, {1, 1}, 2, true);
  grouped({1, 9, 13, 7}, 15, {3, 3}, {2, 2}, {1, 1}, 3, true);
  grouped({5, 35, 7, 7}, 21, {1, 1}, {1, 1}, {0, 0}, 7, false);
  grouped({1, 14, 5, 9}, 6, {3, 1}, {1, 1}, {1, 0}, 2, true);
  grouped({2, 5, 6, 6}, 20, {3, 3}, {1, 1}, {1, 1}, 5, false);
  grouped({1, 24, 7, 7}, 8, {1, 1}, {2, 2}, {0, 0}, 2, true);
  // Channels out are padded by more than a vector of four.
  grouped({1, 24, 5, 5}, 12, {3, 3}, {1, 1}, {1, 1}, 3, true);
  // Depthwise.
  for (const int64_t channels : {1, 3, 7, 17, 32, 113}) {
    const auto groups = static_cast<int32_t>(channels);
    grouped({2, channels, 13, 7}, channels, {3, 3}, {1, 1}, {1, 1}, groups, true);
    grouped({1, channels, 7, 7}, channels, {5, 5}, {2, 2}, {2, 2}, groups, false);
  }
  grouped({1, 96, 28, 28}, 96, {3, 3}, {1, 1}, {1, 1}, 96, false);
  grouped({1, 3, 225, 225}, 3, {3, 3}, {2, 2}, {1, 1}, 3, false);
  grouped({1, 8, 9, 9}, 8, {3, 3}, {1, 1}, {0, 0}, 8, true);
  table.back().attrs.dilation = {2, 3};
  grouped({1, 24, 12, 11}, 72, {3, 3}, {1, 1}, {1, 1}, 2, false);
  std::vector<OpCase> cases = make_cases(table);
  cases.back().every_tile = true;

  for (const int32_t groups : {3, 9}) {
    const ConvShape shape{
        {2, 9, 7, 5}, 9, {3, 3}, {.padding = {1, 1}, .groups = groups, .bias = true}};
    OpCase test = conv_case(describe(shape) + " residual silu", shape);
    test.graph = with_epilogue(std::move(test.graph), true, Activation::kSilu);
    cases.push_back(std::move(test));
  }
  return cases;
}

}  // namespace caldera::test
