// What the conv2d variants share: the problem that a node states, its push constants and its
// bindings.
#pragma once

#include <vector>

#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/epilogue.h"
#include "shaders/conv2d/conv2d_params.h"

namespace caldera {

struct Conv2dProblem {
  const Conv2dAttrs& attrs;
  const Shape& weight;  // [O, I / groups, KH, KW]

  Conv2dProblem(const Graph& graph, const Node& node)
      : attrs(std::get<Conv2dAttrs>(node.attrs)), weight(graph.value(node.inputs[1]).shape) {}
  explicit Conv2dProblem(const KernelContext& context)
      : Conv2dProblem(context.graph, context.node) {}

  int64_t group_in() const { return weight[1]; }
  int64_t group_out() const { return weight[0] / attrs.groups; }
};

// Of a convolution of x to y, or its weight's gradient; all but what differs by kernel. The weight
// is [O, I / groups, KH, KW], or [O, I] of images of one pixel.
template <typename WindowAttrs>
shader::Conv2dParams conv2d_params(const WindowAttrs& attrs, const ImageShape& x,
                                   const ImageShape& y, const Shape& weight) {
  const bool image = weight.size() == 4;
  return {.in_h = static_cast<uint32_t>(x.h),
          .in_w = static_cast<uint32_t>(x.w),
          .in_c4 = x.c4(),
          .out_h = static_cast<uint32_t>(y.h),
          .out_w = static_cast<uint32_t>(y.w),
          .out_c4 = y.c4(),
          .out_c = static_cast<uint32_t>(y.c),
          .kernel_h = image ? static_cast<uint32_t>(weight[2]) : 1,
          .kernel_w = image ? static_cast<uint32_t>(weight[3]) : 1,
          .stride_h = static_cast<uint32_t>(attrs.stride.h),
          .stride_w = static_cast<uint32_t>(attrs.stride.w),
          .pad_h = static_cast<uint32_t>(attrs.padding.h),
          .pad_w = static_cast<uint32_t>(attrs.padding.w),
          .dilation_h = static_cast<uint32_t>(attrs.dilation.h),
          .dilation_w = static_cast<uint32_t>(attrs.dilation.w),
          .group_in = static_cast<uint32_t>(weight[1]),
          .group_out = static_cast<uint32_t>(weight[0] / attrs.groups)};
}

// Of so many images.
inline shader::Conv2dParams conv2d_params(const Graph& graph, const Node& node, uint32_t images) {
  const Conv2dProblem problem(graph, node);
  const ImageShape y(graph.value(node.output()));
  shader::Conv2dParams p =
      conv2d_params(problem.attrs, ImageShape(graph.value(node.inputs[0])), y, problem.weight);
  p.pixels = images * static_cast<uint32_t>(y.pixels());
  p.epilogue = epilogue_bits(problem.attrs.epilogue, problem.attrs.bias);
  return p;
}
inline shader::Conv2dParams conv2d_params(const Emitter& emitter, const Node& node) {
  return conv2d_params(emitter.graph(), node, emitter.images());
}
// Of the whole batch.
inline shader::Conv2dParams conv2d_params(const KernelContext& context) {
  return conv2d_params(context.graph, context.node,
                       static_cast<uint32_t>(context.shape(context.node.output()).n));
}

inline std::vector<Binding> conv2d_bindings(Emitter& emitter, const Node& node,
                                            WeightLayout layout) {
  const auto& attrs = std::get<Conv2dAttrs>(node.attrs);
  std::vector<Binding> list{emitter.activation(node.inputs[0]),
                            emitter.weight(node.inputs[1], layout),
                            emitter.activation(node.output())};
  append_epilogue(emitter, node, 2, attrs.bias, attrs.epilogue, list);
  return list;
}

// Whole vectors of input and output channels belong to one group.
inline bool groups_are_whole_vectors(const Conv2dProblem& problem, int64_t out_multiple) {
  return problem.attrs.groups == 1 ||
         (problem.group_in() % 4 == 0 && problem.group_out() % out_multiple == 0);
}

}  // namespace caldera
