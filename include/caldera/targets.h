// Soft targets: all of a classification loss but the logits, as one matrix. With
//
//   loss = -sum_i sum_c T[i, c] * log_softmax(logits)[i, c]
//
// the loss and its gradient are the same few operations whatever the options are.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "caldera/augment.h"
#include "caldera/result.h"
#include "caldera/tensor.h"

namespace caldera {

struct TargetOptions {
  double label_smoothing = 0;        // Szegedy et al., arXiv 1512.00567, section 7. Within [0, 1].
  std::vector<float> class_weights;  // One a class; empty: all 1.
  int32_t ignore_index = -100;       // Samples of this label do not count.
};

// Targets T, float32 [N, classes], for which the loss above is PyTorch's
// cross_entropy(logits, labels, weight, ignore_index, label_smoothing, reduction='mean'):
//
//   T[i, c] = ((1 - s) * w[y_i] * [c = y_i] + s / classes * w[c]) / sum_j w[y_j]
//
// over the samples j that count; s is the smoothing, y the labels, w the weights (torch.nn.
// CrossEntropyLoss). A sample that does not count has a row of zeros, and so has every sample where
// the sum is 0 (PyTorch's mean is then not a number).
//
// With `mixup`, weight[i] of row i and 1 - weight[i] of row partner[i]: of one weight for the
// batch, weight * cross_entropy(logits, y) + (1 - weight) * cross_entropy(logits, y[partner]).
//
// An error on a label outside of 0 .. classes - 1, on weights of the wrong number, below 0 or not
// finite, on a smoothing outside of [0, 1], and on a mixup of another number of samples.
Result<Tensor> make_targets(std::span<const int32_t> labels, int64_t classes,
                            const TargetOptions& options = {}, const Mixup* mixup = nullptr);

}  // namespace caldera
