#version 460
// A convolution's or linear layer's weight gradient as a product of matrices by matrix units: halves
// in, sums in floats. The design is conv2d_coopmat's.
//
//                        places: kTilePlaces, of eight columns each: a filter's
//                        tap and eight input channels
//                 +---------------+---------------+         a subgroup's part: kPartChannels x
//   kTileChannels |  subgroup 0   |  subgroup 1   |         kPartColumns sums, in matrices of
//                 |  +--+--+--+   |               |         kM x kN that the subgroup holds
//                 |  |kM x kN |   |               |         together
//                 +---------------+---------------+
//                 |  subgroup 2   |  subgroup 3   |         a step: kStep pixels, kK a product
//                 +---------------+---------------+
//
// The workgroup stages dy [pixel][channel] and x [pixel][place] (implicit im2col) in shared memory,
// and the subgroups load their matrices from there: x's by rows, dy's by columns, so that nothing
// is transposed by hand. Sums leave through the same shared memory, to this part's of the whole.
#define STORAGE_F16
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#include "../common/channels.h"
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "weight_gradient_params.h"

layout(constant_id = 1) const uint kTileChannels = 32;
layout(constant_id = 2) const uint kTilePlaces = 4;
layout(constant_id = 3) const uint kStep = 32;  // Pixels, a multiple of kK.
layout(constant_id = 4) const uint kPartChannels = 16;
layout(constant_id = 5) const uint kPartColumns = 16;
layout(constant_id = 6) const uint kM = 16;
layout(constant_id = 7) const uint kN = 16;
layout(constant_id = 8) const uint kK = 16;
layout(constant_id = 9) const uint kLanes = 32;  // Of a subgroup.
// Whether pixels of x are of up to four channels: then a place is two taps.
layout(constant_id = 10) const bool kPairs = false;
#define ROLLED_CONSTANT 11
#include "../common/rolled.glsl"

PUSH_CONSTANTS(WeightGradientParams)

layout(std430, binding = 0) readonly buffer Input { uvec4 x[]; };         // [pixel][in_c4 / 2]
layout(std430, binding = 0) readonly buffer FewChannels { uvec2 x4[]; };  // [pixel], with kPairs
layout(std430, binding = 1) readonly buffer Gradient { uvec4 dy[]; };     // [pixel][out_c4 / 2]
layout(std430, binding = 2) writeonly buffer Parts { uvec4 parts[]; };    // [part][o][tap][in4]

#include "weight_gradient_tile.glsl"

const uint kTileChannels8 = kTileChannels / 8;
const uint kAcross = kTilePlaces * 8 / kPartColumns;  // Subgroups along places.
const uint kSubgroups = kTileChannels / kPartChannels * kAcross;
const uint kInvocations = kSubgroups * kLanes;
const uint kGradientLoads = kStep * kTileChannels8 / kInvocations;  // An invocation a step.
const uint kInputLoads = kStep * kTilePlaces / kInvocations;
const uint kGradientStride = kInvocations / kTileChannels8;  // Pixels from one load to the next.
const uint kInputStride = kInvocations / kTilePlaces;

const uint kGradientRow = kTileChannels8 + 1;  // 16 bytes of padding included.
const uint kInputRow = kTilePlaces + 1;
const uint kResultRow = kPartColumns / 4 + 1;  // In vectors of floats.
const uint kInputs = kStep * kGradientRow;     // Where x's rows begin.
const uint kOperands = kInputs + kStep * kInputRow;
const uint kResults = kSubgroups * kM * kResultRow;
shared uvec4 staged[kOperands > kResults ? kOperands : kResults];

const uint kRows = kPartChannels / kM;  // Matrices of a subgroup.
const uint kColumns = kPartColumns / kN;
#define SUMS_T coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>
SUMS_T sums[kRows * kColumns];

