#version 460
// D = A B + f(row, column) as halves, with A [M, K], B [K, N], D [M, N], all row-major, by
// GL_NV_cooperative_matrix2. One subgroup, which is one workgroup, computes one tile of D, which is
// one matrix of sums whose sides are multiples of the device's granularities:
//
//            N
//      +---+---+---+      Every other tile along N is stored by the function that adds f, element
//    M | S | E | S |      by element (E); the others as a matrix converted to halves (S).
//      +---+---+---+
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_NV_cooperative_matrix2 : require

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint tile_m = 16;
layout(constant_id = 2) const uint tile_n = 16;
layout(constant_id = 3) const uint tile_k = 16;

layout(binding = 0) readonly buffer A { float16_t a[]; };
layout(binding = 1) readonly buffer B { float16_t b[]; };
layout(binding = 2) writeonly buffer D { float16_t d[]; };
layout(push_constant) uniform Params {
  uint first_workgroup;  // 0: what the recorder puts before a shader's own.
  uint n;
  uint k;
};

float finish(const in uint row, const in uint column, const in float element, const in uint first,
             const in bool stores) {
  float value = element + 2.0 * float(row) - float(column);
  if (stores) d[first + row * n + column] = float16_t(value);
  return value;
}

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
  const bool stores = gl_WorkGroupID.x % 2 == 1;
  coopMatPerElementNV(sum, sum, finish, row * n + column, stores);
  if (!stores) {
    coopmat<float16_t, gl_ScopeSubgroup, tile_m, tile_n, gl_MatrixUseAccumulator> halves =
        coopmat<float16_t, gl_ScopeSubgroup, tile_m, tile_n, gl_MatrixUseAccumulator>(sum);
    coopMatStore(halves, d, row * n + column, n, gl_CooperativeMatrixLayoutRowMajor);
  }
}
