// Convolutions and linear layers as one problem: pixels [pixel][k] times weights [k][channel],
// where k runs over (tap, input channel). A linear layer is a convolution of images of one pixel.
#pragma once

#include <vector>

#include "graph/ops/conv2d_problem.h"

namespace caldera {

// Whether tiles of whole vectors fit the node's groups, and its weights one binding.
bool is_matrix_product(const KernelContext& context);

shader::Conv2dParams product_params(const Graph& graph, const Node& node, uint32_t images);
// Of the whole batch.
shader::Conv2dParams product_params(const KernelContext& context);

// The weights as WeightLayout::kHwio.
std::vector<Binding> product_bindings(Emitter& emitter, const Node& node);

// Workgroups that make the product in tiles of so many pixels and channels.
uint64_t product_tiles(const shader::Conv2dParams& p, uint32_t pixels, uint32_t channels);

// Multiply-adds of one tile in steps of `step` along k, padding included.
double tile_work(const shader::Conv2dParams& p, uint32_t pixels, uint32_t channels, uint32_t step);

}  // namespace caldera
