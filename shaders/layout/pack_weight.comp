#version 450
// A weight that training changes, in the layout that a kernel reads; what graph/pack_weights.cpp
// does on the host for those that stay the same. An invocation takes one tap between four output
// and four input channels: vectors go in and out, whichever of the two is the innermost.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/channels.h"
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "pack_weight_params.h"

PUSH_CONSTANTS(PackWeightParams)

// As training stores it, [O][KH][KW][I4] in f32. What stands TEXELS for: common/vectors.glsl.
#ifdef TEXELS
layout(binding = 0, rgba32f) readonly uniform imageBuffer source;
#define LOAD(index) imageLoad(source, int(index))
#else
layout(std430, binding = 0) readonly buffer Source { vec4 source[]; };
#define LOAD(index) source[index]
#endif
layout(std430, binding = 1) writeonly buffer Packed { vector_t packed[]; };

// Constants, so that a CPU driver computes one way only.
layout(constant_id = 1) const uint kLayout = 1;  // A WeightLayout (graph/dispatch.h).
// Read transposed: outputs and inputs of a group change places, and filters, or some of their
// taps, are mirrored.
layout(constant_id = 2) const bool kTransposed = false;
// Whether four outputs that lie side by side are so in the source too, where it is transposed.
layout(constant_id = 3) const bool kWhole = true;

uint source_row(uint row, uint ky, uint kx) {
  return ((row * p.source_h + ky) * p.source_w + kx) * ((p.source_inputs + 3) / 4);
}

// One tap between outputs o, o + 1, ... and inputs i, i + 1, ...: a row an output or, where they
// are `by_input`, an input. 0 past the last channels.
struct Block {
  vec4 rows[4];
};

Block as_stored(uint o, uint i, uint tap) {
  Block block;
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    bool inside = o + k < p.outputs && i < p.inputs;
    uint at = source_row(o + k, tap / p.kernel_w, tap % p.kernel_w) + i / 4;
    vec4 row = LOAD(inside ? at : 0);
    block.rows[k] = inside ? row : vec4(0);
  }
  return block;
}

Block by_input(uint o, uint i, uint tap) {
  uint ky = p.first_h + (p.kernel_h - 1 - tap / p.kernel_w) * p.stride_h;
  uint kx = p.first_w + (p.kernel_w - 1 - tap % p.kernel_w) * p.stride_w;
  Block block;
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    bool inside = i + k < p.inputs;
    if (kWhole) {
      inside = inside && o < p.outputs;
      uint group = o / p.source_inputs;
      uint at = source_row(group * p.inputs + i + k, ky, kx) + (o - group * p.source_inputs) / 4;
      vec4 row = LOAD(inside ? at : 0);
      block.rows[k] = inside ? row : vec4(0);
    } else {
      [[unroll]] for (uint j = 0; j < 4; ++j) {
        uint output_ = o + j;
        bool there = inside && output_ < p.outputs;
        uint group = output_ / p.source_inputs;
        uint column = output_ - group * p.source_inputs;
        uint at = source_row(group * p.inputs + i + k, ky, kx) + column / 4;
        vec4 row = LOAD(there ? at : 0);
        block.rows[k][j] = there ? row[column % 4] : 0.0;
      }
    }
  }
  return block;
}

Block transposed(Block a) {
  mat4 t = transpose(mat4(a.rows[0], a.rows[1], a.rows[2], a.rows[3]));
  return Block(vec4[](t[0], t[1], t[2], t[3]));
}

void main() {
  uint taps = p.kernel_h * p.kernel_w;
  uint in4 = kLayout == 3 ? stored_vectors(p.inputs) : (p.inputs + 3) / 4;
  uint out4 = kLayout == 2 ? (p.outputs + 7) / 8 * 2 : stored_vectors(p.outputs);
  uint index = invocation_index();
  uint i4 = index % in4;
  uint tap = index / in4 % taps;
  uint o4 = index / (in4 * taps);
  if (o4 >= out4) return;
  Block block;
  if (kTransposed) {
    block = by_input(o4 * 4, i4 * 4, tap);
  } else {
    block = as_stored(o4 * 4, i4 * 4, tap);
  }
  const bool outputs_innermost = kLayout >= 3;
  if (kTransposed != outputs_innermost) block = transposed(block);
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    uint o = o4 * 4 + k, i = i4 * 4 + k;
    uint at;
    switch (kLayout) {
      case 1: at = (o * taps + tap) * in4 + i4; break;                       // kOhwi
      case 2: at = ((o / 8 * taps + tap) * in4 + i4) * 8 + o % 8; break;     // kPanels
      case 3: at = (tap * in4 * 4 + i) * out4 + o4; break;                   // kHwio
      default: at = tap * out4 + o4;                                         // kTapsFirst
    }
    if (kLayout != 4 || k == 0) packed[at] = narrow(block.rows[k]);
  }
}
