#version 460
// weight_gradient_gemm by cooperative matrices, for GPUs with matrix units: halves in, sums in
// floats.
//
//                        places: kTilePlaces, four columns each
//                 +---------------+---------------+         a subgroup's part: kPartChannels x
//   kTileChannels |  subgroup 0   |  subgroup 1   |         kPartColumns sums, in matrices of
//                 |  +--+--+--+   |               |         kM x kN that the subgroup holds
//                 |  |kM x kN |   |               |         together
//                 +---------------+---------------+
//                 |  subgroup 2   |  subgroup 3   |         a step: kStep pixels, kK a product
//                 +---------------+---------------+
//
// The workgroup stages dy [pixel][channel] and x [pixel][place] (implicit im2col) in shared memory,
// double-buffered through registers as weight_gradient_gemm does, and the subgroups load their
// matrices from there: x's by rows, dy's by columns, so that nothing is transposed by hand. Rows
// are 16 bytes longer than they have to be, so that those of a matrix begin in different banks.
// Which element an invocation holds is the driver's secret, so sums go through shared memory, one
// matrix at a time, to the part's.
#define STORAGE_F16
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "weight_gradient_params.h"

layout(constant_id = 1) const uint kTileChannels = 32;
layout(constant_id = 2) const uint kTilePlaces = 8;
layout(constant_id = 3) const uint kStep = 32;  // Pixels.
layout(constant_id = 4) const uint kPartChannels = 16;
layout(constant_id = 5) const uint kPartColumns = 16;
layout(constant_id = 6) const uint kM = 16;
layout(constant_id = 7) const uint kN = 16;
layout(constant_id = 8) const uint kK = 16;
layout(constant_id = 9) const uint kLanes = 32;  // Of a subgroup.

PUSH_CONSTANTS(WeightGradientParams)

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };      // [pixel][in_c4]
layout(std430, binding = 1) readonly buffer Gradient { vector_t dy[]; };  // [pixel][out_c4]
layout(std430, binding = 2) writeonly buffer Parts { vec4 parts[]; };     // [part][o][place]

#include "weight_gradient_tile.glsl"

const uint kTileChannels4 = kTileChannels / 4;
const uint kAcross = kTilePlaces * 4 / kPartColumns;  // Subgroups along places.
const uint kSubgroups = kTileChannels / kPartChannels * kAcross;
const uint kInvocations = kSubgroups * kLanes;
const uint kGradientLoads = kStep * kTileChannels4 / kInvocations;  // Vectors an invocation a step.
const uint kInputLoads = kStep * kTilePlaces / kInvocations;
const uint kGradientStride = kInvocations / kTileChannels4;  // Pixels from one load to the next.
const uint kInputStride = kInvocations / kTilePlaces;

const uint kGradientRow = kTileChannels4 + 2;  // Vectors, 16 bytes of padding included.
const uint kInputRow = kTilePlaces + 2;
const uint kGradientVectors = kStep * kGradientRow;
const uint kInputVectors = kStep * kInputRow;
shared vector_t gradients[2 * kGradientVectors];  // [half][pixel][channel4]
shared vector_t inputs[2 * kInputVectors];        // [half][pixel][place]
const uint kStageVectors = kM * kN / 4;
shared vec4 stage[kSubgroups * kStageVectors];

const uint kRows = kPartChannels / kM;  // Matrices of a subgroup.
const uint kColumns = kPartColumns / kN;

