// The ways to run batch_norm.
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/epilogue.h"
#include "shaders/batch_norm/batch_norm_params.h"

namespace caldera {

namespace {

void emit(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<BatchNormAttrs>(node.attrs);
  const ImageShape shape = emitter.shape(node.output());
  const shader::BatchNormParams p{
      .vectors = emitter.images() * static_cast<uint32_t>(shape.pixels()) * shape.c4(),
      .c4 = shape.c4(),
      .channels = static_cast<uint32_t>(shape.c),
      .eps = attrs.eps,
      .epilogue = epilogue_bits(attrs.epilogue, true)};
  std::vector<Binding> bindings{emitter.activation(node.inputs[0]),
                                emitter.weight(node.inputs[1], WeightLayout::kVector),
                                emitter.activation(node.output())};
  append_epilogue(emitter, node, 2, true, attrs.epilogue, bindings);
  bindings.push_back(emitter.weight(node.inputs[3], WeightLayout::kVector));
  bindings.push_back(emitter.weight(node.inputs[4], WeightLayout::kVector));
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::batch_norm, p, std::move(bindings),
                   p.vectors);
}

constexpr KernelVariant kVariants[] = {{"batch_norm_vector", nullptr, emit}};

}  // namespace

std::span<const KernelVariant> batch_norm_kernels() {
  return kVariants;
}

}  // namespace caldera