uint taps() { return p.conv.kernel_h * p.conv.kernel_w; }
uint group_in8() { return stored_vectors(p.conv.group_in) / 2; }
uint all_places() { return kPairs ? (taps() + 1) / 2 : taps() * group_in8(); }

// The workgroup's tile of sums, over the pixels of one part. Tiles of one part are counted first:
// those that run together read the same pixels.
struct Tile8 {
  uint part;
  uint first8;       // The first output channels.
  uint last8;        // Its group ends here: the tile may reach past it.
  uint first_place;  // It may reach past the filter's last.
  uint first_in8;    // The group's first input channels.
};

Tile8 locate_tile8() {
  uint groups = p.conv.out_c / p.conv.group_out;
  uint group_out8 = stored_vectors(p.conv.group_out) / 2;
  uint place_tiles = (all_places() + kTilePlaces - 1) / kTilePlaces;
  uint group_tiles = (group_out8 + kTileChannels8 - 1) / kTileChannels8;
  uint channel_tiles = groups * group_tiles;
  uint index = workgroup_index();
  uint channel_tile = index / place_tiles % channel_tiles;
  uint group = channel_tile / group_tiles;
  return Tile8(index / (place_tiles * channel_tiles),
               group * group_out8 + channel_tile % group_tiles * kTileChannels8,
               (group + 1) * group_out8 - 1, index % place_tiles * kTilePlaces,
               group * group_in8());
}

// A tap beside the window's first pixel, which the padding may put before the image; past the
// filter's last tap it lies outside any image.
Place tap_place(uint tap) {
  uint row = tap / p.conv.kernel_w;
  if (row >= p.conv.kernel_h) return Place(-0x40000000, 0, 0);
  return Place(int(row * p.conv.dilation_h) - int(p.conv.pad_h),
               int((tap - row * p.conv.kernel_w) * p.conv.dilation_w) - int(p.conv.pad_w), 0);
}

// What this invocation loads: one eight of channels of some pixels, one place of some pixels.
uint id;
uint gradient8, input8;
uint gradient_pixel, input_at, end_pixel;
Place places[2];  // With kPairs a tap each.
Cursor cursor, stride;
uvec4 loaded_gradients[kGradientLoads];
uvec4 loaded_inputs[kInputLoads];

uvec2 colours_at(bool inside, Place place) {
  int from = inside ? input_pixel(cursor, place) : -1;
  uvec2 v = x4[max(from, 0)];
  return from < 0 ? uvec2(0) : v;
}

void fetch() {
  [[unroll]] for (uint u = 0; u < kGradientLoads; ++u) {
    uvec4 v = dy[min(gradient_pixel, end_pixel - 1) * (p.conv.out_c4 / 2) + gradient8];
    loaded_gradients[u] = gradient_pixel < end_pixel ? v : uvec4(0);
    gradient_pixel += kGradientStride;
  }
  [[unroll]] for (uint u = 0; u < kInputLoads; ++u) {
    bool inside = input_at < end_pixel;
    if (kPairs) {
      loaded_inputs[u] = uvec4(colours_at(inside, places[0]), colours_at(inside, places[1]));
    } else {
      int from = inside ? input_pixel(cursor, places[0]) : -1;
      uvec4 v = x[uint(max(from, 0)) * (p.conv.in_c4 / 2) + input8];
      loaded_inputs[u] = from < 0 ? uvec4(0) : v;
    }
    input_at += kInputStride;
    advance(cursor, stride);
  }
}

void stage() {
  [[unroll]] for (uint u = 0; u < kGradientLoads; ++u) {
    uint row = id / kTileChannels8 + u * kGradientStride;
    staged[row * kGradientRow + id % kTileChannels8] = loaded_gradients[u];
  }
  [[unroll]] for (uint u = 0; u < kInputLoads; ++u) {
    uint row = id / kTilePlaces + u * kInputStride;
    staged[kInputs + row * kInputRow + id % kTilePlaces] = loaded_inputs[u];
  }
}

