// Training as more graph: from a network's forward graph to one that also computes its loss, every
// gradient along the paths to what is trained, and the optimizer's step. A Session runs it as it
// runs any other graph; Trainer (caldera/trainer.h) does so over a data set.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/graph.h"
#include "caldera/result.h"

namespace caldera {

// Whether batch-norm normalises by the statistics of the batch and updates the running ones, or by
// the running ones, which stay.
enum class BatchNormMode : uint8_t { kTrain, kFrozen };

// Which activations a step makes again on the way back in place of keeping them: memory is traded
// for time. plan_steps() (caldera/trainer.h) tells how much. The results are the same bits, unless
// with kBlocks a smooth activation follows a convolution directly: the two may then be one kernel
// on the way forward alone, which rounds once less. (Chen et al., "Training Deep Nets with
// Sublinear Memory Cost", arXiv 1604.06174.)
enum class Checkpointing : uint8_t {
  kNone,    // All are kept that the way back reads.
  kCheap,   // Made again: what takes no convolution, so normalised, activated, pooled and added.
  kBlocks,  // All within blocks of layers, convolutions too, as torch.utils.checkpoint would.
};

// "none", "cheap", "blocks"
std::string_view checkpointing_name(Checkpointing checkpointing);
std::vector<std::string> checkpointing_names();
Result<Checkpointing> find_checkpointing(std::string_view name);

struct TrainingSpec {
  // Of parameters: which are trained. Null: all. What is frozen costs nothing backward.
  std::function<bool(std::string_view name)> trainable;
  BatchNormMode batch_norm = BatchNormMode::kTrain;
  float batch_norm_momentum = 0.1f;
  bool cumulative_statistics = false;  // PyTorch's momentum=None.
  bool dropout = true;
  Checkpointing checkpointing = Checkpointing::kNone;
  OptimizerAttrs optimizer{};
  bool decay_vectors = true;  // Weight decay on biases and batch-norm's parameters too.
};

struct TrainingGraph {
  // Inputs: those of the forward graph, targets [N, classes], scalars [1, kScalarCount]
  // (ScalarSlot). Outputs: loss [N, 1], logits, gradient norms [1, 1 + parameters].
  Graph graph;
  std::vector<std::string> parameters;  // Those that are trained, in the order of the norms.
};

// "conv1.weight" -> "conv1.weight.grad"; of a moment, by PyTorch's name for it, likewise.
std::string state_name(std::string_view parameter, std::string_view kind);
// The kinds of moments that an optimizer keeps of each parameter, in the order of
// OptimizerAttrs: "momentum_buffer"; "exp_avg", "exp_avg_sq"; "ema".
std::vector<std::string_view> optimizer_states(const OptimizerAttrs& optimizer);

// `forward`: of one output, logits [N, classes], with its batch-norm and dropout as for inference.
// An error where nothing is trained, or an operator on the way has no gradient.
Result<TrainingGraph> make_training_graph(const Graph& forward, const TrainingSpec& spec);

}  // namespace caldera
