// The epilogue that conv2d, batch_norm and linear share, for shaders/common/epilogue.glsl.
#pragma once

#include <vector>

#include "graph/emitter.h"
#include "shaders/common/epilogue.h"

namespace caldera {

inline uint32_t epilogue_bits(const Epilogue& epilogue, bool bias) {
  return static_cast<uint32_t>(epilogue.activation) | (bias ? shader::kEpilogueBias : 0u) |
         (epilogue.residual ? shader::kEpilogueResidual : 0u);
}

// The specialization constant of shaders that define EPILOGUE_CONSTANT.
inline uint32_t any_activation(const Epilogue& epilogue) {
  return epilogue.activation > Activation::kRelu6;
}

// Appends the bindings of bias (input `bias_index`, where there is one) and residual.
inline void append_epilogue(Emitter& emitter, const Node& node, size_t bias_index, bool bias,
                            const Epilogue& epilogue, std::vector<Binding>& bindings) {
  bindings.push_back(bias ? emitter.weight(node.inputs[bias_index], WeightLayout::kVector)
                          : emitter.unused(node.inputs[1]));
  bindings.push_back(epilogue.residual ? emitter.activation(node.inputs.back())
                                       : emitter.unused(node.inputs[1]));
}

}  // namespace caldera
