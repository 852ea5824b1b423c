// The ways to run activation, add, multiply and dropout, and their gradients.
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/access.h"
#include "graph/ops/image_runs.h"
#include "shaders/pointwise/pointwise_params.h"
#include "shaders/training/training_params.h"

namespace caldera {

namespace {

shader::PointwiseParams params(const Emitter& emitter, const Node& node, Activation activation) {
  const ImageShape shape = emitter.shape(node.output());
  const uint32_t image_vectors = static_cast<uint32_t>(shape.pixels()) * shape.c4();
  return {.vectors = emitter.images() * image_vectors,
          .image_vectors = image_vectors,
          .c4 = shape.c4(),
          .channels = static_cast<uint32_t>(shape.c),
          .activation = static_cast<uint32_t>(activation),
          .multiply = 0,
          .broadcast = 0};
}

void emit_activation(Emitter& emitter, const Node& node) {
  const auto p = params(emitter, node, std::get<ActivationAttrs>(node.attrs).activation);
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::activation, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.output())},
                   p.vectors);
}

void emit_binary(Emitter& emitter, const Node& node, Activation activation, bool multiply) {
  shader::PointwiseParams p = params(emitter, node, activation);
  const Graph& graph = emitter.graph();
  p.multiply = multiply;
  p.broadcast = graph.value(node.inputs[1]).shape != graph.value(node.inputs[0]).shape;
  emitter.dispatch(id_of(graph, node), ShaderId::binary, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.inputs[1]),
                    emitter.activation(node.output())},
                   p.vectors);
}

void emit_add(Emitter& emitter, const Node& node) {
  emit_binary(emitter, node, std::get<AddAttrs>(node.attrs).activation, false);
}

void emit_multiply(Emitter& emitter, const Node& node) {
  emit_binary(emitter, node, std::get<MultiplyAttrs>(node.attrs).activation, true);
}

template <ShaderId kShader>
void emit_activation_gradient(Emitter& emitter, const Node& node) {
  const auto p = params(emitter, node, std::get<ActivationGradientAttrs>(node.attrs).activation);
  Dispatch& dispatch =
      emitter.dispatch(id_of(emitter.graph(), node), kShader, p,
                       {emitter.activation(node.inputs[0]), emitter.activation(node.inputs[1]),
                        emitter.activation(node.output())},
                       p.vectors);
  dispatch.constants.push_back(p.activation);
}

bool activation_gradient_texels_fit(const KernelContext& context) {
  return texels_fit(context, {context.shape(context.node.output())}, 2);
}

void emit_dropout_mask(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<DropoutMaskAttrs>(node.attrs);
  const ImageShape shape = emitter.shape(node.output());
  const Binding output = emitter.activation(node.output());
  const shader::DropoutParams p{
      .first_image = static_cast<uint32_t>(output.offset / shape.image_bytes()),
      .vectors = emitter.images() * static_cast<uint32_t>(shape.pixels()) * shape.c4(),
      .pixels = static_cast<uint32_t>(shape.pixels()),
      .channels = static_cast<uint32_t>(shape.c),
      .c4 = shape.c4(),
      .stream = attrs.stream,
      .probability = attrs.probability};
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::dropout_mask, p,
                   {emitter.activation(node.inputs[0]), emitter.whole(node.inputs[1]), output},
                   p.vectors);
}

constexpr auto kActivationGradient = both_ways(
    activation_gradient_texels_fit, "activation_gradient_texels",
    emit_activation_gradient<ShaderId::activation_gradient_texels>, "activation_gradient_vector",
    emit_activation_gradient<ShaderId::activation_gradient>);
constexpr KernelVariant kDropoutMask[] = {{"dropout_mask_vector", nullptr, emit_dropout_mask}};
constexpr KernelVariant kActivation[] = {{"activation_vector", nullptr, emit_activation}};
constexpr KernelVariant kAdd[] = {{"add_vector", nullptr, emit_add}};
constexpr KernelVariant kMultiply[] = {{"multiply_vector", nullptr, emit_multiply}};
constexpr KernelVariant kDropout[] = {{"dropout_view", nullptr, nullptr}};

}  // namespace

std::span<const KernelVariant> activation_kernels() {
  return kActivation;
}
std::span<const KernelVariant> add_kernels() {
  return kAdd;
}
std::span<const KernelVariant> multiply_kernels() {
  return kMultiply;
}
std::span<const KernelVariant> activation_gradient_kernels() {
  return kActivationGradient;
}
std::span<const KernelVariant> dropout_mask_kernels() {
  return kDropoutMask;
}
std::span<const KernelVariant> dropout_kernels() {
  return kDropout;
}

}  // namespace caldera
