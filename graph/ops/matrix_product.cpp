// Reading a convolution or a linear layer as a product of matrices.
#include "graph/ops/matrix_product.h"

#include "graph/align.h"

namespace caldera {

namespace {

shader::Conv2dParams linear_params(const Graph& graph, const Node& node, uint32_t images) {
  const auto& attrs = std::get<LinearAttrs>(node.attrs);
  const Shape& weight = graph.value(node.inputs[1]).shape;  // [O, I]
  return {.pixels = images,
          .in_h = 1,
          .in_w = 1,
          .in_c4 = stored_vectors(weight[1]),
          .out_h = 1,
          .out_w = 1,
          .out_c4 = stored_vectors(weight[0]),
          .out_c = static_cast<uint32_t>(weight[0]),
          .kernel_h = 1,
          .kernel_w = 1,
          .stride_h = 1,
          .stride_w = 1,
          .pad_h = 0,
          .pad_w = 0,
          .dilation_h = 1,
          .dilation_w = 1,
          .group_in = static_cast<uint32_t>(weight[1]),
          .group_out = static_cast<uint32_t>(weight[0]),
          .epilogue = epilogue_bits(attrs.epilogue, attrs.bias)};
}

}  // namespace

bool is_matrix_product(const KernelContext& context) {
  const Shape& weight = context.graph.value(context.node.inputs[1]).shape;
  if (std::holds_alternative<Conv2dAttrs>(context.node.attrs) &&
      !groups_are_whole_vectors(Conv2dProblem(context), 4)) {
    return false;
  }
  // The inputs of a group stand side by side, and so do rows of its weights.
  const bool grouped = std::holds_alternative<Conv2dAttrs>(context.node.attrs) &&
                       std::get<Conv2dAttrs>(context.node.attrs).groups > 1;
  if (grouped && weight[1] > 4 && weight[1] % 8 != 0) return false;
  return packed_bytes(weight, WeightLayout::kHwio, context.storage()) <=
         context.capabilities.max_storage_buffer_range;
}

shader::Conv2dParams product_params(const Graph& graph, const Node& node, uint32_t images) {
  return std::holds_alternative<Conv2dAttrs>(node.attrs) ? conv2d_params(graph, node, images)
                                                         : linear_params(graph, node, images);
}

shader::Conv2dParams product_params(const KernelContext& context) {
  return product_params(context.graph, context.node,
                        static_cast<uint32_t>(context.shape(context.node.output()).n));
}

std::vector<Binding> product_bindings(Emitter& emitter, const Node& node) {
  if (std::holds_alternative<Conv2dAttrs>(node.attrs)) {
    return conv2d_bindings(emitter, node, WeightLayout::kHwio);
  }
  const auto& attrs = std::get<LinearAttrs>(node.attrs);
  std::vector<Binding> bindings{emitter.activation(node.inputs[0]),
                                emitter.weight(node.inputs[1], WeightLayout::kHwio),
                                emitter.activation(node.output())};
  append_epilogue(emitter, node, 2, attrs.bias, attrs.epilogue, bindings);
  return bindings;
}

uint64_t product_tiles(const shader::Conv2dParams& p, uint32_t pixels, uint32_t channels) {
  const uint64_t groups = p.out_c / p.group_out;
  return ceil_div(p.pixels, pixels) * groups *
         ceil_div(uint64_t{vectors(p.group_out)} * 4, channels);
}

double tile_work(const shader::Conv2dParams& p, uint32_t pixels, uint32_t channels, uint32_t step) {
  const uint64_t k = uint64_t{p.kernel_h} * p.kernel_w * stored_vectors(p.group_in) * 4;
  return static_cast<double>(round_up(k, step)) * pixels * channels;
}

}  // namespace caldera
