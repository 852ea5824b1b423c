// Every gradient operator against finite differences of its forward operator. The loss is the sum
// of the output, each element times a random number, which so is dy; each element of an operand is
// moved by small steps both ways. PyTorch has no part in this.
#include <cmath>
#include <functional>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/graph/reference/net.h"

namespace caldera {
namespace {

using test::Net;
using testing::ElementsAre;
using Floats = std::vector<float>;

// Floats limit what differences of a stored output can tell: 2^-24 of it over the step.
constexpr double kTolerance = 1e-4;

Floats random_floats(const Shape& shape, uint32_t seed, float from = -1, float to = 1) {
  std::mt19937 generator(seed);
  Floats values(static_cast<size_t>(element_count(shape)));
  for (float& value : values) {
    value = from + (to - from) * static_cast<float>(generator()) * 0x1p-32f;
  }
  return values;
}

// A forward graph of some inputs -> its output; and the same with dy, the last input, added ->
// the gradient of the input that is asked about, an activation or a value that a node updates.
using Forward = std::function<ValueId(Net&, const std::vector<ValueId>&)>;
using Backward = std::function<ValueId(Net&, const std::vector<ValueId>&, ValueId dy)>;

struct Problem {
  std::vector<Shape> shapes;
  std::vector<Floats> inputs;
  Forward forward;
  // Elements are moved by this and by twice this; a power of two, so that floats hold it exactly.
  double step = 0x1p-5;

