// Rewrites of a graph that leave its function as it was, to rounding. Each is a free function;
// none looks at a device.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "caldera/graph.h"

namespace caldera {

// Factors of parameters' output channels, by parameter name, that are yet to be multiplied in:
// uploading does it, so that no second copy of a network's weights stands on the host.
using ChannelScales = std::map<std::string, std::vector<double>, std::less<>>;

// The weights with their factors multiplied in, in double and rounded once.
Weights apply_scales(const Weights& weights, const ChannelScales& scales);

// Puts each batch_norm that alone follows a conv2d into that convolution's weight and bias, which
// become new parameters: the weight shares the old one's memory and has factors in `scales`.
void fold_batch_norm(Graph& graph, Weights& weights, ChannelScales& scales);

// What a graph is run for after fusing. Training asks of an activation that its gradient can be
// told from its output, or that it follows a batch_norm alone, which can be made again.
enum class FuseFor : uint8_t { kInference, kTraining };

// Gives each conv2d, batch_norm and linear the residual add and the activation that alone follow
// it, and each add and multiply its activation.
void fuse_epilogues(Graph& graph, FuseFor purpose = FuseFor::kInference);

// Sets Node::full_precision in the layers that the patterns name (SessionOptions::full_precision),
// and in what autodiff made for them. An error where a pattern names no layer.
Status mark_full_precision(Graph& graph, const std::vector<std::string>& patterns);

// Gives every activation that the graph leaves open its storage: `storage`, or f32 where its node
// is of full precision. Where a node reads an activation that is stored differently, a Convert
// stands before it. A loss computes in the precision of its logits.
void choose_storage(Graph& graph, Storage storage);

// Shared by the passes.

// How many nodes and graph outputs read each value.
std::vector<int> count_uses(const Graph& graph);
// Drops the nodes marked, and sets Value::producer anew.
void remove_nodes(Graph& graph, const std::vector<bool>& removed);

}  // namespace caldera
