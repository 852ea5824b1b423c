// Push constants of the shaders that end a training step, and of dropout.
#ifndef CALDERA_SHADERS_TRAINING_PARAMS_H
#define CALDERA_SHADERS_TRAINING_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

struct DropoutParams {
  uint first_image;  // Of the dispatch's images in the batch.
  uint vectors;      // Of the dispatch's images.
  uint pixels;       // Of an image.
  uint channels;
  uint c4;
  uint stream;
  float probability;
};

// States lie in pieces of kStatePieceBytes (graph/state_layout.h).
struct PieceNormsParams {
  uint pieces;       // Of this dispatch.
  uint first_piece;  // Of them, in the result.
};

struct GradientNormsParams {
  uint parameters;
};

struct OptimizerParams {
  uint vectors;
  float momentum;
  uint nesterov;
  float beta1;
  float beta2;
  float eps;
  float weight_decay;
  float max_norm;
  float ema_decay;
};

CALDERA_PARAMS_END

#endif
