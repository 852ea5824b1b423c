// A weight as training stores it, [O][KH][KW][I4 * 4] in f32, read as it is or transposed: outputs
// and inputs of a group change places, and filters, or some of their taps, are mirrored.
#include "pack_weight_params.h"

layout(push_constant) uniform Push { PackWeightParams p; };

layout(std430, binding = 0) readonly buffer Source { float source[]; };

// 0 past the last channels.
float weight_at(uint o, uint i, uint ky, uint kx) {
  if (o >= p.outputs || i >= p.inputs) return 0.0;
  if (p.transposed_groups > 0) {
    uint group = o / p.source_inputs;
    uint source_o = group * p.inputs + i;
    i = o - group * p.source_inputs;
    o = source_o;
    ky = p.first_h + (p.kernel_h - 1 - ky) * p.stride_h;
    kx = p.first_w + (p.kernel_w - 1 - kx) * p.stride_w;
  }
  uint row = (p.source_inputs + 3) / 4 * 4;
  return source[((o * p.source_h + ky) * p.source_w + kx) * row + i];
}
