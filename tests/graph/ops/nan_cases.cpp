// NaN and infinities through everything that compares: activations, alone and after every kernel
// that has an epilogue, softmax, pools, normalisation. What is a NaN on the device has to be one in
// the reference and the other way round, as relative_l2() holds them against each other; that the
// reference's answers are PyTorch's is shown by tests/graph/reference.
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "tests/graph/ops/op_case.h"

namespace caldera::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// NaNs of either sign, since a CPU's own NaN is negative; at the start, and at every eleventh
// value.
void put_nan(std::vector<float>& values) {
  for (size_t i = 0; i < values.size(); i += 11) values[i] = i % 2 == 0 ? kNan : -kNan;
}

// The values that activations and their gradients decide by, between others.
void put_corners(std::vector<float>& values) {
  const float corners[] = {0, -0.0f, 3, -3, 6, kInfinity, -kInfinity};
  for (size_t i = 1; i < values.size(); i += 3) values[i] = corners[i / 3 % std::size(corners)];
}

using Inputs = std::vector<std::vector<float>>;

OpCase of_activation(Activation activation) {
  OpCase test{fmt::format("NaN {}", activation_name(activation)),
              one_node([&](GraphBuilder& builder) {
                return builder.activation("act", builder.input("x", {2, 7, 5, 9}), activation);
              })};
  test.edit = [](Inputs& inputs) {
    put_corners(inputs[0]);
    put_nan(inputs[0]);
    // The gradient of what came out, where there is one.
    for (size_t i = 0; inputs.size() > 1 && i < inputs[1].size(); i += 5) inputs[1][i] = kNan;
  };
  return test;
}

// For a node with an epilogue: into the residual, so that the products before it stay numbers.
OpCase with_nan_residual(OpCase test, Activation activation) {
  test.name = fmt::format("NaN {} {}", test.name, activation_name(activation));
  test.graph = with_epilogue(std::move(test.graph), true, activation);
  test.edit = [](Inputs& inputs) { put_nan(inputs.back()); };
  return test;
}

OpCase of_pair(const std::string& name, Graph graph, Activation activation) {
  OpCase test{fmt::format("NaN {} {}", name, activation_name(activation)),
              with_epilogue(std::move(graph), false, activation)};
  test.edit = [](Inputs& inputs) { put_nan(inputs[0]); };
  return test;
}

// Rows with one NaN, with one infinity, of nothing but minus infinity, and of numbers.
OpCase of_softmax() {
  constexpr size_t kClasses = 13;
  OpCase test{"NaN softmax", one_node([&](GraphBuilder& builder) {
                return builder.softmax("softmax", builder.input("x", {6, kClasses}));
              })};
  test.edit = [](Inputs& inputs) {
    std::vector<float>& x = inputs[0];
    x[0] = kNan;
    x[kClasses + 12] = -kNan;
    x[2 * kClasses + 5] = kInfinity;
    x[3 * kClasses + 5] = -kInfinity;
    for (size_t c = 0; c < kClasses; ++c) x[4 * kClasses + c] = -kInfinity;
  };
  return test;
}

OpCase of_max_pool() {
  OpCase test{"NaN max", one_node([&](GraphBuilder& builder) {
                return builder.max_pool2d("pool", builder.input("x", {2, 6, 9, 9}),
                                          {{3, 3}, {2, 2}, {1, 1}, {1, 1}, false});
              })};
  test.edit = [](Inputs& inputs) {
    for (size_t i = 0; i < inputs[0].size(); i += 17) inputs[0][i] = i % 2 == 0 ? kNan : -kNan;
    for (size_t i = 81; i < 162; ++i) inputs[0][i] = kNan;  // One channel of nothing else.
    for (size_t i = 162; i < 243; ++i) inputs[0][i] = -kInfinity;
  };
  return test;
}

// Graphs of one node that no builder makes.
struct NodeBuilder {
  ValueId append(std::string name, ValueRole role, Shape of, std::optional<Storage> storage = {}) {
    Value& value = graph.values.emplace_back();
    value.name = std::move(name), value.role = role, value.shape = std::move(of);
    value.storage = storage;
    const auto id = static_cast<ValueId>(graph.values.size() - 1);
    if (role == ValueRole::kInput) graph.inputs.push_back(id);
    if (role != ValueRole::kActivation) operands.push_back(id);
    return id;
  }

