#version 460
// conv2d_coopmat by GL_NV_cooperative_matrix2, whose matrices are as large as the program likes: a
// subgroup's part is one of them (coopmat_product.glsl has the tile, of which kM x kN is the part).
// And they take a function for each element, told its row and column: so the epilogue that all
// kernels share is applied to the sums where they lie, and no shared memory is spent on it. What is
// whole is then stored as a matrix of halves; a part that reaches past the last pixel or channel
// is stored by that function, element by element, since nothing here clamps a matrix's store.
#define STORAGE_F16
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_NV_cooperative_matrix2 : require
#include "../common/grid.glsl"
#include "conv2d.glsl"
#include "coopmat_product.glsl"

layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_BINDINGS 3
#define EPILOGUE_ELEMENTS
#include "../common/epilogue.glsl"

// As Conv2dParams has it, which says so too late: this is compiled once for each element that an
// invocation holds, and branches of each would keep their loads from being under way together.
layout(constant_id = 10) const uint kEpilogue = 0;

uint place_of(uint pixel, uint channel) { return pixel * (p.out_c4 * 4) + channel; }

float finish(const in uint row, const in uint column, const in float element, const in uint pixel,
             const in uint channel) {
  return apply_epilogue_to_element(element, kEpilogue, channel + column, p.out_c,
                                   place_of(pixel + row, channel + column));
}

// The same, which stores what is inside. Drivers may call it more than once for an element.
float finish_inside(const in uint row, const in uint column, const in float element,
                    const in uint pixel, const in uint channel, const in uint channels_end) {
  if (pixel + row < p.pixels && channel + column < channels_end) {
    uint to = place_of(pixel + row, channel + column);
    y[to / 4][to % 4] = scalar_t(finish(row, column, element, pixel, channel));
  }
  return 0.0;
}

void main() {
  Tile tile = locate_tile(kTilePixels, kTileChannels4);
  if (tile.first_pixel >= p.pixels) return;  // Of the whole workgroup alike.
  sum_products(tile);

  uint channels_end = (tile.last4 + 1) * 4;
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    [[unroll]] for (uint j = 0; j < kColumns; ++j) {
      uint pixel = tile.first_pixel + part_row() + i * kM;
      uint channel = tile.first4 * 4 + part_column() + j * kN;
      SUMS_T result;
      // A matrix's store also needs rows that begin at multiples of 16 bytes.
      if (pixel + kM <= p.pixels && channel + kN <= channels_end && p.out_c4 % 2 == 0 &&
          channel % 8 == 0) {
        coopMatPerElementNV(result, sum[i * kColumns + j], finish, pixel, channel);
        coopmat<scalar_t, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> halves =
            coopmat<scalar_t, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>(result);
        coopMatStore(halves, y, pixel * p.out_c4 + channel / 4, p.out_c4,
                     gl_CooperativeMatrixLayoutRowMajor);
      } else {
        coopMatPerElementNV(result, sum[i * kColumns + j], finish_inside, pixel, channel,
                            channels_end);
      }
    }
  }
}
