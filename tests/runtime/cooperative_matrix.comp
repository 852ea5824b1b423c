#version 460
// D = A B with f16 operands and f32 accumulation, A [M, K], B [K, N], D [M, N], all row-major.
// One subgroup, which is one workgroup, computes one tile of D:
//
//            N                 tile (workgroup y, workgroup x) = sum over the steps of K of
//      +---+---+---+             A's tile (y, step) B's tile (step, x)
//    M |   | T |   |  tile_m
//      +---+---+---+
//            tile_n
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint tile_m = 16;
layout(constant_id = 2) const uint tile_n = 16;
layout(constant_id = 3) const uint tile_k = 16;

layout(binding = 0) readonly buffer A { float16_t a[]; };
layout(binding = 1) readonly buffer B { float16_t b[]; };
layout(binding = 2) writeonly buffer D { float d[]; };
layout(push_constant) uniform Params {
  uint first_workgroup;  // 0: what the recorder puts before a shader's own.
  uint n;
  uint k;
};

void main() {
  const uint row = gl_WorkGroupID.y * tile_m;
  const uint column = gl_WorkGroupID.x * tile_n;
  coopmat<float, gl_ScopeSubgroup, tile_m, tile_n, gl_MatrixUseAccumulator> sum =
      coopmat<float, gl_ScopeSubgroup, tile_m, tile_n, gl_MatrixUseAccumulator>(0.0);
  for (uint step = 0; step < k; step += tile_k) {
    coopmat<float16_t, gl_ScopeSubgroup, tile_m, tile_k, gl_MatrixUseA> left;
    coopmat<float16_t, gl_ScopeSubgroup, tile_k, tile_n, gl_MatrixUseB> right;
    coopMatLoad(left, a, row * k + step, k, gl_CooperativeMatrixLayoutRowMajor);
    coopMatLoad(right, b, step * n + column, n, gl_CooperativeMatrixLayoutRowMajor);
    sum = coopMatMulAdd(left, right, sum);
  }
  coopMatStore(sum, d, row * n + column, n, gl_CooperativeMatrixLayoutRowMajor);
}
