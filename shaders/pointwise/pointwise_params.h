// Push constants of activation and binary.
#ifndef CALDERA_SHADERS_POINTWISE_PARAMS_H
#define CALDERA_SHADERS_POINTWISE_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

struct PointwiseParams {
  uint vectors;  // Of the tensor: images * image_vectors.
  uint image_vectors;
  uint c4;
  uint channels;
  uint activation;
  uint multiply;   // binary: 1 multiplies, 0 adds.
  uint broadcast;  // binary: 1 where b is [N, C, 1, 1].
};

CALDERA_PARAMS_END

#endif
