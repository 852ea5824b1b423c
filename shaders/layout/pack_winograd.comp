#version 450
// The filter transform U = G g G^T of F(2x2) or F(4x4), 3x3 (conv2d/winograd.glsl), for weights
// that training changes, into [element][O8][I4][8][4]. An invocation takes the filters between four
// output and four input channels: as the weight is stored, whole vectors are of inputs or, where it
// is transposed, of outputs.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "pack_weight_params.h"

PUSH_CONSTANTS(PackWeightParams)

layout(binding = 0, rgba32f) readonly uniform imageBuffer source;  // [O][tap][I4]
layout(std430, binding = 1) writeonly buffer Packed { vec4 packed[]; };

// G by rows, of m = 2 and m = 4.
layout(constant_id = 1) const bool kTwo = false;  // F(2x2).
layout(constant_id = 2) const bool kTransposed = false;
#define ROLLED_CONSTANT 3
#include "../common/rolled.glsl"

const vec3 kG2[4] = vec3[](vec3(1, 0, 0), vec3(0.5, 0.5, 0.5), vec3(0.5, -0.5, 0.5), vec3(0, 0, 1));
const vec3 kG4[6] =
    vec3[](vec3(1.0 / 4, 0, 0), vec3(-1.0 / 6), vec3(-1.0 / 6, 1.0 / 6, -1.0 / 6),
           vec3(1.0 / 24, 1.0 / 12, 1.0 / 6), vec3(1.0 / 24, -1.0 / 12, 1.0 / 6), vec3(0, 0, 1));

// Where a tap of the packed filter is stored.
uint stored_tap(uint tap) {
  uint ky = p.first_h + (2 - tap / 3) * p.stride_h;
  uint kx = p.first_w + (2 - tap % 3) * p.stride_w;
  return kTransposed ? ky * p.source_w + kx : tap;
}

// Four channels of the stored weight's row; zeros past its end.
vec4 load(uint row, uint tap, uint block, uint rows, uint blocks) {
  bool inside = row < rows && block < blocks;
  uint at = (row * p.source_h * p.source_w + stored_tap(tap)) * blocks + block;
  vec4 v = imageLoad(source, int(inside ? at : 0));
  return inside ? v : vec4(0);
}

vec4 filters[36];  // [o][tap]

// Transforms filter o and stores it from `to` on, an element every `size`.
void store_filter(uint o, uint to, uint size) {
  vec4 g[9];
  [[unroll]] for (uint tap = 0; tap < 9; ++tap) g[tap] = filters[o * 9 + tap];
  const uint rows = kTwo ? 4 : 6;
  vec4 made[36];
  [[unroll]] for (uint r = 0; r < rows; ++r) {
    vec3 a = kTwo ? kG2[r % 4] : kG4[r];
    vec4 left[3];
    [[unroll]] for (uint k = 0; k < 3; ++k) {
      left[k] = a.x * g[k] + a.y * g[3 + k] + a.z * g[6 + k];
    }
    [[unroll]] for (uint c = 0; c < rows; ++c) {
      vec3 b = kTwo ? kG2[c % 4] : kG4[c];
      uint i = r * rows + c;
      made[i] = b.x * left[0] + b.y * left[1] + b.z * left[2];
      // At once, so that a GPU's registers need not hold them all.
      if (!kRolled) packed[i * size + to] = made[i];
    }
  }
  if (kRolled) {
    [[dont_unroll]] for (uint i = 0; i < rows * rows; ++i) packed[i * size + to] = made[i];
  }
}

void main() {
  uint index = invocation_index();
  uint in4 = (p.inputs + 3) / 4;
  uint out4 = (p.outputs + 7) / 8 * 2;
  uint i4 = index % in4;
  uint o4 = index / in4;
  if (o4 >= out4) return;
  vec4 loaded[36];  // [row][tap]
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    [[unroll]] for (uint tap = 0; tap < 9; ++tap) {
      loaded[k * 9 + tap] = kTransposed
                                ? load(i4 * 4 + k, tap, o4, p.inputs, (p.outputs + 3) / 4)
                                : load(o4 * 4 + k, tap, i4, p.outputs, in4);
    }
  }
  [[unroll]] for (uint o = 0; o < 4; ++o) {
    [[unroll]] for (uint tap = 0; tap < 9; ++tap) {
      filters[o * 9 + tap] = kTransposed ? vec4(loaded[tap][o], loaded[9 + tap][o],
                                                loaded[18 + tap][o], loaded[27 + tap][o])
                                         : loaded[o * 9 + tap];
    }
  }
  uint to = (o4 / 2 * in4 + i4) * 8 + o4 % 2 * 4;
  EACH_STORE(o, 4, store_filter(o, to + o, out4 * 4 * in4))
}