  Problem(std::vector<Shape> of, Forward function, float from = -1, float to = 1)
      : shapes(std::move(of)), forward(std::move(function)) {
    for (size_t i = 0; i < shapes.size(); ++i) {
      inputs.push_back(random_floats(shapes[i], static_cast<uint32_t>(1 + i), from, to));
    }
  }
};

void expect_gradient(const Problem& problem, size_t which, const Backward& backward) {
  Net net;
  std::vector<ValueId> ids;
  for (const Shape& shape : problem.shapes) ids.push_back(net.input(shape));
  const ValueId y = problem.forward(net, ids);
  const Floats dy = random_floats(net.shape(y), 99);

  const auto loss = [&](size_t element, double moved) {
    std::vector<Floats> inputs = problem.inputs;
    inputs[which][element] = static_cast<float>(inputs[which][element] + moved);
    const ReferenceValues values = net.run(inputs);
    double sum = 0;
    for (size_t i = 0; i < dy.size(); ++i) sum += double{dy[i]} * double{values[y][i]};
    return sum;
  };
  Floats expected(problem.inputs[which].size());
  for (size_t i = 0; i < expected.size(); ++i) {
    // Of fourth order in the step.
    const double h = problem.step;
    const double near = loss(i, h) - loss(i, -h), far = loss(i, 2 * h) - loss(i, -2 * h);
    expected[i] = static_cast<float>((8 * near - far) / (12 * h));
  }

  Net both;
  ids.clear();
  for (const Shape& shape : problem.shapes) ids.push_back(both.input(shape));
  const ValueId given = both.input(net.shape(y));
  const ValueId dx = backward(both, ids, given);
  std::vector<Floats> inputs = problem.inputs;
  inputs.push_back(dy);
  const Floats found = both.run(inputs)[dx];
  ASSERT_EQ(found.size(), expected.size());
  EXPECT_LE(relative_l2(found, expected), kTolerance);
}

constexpr Activation kActivations[] = {Activation::kNone,  Activation::kRelu,
                                       Activation::kRelu6, Activation::kSigmoid,
                                       Activation::kSilu,  Activation::kHardSwish};

// Values from -4 to 8, none within an eighth of where an activation has a corner.
Floats away_from_corners(const Shape& shape) {
  Floats values = random_floats(shape, 5, -4, 8);
  for (float& value : values) {
    for (const float corner : {-3.0f, 0.0f, 3.0f, 6.0f}) {
      if (std::abs(value - corner) < 0.125f) value = corner + 0.25f;
    }
  }
  return values;
}

TEST(FiniteDifferences, OfEveryActivation) {
  for (const Activation activation : kActivations) {
    SCOPED_TRACE(activation_name(activation));
    Problem problem({{2, 3, 3, 5}}, [&](Net& net, const auto& in) {
      return net.node(ActivationAttrs{activation}, in);
    });
    problem.inputs[0] = away_from_corners(problem.shapes[0]);
    expect_gradient(problem, 0, [&](Net& net, const auto& in, ValueId dy) {
      const ValueId v =
          takes_output(activation) ? net.node(ActivationAttrs{activation}, in) : in[0];
      return net.node(ActivationGradientAttrs{activation}, {dy, v});
    });
  }
}

struct ConvCase {
  Shape x;
  Shape weight;
  Conv2dAttrs attrs;
};

const ConvCase kConvCases[] = {
    {{1, 2, 4, 3}, {3, 2, 1, 1}, {}},
    {{2, 2, 5, 4}, {3, 2, 3, 3}, {.padding = {1, 1}}},
    {{1, 2, 7, 6}, {2, 2, 3, 2}, {.stride = {2, 3}, .padding = {1, 0}}},
    {{1, 2, 8, 7}, {2, 2, 3, 3}, {.stride = {2, 2}, .padding = {3, 1}, .dilation = {2, 3}}},
    {{1, 4, 5, 5}, {6, 2, 3, 3}, {.padding = {1, 1}, .groups = 2}},
    {{1, 3, 6, 5}, {3, 1, 2, 3}, {.stride = {2, 1}, .dilation = {2, 1}, .groups = 3}},
    {{1, 1, 3, 3}, {2, 1, 2, 2}, {.padding = {2, 3}}},  // More than the kernel reaches.
    {{1, 2, 8, 8}, {2, 2, 3, 3}, {.stride = {4, 4}}},   // Pixels that no tap reads.
    {{1, 2, 7, 7}, {2, 2, 1, 1}, {.stride = {2, 2}}},
    {{1, 4, 7, 8}, {6, 2, 1, 1}, {.stride = {2, 3}, .groups = 2}},
    {{1, 2, 5, 5}, {2, 2, 1, 1}, {.stride = {2, 2}, .padding = {1, 1}}},
};

// Linear in either operand: a long step costs nothing and tells more.
Problem convolution(const ConvCase& c) {
  Problem problem({c.x, c.weight}, [&](Net& net, const auto& in) { return net.node(c.attrs, in); });
  problem.step = 1;
  return problem;
}

TEST(FiniteDifferences, OfTheWeightsOfConvolutions) {
  for (const ConvCase& c : kConvCases) {
    SCOPED_TRACE(to_string(c.x) + " by " + to_string(c.weight));
    expect_gradient(convolution(c), 1, [&](Net& net, const auto& in, ValueId dy) {
      return conv2d_weight_gradient(net, c.attrs, in[0], dy, c.weight);
    });
  }
}

TEST(FiniteDifferences, OfTheInputsOfConvolutions) {
  for (const ConvCase& c : kConvCases) {
    SCOPED_TRACE(to_string(c.x) + " by " + to_string(c.weight));
    expect_gradient(convolution(c), 0, [&](Net& net, const auto& in, ValueId dy) {
      const Size2d size{static_cast<int32_t>(c.x[2]), static_cast<int32_t>(c.x[3])};
      return conv2d_data_gradient(net, c.attrs, dy, in[1], size);
    });
  }
}

TEST(FiniteDifferences, OfLinearLayers) {
  Problem problem({{3, 5}, {2, 5}, {2}},
                  [](Net& net, const auto& in) { return net.node(LinearAttrs{}, in); });
  problem.step = 1;
  expect_gradient(problem, 0, [](Net& net, const auto& in, ValueId dy) {
    const ValueId transposed = net.node(TransposeWeightAttrs{}, {in[1]});
    return net.node(LinearAttrs{.bias = false}, {dy, transposed});
  });
  expect_gradient(problem, 1, [](Net& net, const auto& in, ValueId dy) {
    const ValueId gradient = net.zeros({2, 5});
    net.node(Conv2dWeightGradientAttrs{}, {in[0], dy}, {gradient});
    return gradient;
  });
  expect_gradient(problem, 2, [](Net& net, const auto&, ValueId dy) {
    const ValueId gradient = net.zeros({2});
    net.node(BiasGradientAttrs{}, {dy}, {gradient});
    return gradient;
  });
}

TEST(FiniteDifferences, OfABiasOverPixels) {
  Problem problem({{2, 2, 3, 2}, {3, 2, 1, 1}, {3}},
                  [](Net& net, const auto& in) { return net.node(Conv2dAttrs{.bias = true}, in); });
  problem.step = 1;
  expect_gradient(problem, 2, [](Net& net, const auto&, ValueId dy) {
    const ValueId gradient = net.zeros({3});
    net.node(BiasGradientAttrs{}, {dy}, {gradient});
    return gradient;
  });
}

// Numbers whose order no step changes.
Floats far_apart(const Shape& shape) {
  Floats values(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  std::mt19937 generator(3);
  std::shuffle(values.begin(), values.end(), generator);
  return values;
}

// dx of a pool of `x`, by the places that the pool gives beside its maxima.
ValueId max_pool_gradient(Net& net, MaxPool2dAttrs pool, ValueId dy, ValueId x) {
  const Size2d size{static_cast<int32_t>(net.shape(x)[2]), static_cast<int32_t>(net.shape(x)[3])};
  pool.places = true;
  net.node(pool, {x});
  return net.node(MaxPool2dGradientAttrs{pool, size}, {dy, net.graph.nodes.back().outputs[1]});
}

TEST(FiniteDifferences, OfMaxPools) {
  const MaxPool2dAttrs cases[] = {
      {.kernel = {2, 2}, .stride = {2, 2}},
      {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
      {.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}},
      {.kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 0}, .ceil_mode = true},
      {.kernel = {2, 2}, .stride = {1, 2}, .dilation = {2, 3}, .ceil_mode = true},
      {.kernel = {1, 1}, .stride = {3, 2}},
  };
  for (const MaxPool2dAttrs& pool : cases) {
    for (const Shape& shape : {Shape{1, 2, 6, 7}, Shape{2, 1, 5, 5}}) {
      SCOPED_TRACE(testing::Message()
                   << pool.kernel.h << "x" << pool.kernel.w << " of " << to_string(shape));
      Problem problem({shape}, [&](Net& net, const auto& in) { return net.node(pool, in); });
      problem.inputs[0] = far_apart(shape);
      expect_gradient(problem, 0, [&](Net& net, const auto& in, ValueId dy) {
        return max_pool_gradient(net, pool, dy, in[0]);
      });
    }
  }
}

TEST(FiniteDifferences, OfAveragePools) {
  const AvgPool2dAttrs cases[] = {
      {.kernel = {2, 2}, .stride = {2, 2}},
      {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
      {.kernel = {3, 3}, .stride = {2, 1}, .padding = {1, 1}, .count_include_pad = false},
      {.kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 1}, .ceil_mode = true},
      {.kernel = {2, 3}, .stride = {3, 2}, .ceil_mode = true, .count_include_pad = false},
  };
  for (const AvgPool2dAttrs& pool : cases) {
    for (const Shape& shape : {Shape{1, 2, 6, 7}, Shape{2, 1, 5, 5}}) {
      SCOPED_TRACE(testing::Message()
                   << pool.kernel.h << "x" << pool.kernel.w << " of " << to_string(shape));
      Problem problem({shape}, [&](Net& net, const auto& in) { return net.node(pool, in); });
      problem.step = 1;
      expect_gradient(problem, 0, [&](Net& net, const auto&, ValueId dy) {
        const Size2d size{static_cast<int32_t>(shape[2]), static_cast<int32_t>(shape[3])};
        return net.node(AvgPool2dGradientAttrs{pool, size}, {dy});
      });
    }
  }
}

TEST(FiniteDifferences, OfAdaptiveAveragePools) {
  for (const Size2d output : {Size2d{1, 1}, Size2d{3, 2}, Size2d{4, 7}}) {
    Problem problem({{2, 2, 5, 6}}, [&](Net& net, const auto& in) {
      return net.node(AdaptiveAvgPool2dAttrs{output}, in);
    });
    problem.step = 1;
    expect_gradient(problem, 0, [](Net& net, const auto&, ValueId dy) {
      return net.node(AdaptiveAvgPool2dGradientAttrs{{5, 6}}, {dy});
    });
  }
}

// x [2, 3, 2, 2], weight, bias, and running mean and variance, which stand for the batch's where
// `frozen`. Weights are small, so that a channel's values stay around its bias, away from the
// corners of activations.
struct Norm {
  Activation activation = Activation::kNone;
  bool frozen = false;

