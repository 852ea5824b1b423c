// What is done to a result before it is stored: bits of a params struct's `epilogue`.
#ifndef CALDERA_SHADERS_COMMON_EPILOGUE_H
#define CALDERA_SHADERS_COMMON_EPILOGUE_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

// The lowest bits: an Activation, numbered as in caldera/graph.h.
const uint kEpilogueActivationMask = 7u;
const uint kEpilogueBias = 8u;
const uint kEpilogueResidual = 16u;

CALDERA_PARAMS_END

#endif