// Where this subgroup's part begins in the tile.
uint part_row() { return gl_SubgroupID / kAcross * kPartChannels; }
uint part_column() { return gl_SubgroupID % kAcross * kPartColumns; }

// Adds the products of pixels k to k + kK of what is staged.
void multiply(uint k) {
  coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> a[kRows];
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    coopMatLoad(a[i], staged, k * kGradientRow + (part_row() + i * kM) / 8, kGradientRow,
                gl_CooperativeMatrixLayoutColumnMajor);
  }
  uint first = kInputs + k * kInputRow + part_column() / 8;
  [[unroll]] for (uint j = 0; j < kColumns; ++j) {
    coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> b;
    coopMatLoad(b, staged, first + j * kN / 8, kInputRow, gl_CooperativeMatrixLayoutRowMajor);
    [[unroll]] for (uint i = 0; i < kRows; ++i) {
      sums[i * kColumns + j] = coopMatMulAdd(a[i], b, sums[i * kColumns + j]);
    }
  }
}

// Where the `half`th four columns of a place lie in a filter's gradient, [tap][in4]; past its end
// for those that pad.
uint column_of(uint place, uint half_) {
  uint in4 = (p.conv.group_in + 3) / 4;
  uint nowhere = taps() * in4;
  if (kPairs) return place * 2 + half_;
  uint tap = place / group_in8();
  uint i4 = (place - tap * group_in8()) * 2 + half_;
  return i4 < in4 ? tap * in4 + i4 : nowhere;
}

void store(Tile8 tile) {
  uint own = gl_SubgroupID * kM * kResultRow;
  uint filter4 = taps() * ((p.conv.group_in + 3) / 4);
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    [[unroll]] for (uint j = 0; j < kColumns; ++j) {
      coopMatStore(sums[i * kColumns + j], staged, own + j * kN / 4, kResultRow,
                   gl_CooperativeMatrixLayoutRowMajor);
    }
    subgroupBarrier();
    for (uint v = gl_SubgroupInvocationID; v < kM * (kPartColumns / 4); v += kLanes) {
      uint row = v / (kPartColumns / 4);
      uint column4 = v - row * (kPartColumns / 4);
      uint o = tile.first8 * 8 + part_row() + i * kM + row;
      uint to = column_of(tile.first_place + part_column() / 8 + column4 / 2, column4 % 2);
      if (o / 8 <= tile.last8 && o < p.conv.out_c && to < filter4) {
        parts[((p.first_part + tile.part) * p.conv.out_c + o) * filter4 + to] =
            staged[own + row * kResultRow + column4];
      }
    }
    subgroupBarrier();
  }
}

void main() {
  Tile8 tile = locate_tile8();
  if (tile.part >= p.parts) return;  // The whole workgroup alike.
  id = gl_SubgroupID * kLanes + gl_SubgroupInvocationID;
  uint first_pixel = tile.part * p.part_pixels;
  end_pixel = min(first_pixel + p.part_pixels, p.conv.pixels);
  gradient8 = min(tile.first8 + id % kTileChannels8, tile.last8);
  gradient_pixel = first_pixel + id / kTileChannels8;
  uint place = min(tile.first_place + id % kTilePlaces, all_places() - 1);
  if (kPairs) {
    places[0] = tap_place(place * 2);
    places[1] = tap_place(place * 2 + 1);
  } else {
    places[0] = tap_place(place / group_in8());
    input8 = tile.first_in8 + place % group_in8();
  }
  input_at = first_pixel + id / kTilePlaces;
  cursor = cursor_at(input_at);
  stride = cursor_at(kInputStride);
  [[unroll]] for (uint i = 0; i < kRows * kColumns; ++i) sums[i] = SUMS_T(0.0);

  fetch();
  stage();
  barrier();
  [[dont_unroll]] for (uint pixel = first_pixel; pixel < end_pixel; pixel += kStep) {
    bool more = pixel + kStep < end_pixel;
    if (more) fetch();
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
