#version 450
// A convolution as a product of matrices (implicit im2col), for GPUs: a workgroup makes a tile of
// kTilePixels x kTileChannels outputs and shares its operands through shared memory.
//
//                        channels: kTileChannels
//                  k   +-------------------------+     k runs over (tap, input channel), in vectors
//                      |  weights[k][channel]    |     of four, kStep4 vectors a step
//            k         +-------------------------+
//        +----------+  +-------------------------+
//        |          |  | each invocation:        |
// pixels |  pixels  |  |  kRows pixels, kTileRows|
//        |  [k4][m] |  |  apart, x kColumns4     |
//        |          |  |  vectors of channels    |
//        +----------+  +-------------------------+
//
// Double-buffered: a step's operands are loaded into registers while the step before is multiplied,
// then written to the other half of shared memory, so that a step takes one barrier. Each
// invocation keeps the place in the input of its part of k, and moves it by additions alone; loads
// past an edge go to an element that is there, so that no branch keeps them apart. The inner loop
// multiplies a scalar of the pixels' operand by vectors of the weights'; neighbouring invocations
// read neighbouring vectors of either, so that no two meet in a bank.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "conv2d.glsl"

layout(constant_id = 1) const uint kTilePixels = 32;
layout(constant_id = 2) const uint kTileChannels = 32;
layout(constant_id = 3) const uint kStep4 = 4;     // A power of two, 8 at most.
layout(constant_id = 4) const uint kRows = 4;      // Pixels an invocation.
layout(constant_id = 5) const uint kColumns4 = 1;  // Vectors of four channels an invocation.

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };        // [pixel][in_c4]
layout(std430, binding = 1) readonly buffer Weight { vector_t weight[]; };  // [tap][in][out_c4]
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_BINDINGS 3
#include "../common/epilogue.glsl"
#include "implicit_gemm.glsl"

const uint kTileChannels4 = kTileChannels / 4;
const uint kTileRows = kTilePixels / kRows;           // Invocations along pixels,
const uint kTileColumns = kTileChannels4 / kColumns4;  // and along channels.
const uint kInvocations = kTileRows * kTileColumns;
const uint kPixelVectors = kTilePixels * kStep4;
const uint kWeightVectors = kStep4 * 4 * kTileChannels4;
const uint kPixelLoads = kPixelVectors / kInvocations;  // Vectors an invocation a step.
const uint kWeightLoads = kWeightVectors / kInvocations;

shared vec4 pixels[2 * kPixelVectors];    // [half][k4][pixel, permuted]
shared vec4 weights[2 * kWeightVectors];  // [half][k][channel4]

// Invocations write columns of `pixels`, one k4 each; the permutation spreads them over the banks.
uint pixel_slot(uint k4, uint row) { return k4 * kTilePixels + (row ^ (k4 * (8 / kStep4))); }

void main() {
  Tile tile = locate_tile(kTilePixels, kTileChannels4);
  if (tile.first_pixel >= p.pixels) return;  // Of the whole workgroup alike.

  uint id = gl_LocalInvocationID.x;
  // Strips of eight columns, so that a subgroup's tile is about as wide as it is high.
  uint strip = kTileColumns < 8 ? kTileColumns : 8;
  uint column = id % strip + id / (strip * kTileRows) * strip;
  uint row = id / strip % kTileRows;

  // What this invocation loads: one k4 of some pixels, one vector of channels of some k.
  uint load_k4 = id % kStep4;
  uint load_row = id / kStep4;
  uint load_column = id % kTileChannels4;
  uint load_k = id / kTileChannels4;
  Pixel at[kPixelLoads];
  [[unroll]] for (uint u = 0; u < kPixelLoads; ++u) {
    uint pixel = tile.first_pixel + load_row + u * (kInvocations / kStep4);
    at[u] = locate(min(pixel, p.pixels - 1));
  }
  Cursor cursor = cursor_at(load_k4);
  Cursor stride = cursor_at(kStep4);
  uint k_end = k_extent();
  uint weight_column = min(tile.first4 + load_column, tile.last4);
  uint steps = (k_end + kStep4 * 4 - 1) / (kStep4 * 4);

  vec4 sum[kRows * kColumns4];
  [[unroll]] for (uint i = 0; i < kRows * kColumns4; ++i) sum[i] = vec4(0);
  vec4 loaded_pixels[kPixelLoads];
  vec4 loaded_weights[kWeightLoads];

  for (uint step = 0; step <= steps; ++step) {
    if (step < steps) {
      [[unroll]] for (uint u = 0; u < kPixelLoads; ++u) {
        int from = cursor_pixel(at[u], cursor);
        vec4 v = widen(x[uint(max(from, 0)) * p.in_c4 + tile.first_in4 + cursor.i4]);
        loaded_pixels[u] = from < 0 ? vec4(0) : v;
      }
      [[unroll]] for (uint u = 0; u < kWeightLoads; ++u) {
        uint k = step * (kStep4 * 4) + load_k + u * (kInvocations / kTileChannels4);
        vec4 v = widen(weight[min(k, k_end - 1) * p.out_c4 + weight_column]);
        loaded_weights[u] = k < k_end ? v : vec4(0);
      }
      advance(cursor, stride);
    }
    if (step > 0) {
      uint from_pixels = (step - 1) % 2 * kPixelVectors;
      uint from_weights = (step - 1) % 2 * kWeightVectors;
      // Whether to unroll this one is left to the driver: its body is hundreds of multiply-adds.
      for (uint k4 = 0; k4 < kStep4; ++k4) {
        vec4 a[kRows];
        [[unroll]] for (uint i = 0; i < kRows; ++i) {
          a[i] = pixels[from_pixels + pixel_slot(k4, row + i * kTileRows)];
        }
        [[unroll]] for (uint c = 0; c < 4; ++c) {
          [[unroll]] for (uint j = 0; j < kColumns4; ++j) {
            vec4 b = weights[from_weights + (k4 * 4 + c) * kTileChannels4 + column +
                             j * kTileColumns];
            [[unroll]] for (uint i = 0; i < kRows; ++i) sum[i * kColumns4 + j] += a[i][c] * b;
          }
        }
      }
    }
    if (step < steps) {
      uint to_pixels = step % 2 * kPixelVectors;
      uint to_weights = step % 2 * kWeightVectors;
      [[unroll]] for (uint u = 0; u < kPixelLoads; ++u) {
        uint to_row = load_row + u * (kInvocations / kStep4);
        pixels[to_pixels + pixel_slot(load_k4, to_row)] = loaded_pixels[u];
      }
      [[unroll]] for (uint u = 0; u < kWeightLoads; ++u) {
        weights[to_weights + id + u * kInvocations] = loaded_weights[u];
      }
    }
    barrier();
  }

  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    uint pixel = tile.first_pixel + row + i * kTileRows;
    if (pixel >= p.pixels) break;
    [[unroll]] for (uint j = 0; j < kColumns4; ++j) {
      uint block = tile.first4 + column + j * kTileColumns;
      if (block <= tile.last4) {
        uint to = pixel * p.out_c4 + block;
        y[to] = narrow(apply_epilogue(sum[i * kColumns4 + j], p.epilogue, block, p.out_c, to));
      }
    }
  }
}
