// The CPU reference and the shape rules against PyTorch, case by case as write_cases.py has them
// written: same output shape, same values.
#include "caldera/reference.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/require.h"

namespace caldera {
namespace {

using nlohmann::json;

// What float outputs of double sums may differ by.
constexpr double kTolerance = 1e-6;

Size2d size(const json& pair) {
  return {pair.at(0).get<int32_t>(), pair.at(1).get<int32_t>()};
}

Activation activation(const json& attrs) {
  const auto name = attrs.at("activation").get<std::string>();
  for (const Activation a : {Activation::kNone, Activation::kRelu, Activation::kRelu6,
                             Activation::kSigmoid, Activation::kSilu, Activation::kHardSwish}) {
    if (activation_name(a) == name) return a;
  }
  ADD_FAILURE() << "no activation is named '" << name << "'";
  return Activation::kNone;
}

Epilogue epilogue(const json& attrs) {
  return {attrs.at("residual").get<bool>(), activation(attrs)};
}

Attrs parse_attrs(const std::string& op, const json& a) {
  if (op == "conv2d") {
    return Conv2dAttrs{.stride = size(a.at("stride")),
                       .padding = size(a.at("padding")),
                       .dilation = size(a.at("dilation")),
                       .groups = a.at("groups"),
                       .bias = a.at("bias"),
                       .epilogue = epilogue(a)};
  }
  if (op == "batch_norm") return BatchNormAttrs{.eps = a.at("eps"), .epilogue = epilogue(a)};
  if (op == "activation") return ActivationAttrs{activation(a)};
  if (op == "add") return AddAttrs{activation(a)};
  if (op == "multiply") return MultiplyAttrs{activation(a)};
  if (op == "concat") return ConcatAttrs{};
  if (op == "max_pool2d") {
    return MaxPool2dAttrs{.kernel = size(a.at("kernel")),
                          .stride = size(a.at("stride")),
                          .padding = size(a.at("padding")),
                          .dilation = size(a.at("dilation")),
                          .ceil_mode = a.at("ceil_mode")};
  }
  if (op == "avg_pool2d") {
    return AvgPool2dAttrs{.kernel = size(a.at("kernel")),
                          .stride = size(a.at("stride")),
                          .padding = size(a.at("padding")),
                          .ceil_mode = a.at("ceil_mode"),
                          .count_include_pad = a.at("count_include_pad")};
  }
  if (op == "adaptive_avg_pool2d") return AdaptiveAvgPool2dAttrs{size(a.at("output"))};
  if (op == "linear") return LinearAttrs{.bias = a.at("bias"), .epilogue = epilogue(a)};
  if (op == "softmax") return SoftmaxAttrs{};
  if (op == "pad") {
    return PadAttrs{.channels_before = a.at("channels_before"),
                    .channels_after = a.at("channels_after"),
                    .top = a.at("top"),
                    .bottom = a.at("bottom"),
                    .left = a.at("left"),
                    .right = a.at("right")};
  }
  if (op == "subsample") return SubsampleAttrs{size(a.at("stride"))};
  if (op == "flatten") return FlattenAttrs{};
  if (op == "dropout") return DropoutAttrs{a.at("probability")};
  ADD_FAILURE() << "no operator is named '" << op << "'";
  return DropoutAttrs{};
}

// The cases that PyTorch wrote, read once.
class Cases {
 public:
  Cases() {
    const std::filesystem::path folder = CALDERA_REFERENCE_CASES;
    std::ifstream cases(folder / "cases.json");
    std::ifstream data(folder / "data.bin", std::ios::binary | std::ios::ate);
    if (!cases || !data) return;
    cases_ = json::parse(cases);
    data_.resize(static_cast<size_t>(data.tellg()) / sizeof(float));
    data.seekg(0);
    data.read(reinterpret_cast<char*>(data_.data()),
              static_cast<std::streamsize>(data_.size() * sizeof(float)));
  }

  const json& all() const { return cases_; }
  std::vector<float> values(const json& tensor) const {
    const auto begin = data_.begin() + tensor.at("offset").get<int64_t>();
    return {begin, begin + element_count(tensor.at("shape").get<Shape>())};
  }

 private:
  json cases_ = json::array();
  std::vector<float> data_;
};

const Cases& cases() {
  static const Cases loaded;
  return loaded;
}

void check(const json& test) {
  SCOPED_TRACE(test.at("op").get<std::string>() + ": " + test.at("name").get<std::string>());
  const Attrs attrs = parse_attrs(test.at("op"), test.at("attrs"));
  const json& output = test.at("output");

  // One node, all of its operands inputs of the graph.
  Graph graph;
  Node node{"node", attrs, {}};
  std::vector<Shape> shapes;
  std::vector<std::vector<float>> inputs;
  for (const json& input : test.at("inputs")) {
    const auto id = static_cast<ValueId>(graph.values.size());
    shapes.push_back(input.at("shape").get<Shape>());
    inputs.push_back(cases().values(input));
    graph.values.push_back({"input", ValueRole::kInput, shapes.back()});
    graph.inputs.push_back(id);
    node.inputs.push_back(id);
  }
  const auto inferred = infer_shape(attrs, shapes);
  ASSERT_TRUE(inferred.ok()) << inferred.error().message;
  ASSERT_EQ(*inferred, output.at("shape").get<Shape>());
  node.output = static_cast<ValueId>(graph.values.size());
  graph.values.push_back({"output", ValueRole::kActivation, *inferred});
  graph.outputs.push_back(node.output);
  graph.nodes.push_back(node);

  const auto result = run_reference(graph, {}, inputs);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_LE(relative_l2((*result)[node.output], cases().values(output)), kTolerance);
}

class ReferenceAgreesWithPyTorch : public testing::TestWithParam<OpKind> {};

TEST_P(ReferenceAgreesWithPyTorch, OnEveryCase) {
  if (cases().all().empty()) {
    CALDERA_SKIP_UNLESS_REQUIRED("no cases in " CALDERA_REFERENCE_CASES
                                 ": write them there with "
                                 "tests/graph/reference/write_cases.py, which needs PyTorch");
  }
  int count = 0;
  for (const json& test : cases().all()) {
    if (test.at("op") != op_name(GetParam())) continue;
    check(test);
    ++count;
  }
  EXPECT_GT(count, 0) << "PyTorch wrote no case for " << op_name(GetParam());
}

std::vector<OpKind> every_kind() {
  std::vector<OpKind> kinds;
  for (size_t i = 0; i < std::variant_size_v<Attrs>; ++i) kinds.push_back(static_cast<OpKind>(i));
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Operators, ReferenceAgreesWithPyTorch, testing::ValuesIn(every_kind()),
                         [](const auto& kind) { return std::string(op_name(kind.param)); });

}  // namespace
}  // namespace caldera