  Graph finish(const Attrs& attrs, const Shape& made, std::optional<Storage> storage = {}) && {
    const ValueId output = append("made", ValueRole::kActivation, made, storage);
    graph.values.back().producer = NodeId{};
    graph.nodes.push_back({"node", attrs, std::move(operands), {output}});
    graph.outputs = {output};
    return std::move(graph);
  }

  Graph graph{};
  std::vector<ValueId> operands{};
};

Graph normalization(const Attrs& attrs, const Shape& shape, int activations, bool residual) {
  NodeBuilder b;
  for (int i = 0; i < activations; ++i) {
    b.append(fmt::format("x{}", i), ValueRole::kInput, shape);
  }
  b.append("statistics", ValueRole::kInput, {2, shape[1]}, Storage::kF32);
  b.append("weight", ValueRole::kParameter, {shape[1]});
  b.append("bias", ValueRole::kParameter, {shape[1]});
  if (residual) b.append("residual", ValueRole::kInput, shape);
  return std::move(b).finish(attrs, shape);
}

OpCase of_cross_entropy(bool gradient) {
  constexpr int64_t kClasses = 13;
  const Shape shape{4, kClasses};
  NodeBuilder b;
  b.append("logits", ValueRole::kInput, shape);
  b.append("targets", ValueRole::kInput, shape, Storage::kF32);
  if (gradient) b.append("scalars", ValueRole::kInput, {1, kScalarCount}, Storage::kF32);
  OpCase test{gradient ? "NaN cross_entropy_gradient" : "NaN cross_entropy",
              gradient ? std::move(b).finish(CrossEntropyGradientAttrs{}, shape)
                       : std::move(b).finish(CrossEntropyAttrs{}, {shape[0], 1}, Storage::kF32)};
  test.edit = [](Inputs& inputs) {
    inputs[0][0] = kNan;
    inputs[0][kClasses + 7] = -kNan;
    inputs[0][2 * kClasses + 1] = kInfinity;
  };
  return test;
}

// With variances that are positive, and NaN among the activations and residuals.
OpCase of_normalization(const std::string& name, Graph graph, Activation activation) {
  OpCase test{fmt::format("NaN {} {}", name, activation_name(activation)), std::move(graph)};
  // After them comes Normalize's residual alone.
  const size_t statistics = name == "normalize" ? 1 : test.graph.inputs.size() - 1;
  test.edit = [statistics](Inputs& inputs) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (i != statistics) put_nan(inputs[i]);
    }
    for (float& value : inputs[statistics]) value = value * value + 0.25f;
  };
  return test;
}

}  // namespace

std::vector<OpCase> nan_cases() {
  std::vector<OpCase> cases{of_softmax(), of_max_pool(), of_cross_entropy(false),
                            of_cross_entropy(true)};
  const Shape image{2, 12, 6, 6};
  for (const Activation activation : activations()) {
    cases.push_back(of_activation(activation));
    const auto pair = [&](const char* name, auto make) {
      Graph graph = one_node([&](GraphBuilder& builder) {
        const ValueId left = builder.input("a", image);
        return (builder.*make)(name, left, builder.input("b", image));
      });
      cases.push_back(of_pair(name, std::move(graph), activation));
    };
    pair("add", &GraphBuilder::add);
    pair("multiply", &GraphBuilder::multiply);
    for (const bool depthwise : {false, true}) {
      const ConvShape shape{
          image, 12, {3, 3}, {.padding = {1, 1}, .groups = depthwise ? 12 : 1, .bias = true}};
      cases.push_back(
          with_nan_residual(conv_case(depthwise ? "depthwise" : "conv", shape), activation));
    }
    OpCase linear{"linear", one_node([&](GraphBuilder& builder) {
                    return builder.linear("fc", builder.input("x", {5, 24}), 20);
                  })};
    cases.push_back(with_nan_residual(std::move(linear), activation));
    OpCase norm{"batch_norm", one_node([&](GraphBuilder& builder) {
                  return builder.batch_norm("bn", builder.input("x", image));
                })};
    cases.push_back(with_nan_residual(std::move(norm), activation));
    cases.push_back(of_normalization(
        "normalize",
        normalization(NormalizeAttrs{.epilogue = {true, activation}}, image, 1, /*residual=*/true),
        activation));
    cases.push_back(of_normalization(
        "normalize_gradient",
        normalization(NormalizeGradientAttrs{.activation = activation, .frozen = true}, image, 2,
                      /*residual=*/false),
        activation));
  }
  return cases;
}

}  // namespace caldera::test
