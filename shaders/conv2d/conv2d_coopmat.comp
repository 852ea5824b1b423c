#version 460
// A convolution or a linear layer as a product of matrices by matrix units: halves in, sums in
// floats. It is the design that measured fastest on an H200 (docs/kernels.md).
//
//                           kTileChannels                     a subgroup's part: kPartPixels x
//                     +---------------+---------------+       kPartChannels sums, in matrices of
//             kStep   |       weights [k][channel]    |       kM x kN that the subgroup holds
//                     +---------------+---------------+       together
//         kStep
//       +-------+     +---------------+---------------+       k runs over (tap, input channel); the
//       |       |     |  subgroup 0   |  subgroup 1   |       matrix of pixels is never made
//  kTile| pixels|     |  +--+--+      |               |       (implicit im2col): a cursor walks it
//  Pixels  [k]  |     |  |kM x kN|    |               |
//       |       |     +---------------+---------------+
//       |       |     |  subgroup 2   |  subgroup 3   |
//       +-------+     +---------------+---------------+
//
// - Everything moves by 16 bytes, eight halves: from memory, to shared memory, which is declared
//   so, and back. Rows in shared memory are 16 bytes longer than they have to be, so that those of
//   a matrix begin in different banks.
// - There is one buffer of operands. The next ones wait in registers while these are multiplied:
//   less shared memory lets more workgroups run side by side, which hides the barriers.
// - Which sum an invocation holds is the driver's secret. So results leave through the same shared
//   memory, a row of matrices at a time, to the epilogue and then to memory in whole rows.
#define STORAGE_F16
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#include "../common/grid.glsl"
#include "conv2d.glsl"

layout(constant_id = 1) const uint kTilePixels = 32;
layout(constant_id = 2) const uint kTileChannels = 32;
layout(constant_id = 3) const uint kStep = 32;  // A multiple of kK and of 8.
layout(constant_id = 4) const uint kPartPixels = 16;
layout(constant_id = 5) const uint kPartChannels = 16;
layout(constant_id = 6) const uint kM = 16;
layout(constant_id = 7) const uint kN = 16;
layout(constant_id = 8) const uint kK = 16;
layout(constant_id = 9) const uint kLanes = 32;  // A subgroup's.
// Whether pixels are of up to four channels: then 16 bytes of k are two taps.
layout(constant_id = 10) const bool kPairs = false;
#define ROLLED_CONSTANT 11
#include "../common/rolled.glsl"
// As Conv2dParams has it, which says so too late: branches would keep loads from being under way
// together.
layout(constant_id = 12) const uint kEpilogue = 0;

layout(std430, binding = 0) readonly buffer Input { uvec4 x[]; };         // [pixel][in_c4 / 2]
layout(std430, binding = 0) readonly buffer FewChannels { uvec2 x4[]; };  // [pixel], with kPairs
layout(std430, binding = 1) readonly buffer Weight { uvec4 weight[]; };   // [k][out_c4 / 2]
layout(std430, binding = 2) writeonly buffer Output { uvec4 y[]; };       // [pixel][out_c4 / 2]
layout(std430, binding = 3) readonly buffer Bias { vec4 bias[]; };
layout(std430, binding = 4) readonly buffer Residual { uvec4 residual[]; };

#include "../common/channels.h"
#include "../common/epilogue.glsl"

const uint kStep8 = kStep / 8;  // Eights, of k and of channels.
const uint kTileChannels8 = kTileChannels / 8;
const uint kPartColumns = kTileChannels / kPartChannels;
const uint kSubgroups = kTilePixels / kPartPixels * kPartColumns;
const uint kInvocations = kSubgroups * kLanes;
const uint kPixelLoads = kTilePixels * kStep8 / kInvocations;  // An invocation's, of 16 bytes.
const uint kWeightLoads = kStep * kTileChannels8 / kInvocations;

const uint kPixelRow = kStep8 + 1;
const uint kWeightRow = kTileChannels8 + 1;
const uint kResultRow = kPartChannels / 4 + 1;  // In vectors of floats.
const uint kOperands = kTilePixels * kPixelRow + kStep * kWeightRow;
const uint kResults = kSubgroups * kM * kResultRow;
shared uvec4 staged[kOperands > kResults ? kOperands : kResults];

const uint kRows = kPartPixels / kM;  // Matrices of a subgroup.
const uint kColumns = kPartChannels / kN;
#define SUMS_T coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>
SUMS_T sums[kRows * kColumns];

// The workgroup's tile of outputs.
struct Tile {
  uint first_pixel;
  uint first8;     // The first output channels.
  uint last8;      // Its group ends here: the tile may reach past it.
  uint first_in8;  // The group's first input channels.
};

