#version 460
// conv2d_gemm by cooperative matrices, for GPUs with matrix units (coopmat_product.glsl has the
// tile). Which element an invocation holds is the driver's secret, so sums go through shared
// memory, one matrix at a time, to the epilogue that all kernels share.
#define STORAGE_F16
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#include "../common/grid.glsl"
#include "conv2d.glsl"
#include "coopmat_product.glsl"

layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_BINDINGS 3
#include "../common/epilogue.glsl"

const uint kStageVectors = kM * kN / 4;
shared vec4 stage[kSubgroups * kStageVectors];

void main() {
  Tile tile = locate_tile(kTilePixels, kTileChannels4);
  if (tile.first_pixel >= p.pixels) return;  // Of the whole workgroup alike.
  sum_products(tile);

  uint own_stage = gl_SubgroupID * kStageVectors;
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    [[unroll]] for (uint j = 0; j < kColumns; ++j) {
      coopMatStore(sum[i * kColumns + j], stage, own_stage, kN / 4,
                   gl_CooperativeMatrixLayoutRowMajor);
      subgroupBarrier();
      for (uint v = gl_SubgroupInvocationID; v < kStageVectors; v += kLanes) {
        uint pixel = tile.first_pixel + part_row() + i * kM + v / (kN / 4);
        uint block = tile.first4 + (part_column() + j * kN) / 4 + v % (kN / 4);
        if (pixel < p.pixels && block <= tile.last4) {
          uint to = pixel * p.out_c4 + block;
          y[to] = vector_t(apply_epilogue(stage[own_stage + v], p.epilogue, block, p.out_c, to));
        }
      }
      subgroupBarrier();
    }
  }
}
