#version 450
// The weight gradient of a convolution as a product of matrices (implicit im2col), for GPUs: a
// workgroup sums a tile of kTileChannels output channels x kTilePlaces filter places (a tap and
// four input channels) over the pixels of one part, and shares its operands through shared memory.
//
//                        places: kTilePlaces
//                  k   +-------------------------+
//                      |  x[k][place]            |     k runs over pixels of all images, kStep
//            k         +-------------------------+     of them a step
//          +--------+  +-------------------------+
//          |        |  | each invocation:        |
// channels | dy     |  |  kRows4 vectors of      |
//          | [k][o4]|  |  channels x kColumns    |
//          |        |  |  places, of 16 sums     |
//          +--------+  +-------------------------+
//
// Both operands lie in memory with k outermost, as the product wants them: nothing is transposed.
// Double-buffered as conv2d_gemm is: a step's operands are loaded into registers while the step
// before is multiplied, then written to the other half of shared memory, with one barrier a step.
// An invocation loads one vector of channels and one place of every few pixels; where those lie it
// finds by additions alone. Neighbouring invocations read neighbouring vectors of either operand,
// so that no two meet in a bank. Parts are added up by another dispatch, in a fixed order.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "weight_gradient_params.h"

layout(constant_id = 1) const uint kTileChannels = 32;
layout(constant_id = 2) const uint kTilePlaces = 8;
layout(constant_id = 3) const uint kStep = 16;    // Pixels.
layout(constant_id = 4) const uint kRows4 = 1;    // Vectors of output channels an invocation.
layout(constant_id = 5) const uint kColumns = 1;  // Places an invocation.

PUSH_CONSTANTS(WeightGradientParams)

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };      // [pixel][in_c4]
layout(std430, binding = 1) readonly buffer Gradient { vector_t dy[]; };  // [pixel][out_c4]
layout(std430, binding = 2) writeonly buffer Parts { vec4 parts[]; };     // [part][o][place]

#include "weight_gradient_tile.glsl"

const uint kTileChannels4 = kTileChannels / 4;
const uint kTileRows = kTileChannels4 / kRows4;     // Invocations along channels,
const uint kTileColumns = kTilePlaces / kColumns;  // and along places.
const uint kInvocations = kTileRows * kTileColumns;
const uint kGradientVectors = kStep * kTileChannels4;
const uint kInputVectors = kStep * kTilePlaces;
const uint kGradientLoads = kGradientVectors / kInvocations;  // Vectors an invocation a step.
const uint kInputLoads = kInputVectors / kInvocations;
const uint kGradientStride = kInvocations / kTileChannels4;  // Pixels from one load to the next.
const uint kInputStride = kInvocations / kTilePlaces;

shared vec4 gradients[2 * kGradientVectors];  // [half][pixel][channel4]
shared vec4 inputs[2 * kInputVectors];        // [half][pixel][place]

void main() {
  Tile tile = locate_tile(kTileChannels4, kTilePlaces);
  if (tile.part >= p.parts) return;  // Of the whole workgroup alike.

  uint id = gl_LocalInvocationID.x;
  // Strips of eight columns, so that a subgroup's tile is about as wide as it is high.
  uint strip = kTileColumns < 8 ? kTileColumns : 8;
  uint column = id % strip + id / (strip * kTileRows) * strip;
  uint row = id / strip % kTileRows;

  // What this invocation loads: one vector of channels of some pixels, one place of some pixels.
  uint first_pixel = tile.part * p.part_pixels;
  uint end_pixel = min(first_pixel + p.part_pixels, p.conv.pixels);
  uint gradient4 = min(tile.first4 + id % kTileChannels4, tile.last4);
  uint gradient_pixel = first_pixel + id / kTileChannels4;
  Place place = locate_place(tile, tile.first_place + id % kTilePlaces);
  uint input_at = first_pixel + id / kTilePlaces;
  Cursor cursor = cursor_at(input_at);
  Cursor stride = cursor_at(kInputStride);
  uint steps = (end_pixel - first_pixel + kStep - 1) / kStep;

  vec4 sum[kRows4 * 4 * kColumns];
  [[unroll]] for (uint i = 0; i < kRows4 * 4 * kColumns; ++i) sum[i] = vec4(0);
  vec4 loaded_gradients[kGradientLoads];
  vec4 loaded_inputs[kInputLoads];

  for (uint step = 0; step <= steps; ++step) {
    if (step < steps) {
      [[unroll]] for (uint u = 0; u < kGradientLoads; ++u) {
        vec4 v = widen(dy[min(gradient_pixel, end_pixel - 1) * p.conv.out_c4 + gradient4]);
        loaded_gradients[u] = gradient_pixel < end_pixel ? v : vec4(0);
        gradient_pixel += kGradientStride;
      }
      [[unroll]] for (uint u = 0; u < kInputLoads; ++u) {
        int from = input_at < end_pixel ? input_pixel(cursor, place) : -1;
        vec4 v = widen(x[uint(max(from, 0)) * p.conv.in_c4 + place.in4]);
        loaded_inputs[u] = from < 0 ? vec4(0) : v;
        input_at += kInputStride;
        advance(cursor, stride);
      }
    }
    if (step > 0) {
      uint from_gradients = (step - 1) % 2 * kGradientVectors;
      uint from_inputs = (step - 1) % 2 * kInputVectors;
      // Whether to unroll this one is left to the driver: its body is hundreds of multiply-adds.
      for (uint k = 0; k < kStep; ++k) {
        vec4 b[kColumns];
        [[unroll]] for (uint j = 0; j < kColumns; ++j) {
          b[j] = inputs[from_inputs + k * kTilePlaces + column + j * kTileColumns];
        }
        [[unroll]] for (uint i = 0; i < kRows4; ++i) {
          vec4 a = gradients[from_gradients + k * kTileChannels4 + row + i * kTileRows];
          [[unroll]] for (uint c = 0; c < 4; ++c) {
            [[unroll]] for (uint j = 0; j < kColumns; ++j) {
              sum[(i * 4 + c) * kColumns + j] += a[c] * b[j];
            }
          }
        }
      }
    }
    if (step < steps) {
      uint to_gradients = step % 2 * kGradientVectors;
      uint to_inputs = step % 2 * kInputVectors;
      [[unroll]] for (uint u = 0; u < kGradientLoads; ++u) {
        gradients[to_gradients + id + u * kInvocations] = loaded_gradients[u];
      }
      [[unroll]] for (uint u = 0; u < kInputLoads; ++u) {
        inputs[to_inputs + id + u * kInvocations] = loaded_inputs[u];
      }
    }
    barrier();
  }

  uint places = filter_places();
  [[unroll]] for (uint i = 0; i < kRows4; ++i) {
    uint block = tile.first4 + row + i * kTileRows;
    [[unroll]] for (uint c = 0; c < 4; ++c) {
      uint o = block * 4 + c;
      [[unroll]] for (uint j = 0; j < kColumns; ++j) {
        uint to = tile.first_place + column + j * kTileColumns;
        if (block <= tile.last4 && o < p.conv.out_c && to < places) {
          parts[((p.first_part + tile.part) * p.conv.out_c + o) * places + to] =
              sum[(i * 4 + c) * kColumns + j];
        }
      }
    }
  }
}
