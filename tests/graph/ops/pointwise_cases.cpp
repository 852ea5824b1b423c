// Operators on each element or channel: batch-norm, activations, add, multiply, softmax; and
// linear layers.
#include <utility>

#include <fmt/format.h>

#include "tests/graph/ops/op_case.h"

namespace caldera::test {

namespace {

std::vector<Shape> shapes() {
  return {{1, 1, 1, 1},    {2, 3, 7, 5},     {5, 7, 1, 13}, {1, 17, 13, 13}, {2, 113, 7, 1},
          {1, 64, 28, 28}, {1, 3, 225, 225}, {5, 7},        {1, 1000},       {3, 113}};
}

using Binary = ValueId (GraphBuilder::*)(std::string_view, ValueId, ValueId);

void binary_cases(const char* op, Binary make, std::vector<OpCase>& cases) {
  const auto combine = [&](const Shape& a, const Shape& b) {
    return OpCase{fmt::format("{} {} {}", op, to_string(a), to_string(b)),
                  one_node([&](GraphBuilder& builder) {
                    const ValueId left = builder.input("a", a);
                    return (builder.*make)(op, left, builder.input("b", b));
                  })};
  };
  for (const Shape& shape : shapes()) {
    cases.push_back(combine(shape, shape));
    if (shape.size() == 4) cases.push_back(combine(shape, {shape[0], shape[1], 1, 1}));
  }
  for (const Activation activation : activations()) {
    for (const Shape& gate : {Shape{2, 7, 5, 3}, Shape{2, 7, 1, 1}}) {
      OpCase test = combine({2, 7, 5, 3}, gate);
      test.name += fmt::format(" {}", activation_name(activation));
      test.graph = with_epilogue(std::move(test.graph), false, activation);
      cases.push_back(std::move(test));
    }
  }
}

}  // namespace

std::vector<OpCase> pointwise_cases() {
  std::vector<OpCase> cases;
  for (const Shape& shape : shapes()) {
    cases.push_back(
        {fmt::format("batch_norm {}", to_string(shape)), one_node([&](GraphBuilder& builder) {
           return builder.batch_norm("bn", builder.input("x", shape), {.eps = 1e-3f});
         })});
    for (const Activation activation : activations()) {
      cases.push_back({fmt::format("{} {}", activation_name(activation), to_string(shape)),
                       one_node([&](GraphBuilder& builder) {
                         return builder.activation("act", builder.input("x", shape), activation);
                       }),
                       8});
    }
    for (const float scale : {1.0f, 1e4f}) {
      cases.push_back({fmt::format("softmax {} times {}", to_string(shape), scale),
                       one_node([&](GraphBuilder& builder) {
                         return builder.softmax("softmax", builder.input("x", shape));
                       }),
                       scale});
    }
    cases.push_back(
        {fmt::format("dropout {}", to_string(shape)), one_node([&](GraphBuilder& builder) {
           return builder.dropout("dropout", builder.input("x", shape), {});
         })});
  }
  for (const Activation activation : activations()) {
    for (const bool residual : {false, true}) {
      Graph graph = one_node([&](GraphBuilder& builder) {
        return builder.batch_norm("bn", builder.input("x", {2, 7, 5, 3}));
      });
      cases.push_back(
          {fmt::format("batch_norm {}{}", activation_name(activation), residual ? " residual" : ""),
           with_epilogue(std::move(graph), residual, activation)});
    }
  }
  binary_cases("add", &GraphBuilder::add, cases);
  binary_cases("multiply", &GraphBuilder::multiply, cases);
  return cases;
}

std::vector<OpCase> linear_cases() {
  struct Layer {
    int64_t batch, in, out;
    bool bias;
  };
  std::vector<OpCase> cases;
  const auto linear = [](const Layer& layer) {
    return OpCase{
        fmt::format("{}x{} -> {}{}", layer.batch, layer.in, layer.out, layer.bias ? " bias" : ""),
        one_node([&](GraphBuilder& builder) {
          return builder.linear("fc", builder.input("x", {layer.batch, layer.in}), layer.out,
                                {.bias = layer.bias});
        })};
  };
  for (const Layer& layer : {Layer{1, 512, 1000, true},
                             {1, 2048, 1000, true},
                             {5, 2048, 10, true},
                             {2, 64, 10, true},
                             {1, 25088, 64, true},  // VGG's first, of 64 outputs for 4096.
                             {1, 1, 1, false},
                             {2, 3, 7, true},
                             {5, 7, 17, false},
                             {1, 17, 113, true},
                             {3, 113, 3, false},
                             {2, 225, 1, true},
                             {17, 13, 225, true}}) {
    cases.push_back(linear(layer));
  }
  cases.back().every_tile = true;
  for (const Activation activation : activations()) {
    for (const bool residual : {false, true}) {
      OpCase test = linear({3, 17, 7, residual});
      test.name += fmt::format(" {}{}", activation_name(activation), residual ? " residual" : "");
      test.graph = with_epilogue(std::move(test.graph), residual, activation);
      cases.push_back(std::move(test));
    }
  }
  return cases;
}

}  // namespace caldera::test