void main() {
  Tile tile = locate_tile(kTileChannels4, kTilePlaces);
  if (tile.part >= p.parts) return;  // Of the whole workgroup alike.

  // What this invocation loads: one vector of channels of some pixels, one place of some pixels.
  uint id = gl_SubgroupID * kLanes + gl_SubgroupInvocationID;
  uint first_pixel = tile.part * p.part_pixels;
  uint end_pixel = min(first_pixel + p.part_pixels, p.conv.pixels);
  uint gradient4 = min(tile.first4 + id % kTileChannels4, tile.last4);
  uint gradient_pixel = first_pixel + id / kTileChannels4;
  Place place = locate_place(tile, tile.first_place + id % kTilePlaces);
  uint input_at = first_pixel + id / kTilePlaces;
  Cursor cursor = cursor_at(input_at);
  Cursor stride = cursor_at(kInputStride);
  uint steps = (end_pixel - first_pixel + kStep - 1) / kStep;

  uint part_row = gl_SubgroupID / kAcross * kPartChannels;
  uint part_column = gl_SubgroupID % kAcross * kPartColumns;
  coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> sum[kRows * kColumns];
  [[unroll]] for (uint i = 0; i < kRows * kColumns; ++i) {
    sum[i] = coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>(0.0);
  }
  vector_t loaded_gradients[kGradientLoads];
  vector_t loaded_inputs[kInputLoads];

  for (uint step = 0; step <= steps; ++step) {
    if (step < steps) {
      [[unroll]] for (uint u = 0; u < kGradientLoads; ++u) {
        vector_t v = dy[min(gradient_pixel, end_pixel - 1) * p.conv.out_c4 + gradient4];
        loaded_gradients[u] = gradient_pixel < end_pixel ? v : vector_t(0);
        gradient_pixel += kGradientStride;
      }
      [[unroll]] for (uint u = 0; u < kInputLoads; ++u) {
        int from = input_at < end_pixel ? input_pixel(cursor, place) : -1;
        vector_t v = x[uint(max(from, 0)) * p.conv.in_c4 + place.in4];
        loaded_inputs[u] = from < 0 ? vector_t(0) : v;
        input_at += kInputStride;
        advance(cursor, stride);
      }
    }
    if (step > 0) {
      uint half_gradients = (step - 1) % 2 * kGradientVectors + part_row / 4;
      uint half_inputs = (step - 1) % 2 * kInputVectors + part_column / 4;
      // Left to the driver to unroll: one that makes scalars of it compiles for a minute else.
      for (uint k = 0; k < kStep; k += kK) {
        coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> a[kRows];
        [[unroll]] for (uint i = 0; i < kRows; ++i) {
          coopMatLoad(a[i], gradients, half_gradients + k * kGradientRow + i * kM / 4, kGradientRow,
                      gl_CooperativeMatrixLayoutColumnMajor);
        }
        [[unroll]] for (uint j = 0; j < kColumns; ++j) {
          coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> b;
          coopMatLoad(b, inputs, half_inputs + k * kInputRow + j * kN / 4, kInputRow,
                      gl_CooperativeMatrixLayoutRowMajor);
          [[unroll]] for (uint i = 0; i < kRows; ++i) {
            sum[i * kColumns + j] = coopMatMulAdd(a[i], b, sum[i * kColumns + j]);
          }
        }
      }
    }
    if (step < steps) {
      uint to_gradients = step % 2 * kGradientVectors + id % kTileChannels4;
      uint to_inputs = step % 2 * kInputVectors + id % kTilePlaces;
      [[unroll]] for (uint u = 0; u < kGradientLoads; ++u) {
        uint row = id / kTileChannels4 + u * kGradientStride;
        gradients[to_gradients + row * kGradientRow] = loaded_gradients[u];
      }
      [[unroll]] for (uint u = 0; u < kInputLoads; ++u) {
        uint row = id / kTilePlaces + u * kInputStride;
        inputs[to_inputs + row * kInputRow] = loaded_inputs[u];
      }
    }
    barrier();
  }

  uint places = filter_places();
  uint own_stage = gl_SubgroupID * kStageVectors;
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    [[unroll]] for (uint j = 0; j < kColumns; ++j) {
      coopMatStore(sum[i * kColumns + j], stage, own_stage, kN / 4,
                   gl_CooperativeMatrixLayoutRowMajor);
      subgroupBarrier();
      for (uint v = gl_SubgroupInvocationID; v < kStageVectors; v += kLanes) {
        uint o = tile.first4 * 4 + part_row + i * kM + v / (kN / 4);
        uint to = tile.first_place + (part_column + j * kN) / 4 + v % (kN / 4);
        if (o / 4 <= tile.last4 && o < p.conv.out_c && to < places) {
          parts[((p.first_part + tile.part) * p.conv.out_c + o) * places + to] =
              stage[own_stage + v];
        }
      }
      subgroupBarrier();
    }
  }
}
