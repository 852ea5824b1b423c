#version 450
// Y = A^T M A and the epilogue: one output tile of four channels an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "winograd.glsl"

layout(constant_id = 1) const uint kOutputs = 4;  // m: 2 or 4.
#define ROLLED_CONSTANT 2
#include "../common/rolled.glsl"

layout(binding = 0, rgba32f) readonly uniform imageBuffer products;  // [n^2][tile][out_c4]
layout(std430, binding = 1) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_TEXELS
#define EPILOGUE_CONSTANT 3
#define EPILOGUE_BINDINGS 2
#include "../common/epilogue.glsl"

const uint kInputs = kOutputs + 2;

void store(uint image, uint row, uint column, uint block, vec4 sum) {
  if (row < p.conv.out_h && column < p.conv.out_w) {
    uint to = ((image * p.conv.out_h + row) * p.conv.out_w + column) * p.conv.out_c4 + block;
    y[to] = narrow(apply_epilogue(sum, p.conv.epilogue, block, p.conv.out_c, to));
  }
}

void main() {
  uint index = invocation_index();
  uint tile = index / p.conv.out_c4;
  uint block = index - tile * p.conv.out_c4;
  if (tile >= p.tiles) return;
  uint row = tile / p.tiles_w;
  uint image = row / p.tiles_h;
  uint left = (tile - row * p.tiles_w) * kOutputs;
  uint top = (row - image * p.tiles_h) * kOutputs;

  uint plane = p.tiles * p.conv.out_c4;
  vec4 m[kInputs * kInputs];
  [[unroll]] for (uint i = 0; i < kInputs * kInputs; ++i) {
    m[i] = imageLoad(products, int(i * plane + index));
  }
  [[unroll]] for (uint c = 0; c < kInputs; ++c) {
    if (kOutputs == 4) {
      WINOGRAD_OUTPUT_4(m[c], m[kInputs + c], m[2 * kInputs + c], m[3 * kInputs + c],
                        m[4 * kInputs + c], m[5 * kInputs + c])
    } else {
      WINOGRAD_OUTPUT_2(m[c], m[kInputs + c], m[2 * kInputs + c], m[3 * kInputs + c])
    }
  }
  vec4 made[kOutputs * kOutputs];
  [[unroll]] for (uint r = 0; r < kOutputs; ++r) {
    uint at = r * kInputs;
    if (kOutputs == 4) {
      WINOGRAD_OUTPUT_4(m[at], m[at + 1], m[at + 2], m[at + 3], m[at + 4], m[at + 5])
    } else {
      WINOGRAD_OUTPUT_2(m[at], m[at + 1], m[at + 2], m[at + 3])
    }
    [[unroll]] for (uint c = 0; c < kOutputs; ++c) {
      made[r * kOutputs + c] = m[at + c];
    }
  }
  EACH_STORE(i, kOutputs * kOutputs,
             store(image, top + i / kOutputs, left + i % kOutputs, block, made[i]))
}