  static constexpr float kEps = 1e-2f;

  ValueId statistics(Net& net, const std::vector<ValueId>& in) const {
    return frozen ? net.node(FrozenStatisticsAttrs{}, {in[3], in[4]})
                  : net.node(BatchStatisticsAttrs{}, {in[0]});
  }
  Problem problem() const {
    Problem made({{2, 3, 2, 2}, {3}, {3}, {3}, {3}}, [this](Net& net, const auto& in) {
      const NormalizeAttrs attrs{.eps = kEps, .epilogue = {.activation = activation}};
      return net.node(attrs, {in[0], statistics(net, in), in[1], in[2]});
    });
    made.inputs[1] = {0.4f, -0.5f, 0.3f};
    made.inputs[2] = {-1.5f, 1.5f, 4.5f};
    made.inputs[4] = {0.6f, 1.2f, 0.9f};
    made.step = 0x1p-6;
    return made;
  }
  ValueId sums(Net& net, const std::vector<ValueId>& in, ValueId dy, ValueId of,
               const std::vector<ValueId>& updates = {}) const {
    const bool added = !updates.empty();
    return net.node(NormalizeSumsAttrs{kEps, activation, added, added},
                    {dy, in[0], of, in[1], in[2]}, updates);
  }
};

class FiniteDifferencesOfNormalize : public testing::TestWithParam<bool> {};

TEST_P(FiniteDifferencesOfNormalize, WithRespectToX) {
  for (const Activation activation : kActivations) {
    SCOPED_TRACE(activation_name(activation));
    const Norm norm{activation, GetParam()};
    expect_gradient(norm.problem(), 0, [&](Net& net, const auto& in, ValueId dy) {
      const ValueId of = norm.statistics(net, in);
      std::vector<ValueId> operands{dy, in[0], of, in[1], in[2]};
      if (!norm.frozen) operands.push_back(norm.sums(net, in, dy, of));
      return net.node(NormalizeGradientAttrs{Norm::kEps, activation, norm.frozen}, operands);
    });
  }
}

TEST_P(FiniteDifferencesOfNormalize, WithRespectToWeightAndBias) {
  for (const Activation activation : kActivations) {
    SCOPED_TRACE(activation_name(activation));
    const Norm norm{activation, GetParam()};
    for (const size_t which : {0u, 1u}) {
      expect_gradient(norm.problem(), 1 + which, [&](Net& net, const auto& in, ValueId dy) {
        const std::vector<ValueId> gradients{net.zeros({3}), net.zeros({3})};
        norm.sums(net, in, dy, norm.statistics(net, in), gradients);
        return gradients[which];
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Statistics, FiniteDifferencesOfNormalize, testing::Bool(),
                         [](const auto& frozen) { return frozen.param ? "Frozen" : "OfTheBatch"; });

TEST(FiniteDifferences, OfSoftmax) {
  for (const Shape& shape : {Shape{3, 4}, Shape{2, 3, 2, 2}}) {
    const Problem problem(
        {shape}, [](Net& net, const auto& in) { return net.node(SoftmaxAttrs{}, in); }, -2, 2);
    expect_gradient(problem, 0, [](Net& net, const auto& in, ValueId dy) {
      const ValueId y = net.node(SoftmaxAttrs{}, in);
      return net.node(SoftmaxGradientAttrs{}, {dy, y});
    });
  }
}

// The gradient operator takes no dy but a loss scale; what it gives for an image is then multiplied
// by that image's dy.
TEST(FiniteDifferences, OfCrossEntropy) {
  const Problem problem(
      {{3, 4}, {3, 4}}, [](Net& net, const auto& in) { return net.node(CrossEntropyAttrs{}, in); },
      0, 1);
  expect_gradient(problem, 0, [](Net& net, const auto& in, ValueId dy) {
    Floats scalars(kScalarCount, 0.0f);
    scalars[static_cast<size_t>(ScalarSlot::kLossScale)] = 8;
    const ValueId told = net.parameter({1, kScalarCount}, scalars);
    const ValueId logits = net.node(CrossEntropyGradientAttrs{}, {in[0], in[1], told});
    const ValueId eighth = net.parameter({3, 4}, Floats(12, 0.125f));
    const ValueId unscaled = net.node(MultiplyAttrs{}, {logits, eighth});
    return net.node(MultiplyAttrs{}, {unscaled, net.node(ConcatAttrs{}, {dy, dy, dy, dy})});
  });
}

// Gates and their sums, crops and spread-out zeros: what moves elements has a gradient that moves
// them back.
TEST(FiniteDifferences, OfAGate) {
  Problem problem({{2, 3, 2, 4}, {2, 3, 1, 1}},
                  [](Net& net, const auto& in) { return net.node(MultiplyAttrs{}, in); });
  problem.step = 1;
  expect_gradient(problem, 1, [](Net& net, const auto& in, ValueId dy) {
    return net.node(SumPixelsAttrs{}, {net.node(MultiplyAttrs{}, {dy, in[0]})});
  });
}

TEST(FiniteDifferences, OfPadsAndCrops) {
  for (const PadAttrs& pad : {PadAttrs{1, 2, 1, 0, 2, 3}, PadAttrs{-1, 0, 2, -1, -2, 1}}) {
    Problem problem({{2, 3, 4, 5}}, [&](Net& net, const auto& in) { return net.node(pad, in); });
    problem.step = 1;
    expect_gradient(problem, 0, [&](Net& net, const auto&, ValueId dy) {
      return net.node(PadAttrs{-pad.channels_before, -pad.channels_after, -pad.top, -pad.bottom,
                               -pad.left, -pad.right},
                      {dy});
    });
  }
}

TEST(FiniteDifferences, OfSubsampling) {
  for (const Size2d stride : {Size2d{2, 2}, Size2d{3, 2}, Size2d{1, 4}}) {
    Problem problem({{2, 2, 5, 6}},
                    [&](Net& net, const auto& in) { return net.node(SubsampleAttrs{stride}, in); });
    problem.step = 1;
    expect_gradient(problem, 0, [&](Net& net, const auto&, ValueId dy) {
      return net.node(UpsampleZerosAttrs{stride, {0, 0}, {5, 6}}, {dy});
    });
  }
}

TEST(FiniteDifferences, OfFlattening) {
  Problem problem({{2, 3, 2, 4}},
                  [](Net& net, const auto& in) { return net.node(FlattenAttrs{}, in); });
  expect_gradient(problem, 0, [](Net& net, const auto&, ValueId dy) {
    return net.node(UnflattenAttrs{3, {2, 4}}, {dy});
  });
}

TEST(FiniteDifferences, OfDropout) {
  Floats scalars(kScalarCount, 0.0f);
  scalars[static_cast<size_t>(ScalarSlot::kSeed)] = 77;
  scalars[static_cast<size_t>(ScalarSlot::kStep)] = 3;
  const auto dropped = [&](Net& net, ValueId x) {
    const ValueId told = net.parameter({1, kScalarCount}, scalars);
    return net.node(DropoutMaskAttrs{0.25f, 5}, {x, told});
  };
  Problem problem({{2, 3, 3, 3}}, [&](Net& net, const auto& in) { return dropped(net, in[0]); });
  problem.step = 1;
  expect_gradient(problem, 0, [&](Net& net, const auto&, ValueId dy) { return dropped(net, dy); });
}

// Differences tell nothing where two are equal, so those are done by hand.
Floats max_pool_gradient(const MaxPool2dAttrs& pool, const Floats& x, int64_t height,
                         int64_t width) {
  Net net;
  const ValueId image = net.input({1, 1, height, width});
  const Shape pooled = infer_shapes(pool, {net.shape(image)}).value()[0];
  const ValueId dy = net.input(pooled);
  const ValueId dx = max_pool_gradient(net, pool, dy, image);
  Floats ones(static_cast<size_t>(element_count(pooled)));
  for (size_t i = 0; i < ones.size(); ++i) ones[i] = std::ldexp(1.0f, static_cast<int>(i));
  return net.run({x, ones})[dx];
}

TEST(MaxPool2dGradient, GoesToTheFirstOfEquals) {
  const MaxPool2dAttrs two{.kernel = {2, 2}, .stride = {2, 2}};
  EXPECT_THAT(max_pool_gradient(two, {5, 5, 5, 5}, 2, 2), ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(max_pool_gradient(two, {0, 5, 5, 5}, 2, 2), ElementsAre(0, 1, 0, 0));
  const float low = -INFINITY;
  EXPECT_THAT(max_pool_gradient(two, {low, low, low, low}, 2, 2), ElementsAre(1, 0, 0, 0));
}

TEST(MaxPool2dGradient, AddsWhatOverlappingWindowsGive) {
  const MaxPool2dAttrs pool{.kernel = {1, 2}, .stride = {1, 1}};
  // Windows 0 1, 1 2, 2 3, with gradients of 1, 2 and 4.
  EXPECT_THAT(max_pool_gradient(pool, {0, 7, 7, 7}, 1, 4), ElementsAre(0, 3, 4, 0));
}

TEST(MaxPool2dGradient, GoesToTheLastNan) {
  const MaxPool2dAttrs pool{.kernel = {1, 4}, .stride = {1, 1}};
  EXPECT_THAT(max_pool_gradient(pool, {NAN, 9, NAN, 9}, 1, 4), ElementsAre(0, 0, 1, 0));
}

}  // namespace
}  // namespace caldera
