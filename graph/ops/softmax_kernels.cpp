// The ways to run softmax, cross-entropy and their gradients.
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "shaders/softmax/softmax_params.h"

namespace caldera {

namespace {

shader::SoftmaxParams params(const ImageShape& shape, uint32_t images) {
  return {.pixels = images * static_cast<uint32_t>(shape.pixels()),
          .channels = static_cast<uint32_t>(shape.c),
          .c4 = shape.c4()};
}

void emit(Emitter& emitter, const Node& node) {
  const shader::SoftmaxParams p = params(emitter.shape(node.output()), emitter.images());
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::softmax, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.output())},
                   p.pixels);
}

void emit_gradient(Emitter& emitter, const Node& node) {
  const shader::SoftmaxParams p = params(emitter.shape(node.output()), emitter.images());
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::softmax_gradient, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.inputs[1]),
                    emitter.activation(node.output())},
                   p.pixels);
}

void emit_cross_entropy(Emitter& emitter, const Node& node) {
  const shader::SoftmaxParams p = params(emitter.shape(node.inputs[0]), emitter.images());
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::cross_entropy, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.inputs[1]),
                    emitter.activation(node.output())},
                   p.pixels);
}

void emit_cross_entropy_gradient(Emitter& emitter, const Node& node) {
  const shader::SoftmaxParams p = params(emitter.shape(node.inputs[0]), emitter.images());
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::cross_entropy_gradient, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.inputs[1]),
                    emitter.whole(node.inputs[2]), emitter.activation(node.output())},
                   p.pixels);
}

constexpr KernelVariant kGradient[] = {{"softmax_gradient_row", nullptr, emit_gradient}};
constexpr KernelVariant kCrossEntropy[] = {{"cross_entropy_row", nullptr, emit_cross_entropy}};
constexpr KernelVariant kCrossEntropyGradient[] = {
    {"cross_entropy_gradient_row", nullptr, emit_cross_entropy_gradient}};
constexpr KernelVariant kVariants[] = {{"softmax_row", nullptr, emit}};

}  // namespace

std::span<const KernelVariant> softmax_gradient_kernels() {
  return kGradient;
}
std::span<const KernelVariant> cross_entropy_kernels() {
  return kCrossEntropy;
}
std::span<const KernelVariant> cross_entropy_gradient_kernels() {
  return kCrossEntropyGradient;
}
std::span<const KernelVariant> softmax_kernels() {
  return kVariants;
}

}  // namespace caldera
