// The ways to run softmax.
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "shaders/softmax/softmax_params.h"

namespace caldera {

namespace {

void emit(Emitter& emitter, const Node& node) {
  const ImageShape shape = emitter.shape(node.output);
  const shader::SoftmaxParams p{.pixels = emitter.images() * static_cast<uint32_t>(shape.pixels()),
                                .channels = static_cast<uint32_t>(shape.c),
                                .c4 = shape.c4()};
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::softmax, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.output)}, p.pixels);
}

constexpr KernelVariant kVariants[] = {{"softmax_row", nullptr, emit}};

}  // namespace

std::span<const KernelVariant> softmax_kernels() {
  return kVariants;
}

}  // namespace caldera
