// What the conv2d_weight_gradient variants share: the problem that a node states, its push
// constants, and how its sum is cut into parts.
#pragma once

#include <functional>
#include <vector>

#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/conv2d_problem.h"
#include "shaders/conv2d/weight_gradient_params.h"

namespace caldera {

// x, dy and the weight's shape, [O, I / groups, KH, KW].
struct WeightGradientProblem {
  const Conv2dWeightGradientAttrs& attrs;
  ImageShape x;
  ImageShape dy;
  const Shape& weight;

  WeightGradientProblem(const Graph& graph, const Node& node)
      : attrs(std::get<Conv2dWeightGradientAttrs>(node.attrs)),
        x(graph.value(node.inputs[0])),
        dy(graph.value(node.inputs[1])),
        weight(graph.value(node.updates[0]).shape) {}
  explicit WeightGradientProblem(const KernelContext& context)
      : WeightGradientProblem(context.graph, context.node) {}

  uint32_t kernel_h() const { return weight.size() == 4 ? static_cast<uint32_t>(weight[2]) : 1; }
  uint32_t kernel_w() const { return weight.size() == 4 ? static_cast<uint32_t>(weight[3]) : 1; }
  uint32_t in4() const { return vectors(weight[1]); }
  // Of the forward convolution, but for `pixels`.
  shader::Conv2dParams conv_params() const { return conv2d_params(attrs, x, dy, weight); }
  // Vectors of a filter.
  uint32_t places() const { return kernel_h() * kernel_w() * in4(); }
  uint64_t vectors_in_all() const { return static_cast<uint64_t>(weight[0]) * places(); }
  bool padded() const { return attrs.padding.h > 0 || attrs.padding.w > 0; }
  // Pixels of x and dy lie side by side, whatever rows they are in.
  bool pointwise() const {
    return kernel_h() == 1 && kernel_w() == 1 && attrs.stride == Size2d{} && !padded();
  }
};

// Appends the dispatch of one run of images, which sums params.parts parts.
using EmitRun = std::function<Dispatch&(const WeightGradientProblem& problem,
                                        const shader::WeightGradientParams& params,
                                        std::vector<Binding> bindings)>;

// The runs of images, of x and dy that one binding of `most_bytes` spans, then the sum of their
// parts. A part is of whole output rows, params.part_rows of them, or of pixels where all lie side
// by side.
void emit_parts(Emitter& emitter, const Node& node, uint64_t most_bytes, uint64_t wanted_parts,
                const EmitRun& emit_run);
// The same of what one storage buffer spans, in parts of a multiple of `step` pixels, whatever rows
// those are in: params.part_pixels.
void emit_parts_of_pixels(Emitter& emitter, const Node& node, uint64_t wanted_parts, uint32_t step,
                          const EmitRun& emit_run);

// Whether there are runs of images that bindings of `most_bytes` span, and a part of each fits one
// binding with those of the others.
bool parts_fit(const KernelContext& context, uint64_t most_bytes);

// Parts so many that there are `wanted` of them times `tiles` in all.
uint64_t parts_for(uint64_t wanted, uint64_t tiles);

}  // namespace caldera