Tile locate_tile() {
  uint groups = p.out_c / p.group_out;
  uint group_out8 = stored_vectors(p.group_out) / 2;
  uint group_tiles = (group_out8 + kTileChannels8 - 1) / kTileChannels8;
  uint channel_tiles = groups * group_tiles;
  uint index = workgroup_index();
  uint channel_tile = index % channel_tiles;
  uint group = channel_tile / group_tiles;
  return Tile(index / channel_tiles * kTilePixels,
              group * group_out8 + channel_tile % group_tiles * kTileChannels8,
              (group + 1) * group_out8 - 1, group * (stored_vectors(p.group_in) / 2));
}

// What this invocation loads: one eight of k of some pixels, one of channels of some k.
uint id;
Pixel at[kPixelLoads];
uvec4 loaded_pixels[kPixelLoads];
uvec4 loaded_weights[kWeightLoads];

// The eight of k that comes next: channels 8 * i8 on under a tap, or with kPairs a pair of taps.
// Past the end, ky is past the kernel.
uint i8, ky, kx;

uint group_in8() { return stored_vectors(p.group_in) / 2; }

void set_cursor(uint k8) {
  if (kPairs) {
    i8 = k8;
  } else {
    uint tap = k8 / group_in8();
    i8 = k8 - tap * group_in8();
    ky = tap / p.kernel_w;
    kx = tap - ky * p.kernel_w;
  }
}

// By a step.
void advance_cursor() {
  i8 += kStep8;
  if (kPairs) return;
  while (i8 >= group_in8()) {
    i8 -= group_in8();
    if (++kx == p.kernel_w) {
      kx = 0;
      ++ky;
    }
  }
}

uvec2 colours_under(Pixel pixel, uint tap) {
  uint row = tap / p.kernel_w;
  int from = row < p.kernel_h ? tap_pixel(pixel, row, tap - row * p.kernel_w) : -1;
  uvec2 v = x4[max(from, 0)];
  return from < 0 ? uvec2(0) : v;
}

void fetch(Tile tile, uint first_k, uint k_end) {
  [[unroll]] for (uint u = 0; u < kPixelLoads; ++u) {
    if (kPairs) {
      loaded_pixels[u] = uvec4(colours_under(at[u], 2 * i8), colours_under(at[u], 2 * i8 + 1));
    } else {
      int from = ky < p.kernel_h ? tap_pixel(at[u], ky, kx) : -1;
      uvec4 v = x[uint(max(from, 0)) * (p.in_c4 / 2) + tile.first_in8 + i8];
      loaded_pixels[u] = from < 0 ? uvec4(0) : v;
    }
  }
  advance_cursor();
  uint column = min(tile.first8 + id % kTileChannels8, tile.last8);
  [[unroll]] for (uint u = 0; u < kWeightLoads; ++u) {
    uint k = first_k + id / kTileChannels8 + u * (kInvocations / kTileChannels8);
    uvec4 v = weight[min(k, k_end - 1) * (p.out_c4 / 2) + column];
    loaded_weights[u] = k < k_end ? v : uvec4(0);
  }
}

void stage() {
  [[unroll]] for (uint u = 0; u < kPixelLoads; ++u) {
    uint row = id / kStep8 + u * (kInvocations / kStep8);
    staged[row * kPixelRow + id % kStep8] = loaded_pixels[u];
  }
  [[unroll]] for (uint u = 0; u < kWeightLoads; ++u) {
    uint row = id / kTileChannels8 + u * (kInvocations / kTileChannels8);
    staged[kTilePixels * kPixelRow + row * kWeightRow + id % kTileChannels8] = loaded_weights[u];
  }
}

// Where this subgroup's part begins in the tile.
uint part_row() { return gl_SubgroupID / kPartColumns * kPartPixels; }
uint part_column() { return gl_SubgroupID % kPartColumns * kPartChannels; }

// Adds the products of k to k + kK of what is staged.
void multiply(uint k) {
  coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> a[kRows];
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    coopMatLoad(a[i], staged, (part_row() + i * kM) * kPixelRow + k / 8, kPixelRow,
                gl_CooperativeMatrixLayoutRowMajor);
  }
  uint first = kTilePixels * kPixelRow + k * kWeightRow + part_column() / 8;
  [[unroll]] for (uint j = 0; j < kColumns; ++j) {
    coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> b;
    coopMatLoad(b, staged, first + j * kN / 8, kWeightRow, gl_CooperativeMatrixLayoutRowMajor);
    [[unroll]] for (uint i = 0; i < kRows; ++i) {
      sums[i * kColumns + j] = coopMatMulAdd(a[i], b, sums[i * kColumns + j]);
    }
  }
}

