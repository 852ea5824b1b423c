// Random weights and inputs for any graph, by integer arithmetic alone: one seed gives the same
// bits with every compiler.
#pragma once

#include <cstdint>
#include <vector>

#include "caldera/graph.h"
#include "caldera/session.h"

namespace caldera::test {

// Uniform in [-1, 1); variances in [0.5, 1.5).
Weights random_weights(const Graph& graph, uint32_t seed = 1);
// Uniform in [-scale, scale), in the order of the graph's inputs.
std::vector<std::vector<float>> random_inputs(const Graph& graph, uint32_t seed = 2,
                                              float scale = 1);

// What such a precision stores of them, so that a reference computes with the same operands.
// Weights of one dimension stay f32 on a device.
std::vector<std::vector<float>> as_stored(std::vector<std::vector<float>> inputs,
                                          Precision precision);
Weights as_stored(Weights weights, Precision precision);

// By how much storing rounds, beside a half's 2^-11: 8 for bf16. Precondition: not kFp32.
constexpr double rounding_in_halves(Precision precision) {
  return precision == Precision::kBf16 ? 8 : 1;
}

}  // namespace caldera::test