vec4 floats_of(uvec2 halves) {
  return vec4(unpackFloat2x16(halves.x), unpackFloat2x16(halves.y));
}

uvec2 halves_of(vec4 floats) {
  return uvec2(packFloat2x16(f16vec2(floats.xy)), packFloat2x16(f16vec2(floats.zw)));
}

const uint kPartChannels8 = kPartChannels / 8;
const uint kRowsAPass = kLanes / kPartChannels8;  // Pixels that a subgroup finishes at a time.
const uint kPasses = (kM + kRowsAPass - 1) / kRowsAPass;

// A lane finishes the same eight channels of every kRowsAPass-th pixel.
void store(Tile tile) {
  uint lane = gl_SubgroupInvocationID;
  uint column8 = lane % kPartChannels8;
  uint first_row = lane / kPartChannels8;
  uint block8 = tile.first8 + part_column() / 8 + column8;
  uint inside8 = min(block8, tile.last8);
  vec4 low_bias = vec4(0), high_bias = vec4(0);
  if ((kEpilogue & kEpilogueBias) != 0) {
    low_bias = bias[inside8 * 2];
    high_bias = bias[inside8 * 2 + 1];
  }
  uint own = gl_SubgroupID * kM * kResultRow;
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    [[unroll]] for (uint j = 0; j < kColumns; ++j) {
      coopMatStore(sums[i * kColumns + j], staged, own + j * kN / 4, kResultRow,
                   gl_CooperativeMatrixLayoutRowMajor);
    }
    uint first_pixel = tile.first_pixel + part_row() + i * kM + first_row;
    uvec4 added[kPasses];
    [[unroll]] for (uint pass = 0; pass < kPasses; ++pass) {
      uint pixel = min(first_pixel + pass * kRowsAPass, p.pixels - 1);
      if ((kEpilogue & kEpilogueResidual) != 0) {
        added[pass] = residual[pixel * (p.out_c4 / 2) + inside8];
      }
    }
    subgroupBarrier();
    [[unroll]] for (uint pass = 0; pass < kPasses; ++pass) {
      uint row = first_row + pass * kRowsAPass;
      uint from = own + min(row, kM - 1) * kResultRow + column8 * 2;
      vec4 low = uintBitsToFloat(staged[from]) + low_bias;
      vec4 high = uintBitsToFloat(staged[from + 1]) + high_bias;
      if ((kEpilogue & kEpilogueResidual) != 0) {
        low += floats_of(added[pass].xy);
        high += floats_of(added[pass].zw);
      }
      low = zero_tail(activate(low, kEpilogue & kEpilogueActivationMask), block8 * 2, p.out_c);
      high = zero_tail(activate(high, kEpilogue & kEpilogueActivationMask), block8 * 2 + 1, p.out_c);
      uint pixel = first_pixel + pass * kRowsAPass;
      if (row < kM && pixel < p.pixels && block8 <= tile.last8) {
        y[pixel * (p.out_c4 / 2) + block8] = uvec4(halves_of(low), halves_of(high));
      }
    }
    subgroupBarrier();
  }
}

void main() {
  Tile tile = locate_tile();
  if (tile.first_pixel >= p.pixels) return;  // The whole workgroup alike.
  id = gl_SubgroupID * kLanes + gl_SubgroupInvocationID;
  [[unroll]] for (uint u = 0; u < kPixelLoads; ++u) {
    uint pixel = tile.first_pixel + id / kStep8 + u * (kInvocations / kStep8);
    at[u] = locate(min(pixel, p.pixels - 1));
  }
  set_cursor(id % kStep8);
  [[unroll]] for (uint i = 0; i < kRows * kColumns; ++i) sums[i] = SUMS_T(0.0);

  uint taps = p.kernel_h * p.kernel_w;
  uint k_end = kPairs ? taps * 4 : taps * group_in8() * 8;
  fetch(tile, 0, k_end);
  stage();
  barrier();
  [[dont_unroll]] for (uint k = 0; k < k_end; k += kStep) {
    bool more = k + kStep < k_end;
    if (more) fetch(tile, k + kStep, k_end);
    // A CPU's compiler makes scalars of matrices, of which it takes a minute to unroll this one.
    if (kRolled) {
      [[dont_unroll]] for (uint part = 0; part < kStep; part += kK) multiply(part);
    } else {
      [[unroll]] for (uint part = 0; part < kStep; part += kK) multiply(part);
    }
    barrier();
    if (more) stage();
    barrier();
  }
  store(tile);
}
