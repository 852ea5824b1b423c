// What the kernels of cooperative matrices share: a workgroup's tile of a convolution as a product,
// halves in, sums in floats, up to where the epilogue begins.
//
//                       kTileChannels                       a subgroup's part: kPartPixels x
//               +---------------+---------------+           kPartChannels sums, in matrices of
//   kTilePixels |  subgroup 0   |  subgroup 1   |           kM x kN that the subgroup holds
//               |  +--+--+--+   |               |           together
//               |  |kM x kN |   |               |
//               +---------------+---------------+           a step: kStep4 vectors of four k,
//               |  subgroup 2   |  subgroup 3   |           kK a product
//               +---------------+---------------+
//
// The workgroup stages pixels [pixel][k] (implicit im2col) and weights [k][channel] in shared
// memory, double-buffered through registers as conv2d_gemm does, and the subgroups load their
// matrices from there. Rows are 16 bytes longer than they have to be, so that those of a matrix
// begin in different banks.
layout(constant_id = 1) const uint kTilePixels = 32;
layout(constant_id = 2) const uint kTileChannels = 32;
layout(constant_id = 3) const uint kStep4 = 8;
layout(constant_id = 4) const uint kPartPixels = 16;
layout(constant_id = 5) const uint kPartChannels = 32;
layout(constant_id = 6) const uint kM = 16;
layout(constant_id = 7) const uint kN = 16;
layout(constant_id = 8) const uint kK = 16;
layout(constant_id = 9) const uint kLanes = 32;  // Of a subgroup.

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };        // [pixel][in_c4]
layout(std430, binding = 1) readonly buffer Weight { vector_t weight[]; };  // [tap][in][out_c4]

#include "implicit_gemm.glsl"

const uint kTileChannels4 = kTileChannels / 4;
const uint kPartColumns = kTileChannels / kPartChannels;
const uint kSubgroups = kTilePixels / kPartPixels * kPartColumns;
const uint kInvocations = kSubgroups * kLanes;
const uint kPixelLoads = kTilePixels * kStep4 / kInvocations;  // Vectors an invocation a step.
const uint kWeightLoads = kStep4 * 4 * kTileChannels4 / kInvocations;

const uint kPixelRow = kStep4 + 2;  // Vectors, 16 bytes of padding included.
const uint kWeightRow = kTileChannels4 + 2;
const uint kPixelVectors = kTilePixels * kPixelRow;
const uint kWeightVectors = kStep4 * 4 * kWeightRow;
shared vector_t pixels[2 * kPixelVectors];
shared vector_t weights[2 * kWeightVectors];

const uint kRows = kPartPixels / kM;  // Matrices of a subgroup.
const uint kColumns = kPartChannels / kN;
#define SUMS_T coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>
SUMS_T sum[kRows * kColumns];  // Of this subgroup.

// Where this subgroup's part begins in the tile.
uint part_row() { return gl_SubgroupID / kPartColumns * kPartPixels; }
uint part_column() { return gl_SubgroupID % kPartColumns * kPartChannels; }

// Sets `sum`. Called by the whole workgroup.
void sum_products(Tile tile) {
  // What this invocation loads: one vector of k of some pixels, one of channels of some k.
  uint id = gl_SubgroupID * kLanes + gl_SubgroupInvocationID;
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

  [[unroll]] for (uint i = 0; i < kRows * kColumns; ++i) {
    sum[i] = SUMS_T(0.0);
  }
  vector_t loaded_pixels[kPixelLoads];
  vector_t loaded_weights[kWeightLoads];

  for (uint step = 0; step <= steps; ++step) {
    if (step < steps) {
      [[unroll]] for (uint u = 0; u < kPixelLoads; ++u) {
        int from = cursor_pixel(at[u], cursor);
        vector_t v = x[uint(max(from, 0)) * p.in_c4 + tile.first_in4 + cursor.i4];
        loaded_pixels[u] = from < 0 ? vector_t(0) : v;
      }
      [[unroll]] for (uint u = 0; u < kWeightLoads; ++u) {
        uint k = step * (kStep4 * 4) + load_k + u * (kInvocations / kTileChannels4);
        vector_t v = weight[min(k, k_end - 1) * p.out_c4 + weight_column];
        loaded_weights[u] = k < k_end ? v : vector_t(0);
      }
      advance(cursor, stride);
    }
    if (step > 0) {
      uint half_pixels = (step - 1) % 2 * kPixelVectors + part_row() * kPixelRow;
      uint half_weights = (step - 1) % 2 * kWeightVectors + part_column() / 4;
      // Left to the driver to unroll: one that makes scalars of it compiles for a minute else.
      for (uint k = 0; k < kStep4 * 4; k += kK) {
        coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> a[kRows];
        [[unroll]] for (uint i = 0; i < kRows; ++i) {
          coopMatLoad(a[i], pixels, half_pixels + i * kM * kPixelRow + k / 4, kPixelRow,
                      gl_CooperativeMatrixLayoutRowMajor);
        }
        [[unroll]] for (uint j = 0; j < kColumns; ++j) {
          coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> b;
          coopMatLoad(b, weights, half_weights + k * kWeightRow + j * kN / 4, kWeightRow,
                      gl_CooperativeMatrixLayoutRowMajor);
          [[unroll]] for (uint i = 0; i < kRows; ++i) {
            sum[i * kColumns + j] = coopMatMulAdd(a[i], b, sum[i * kColumns + j]);
          }
        }
      }
    }
    if (step < steps) {
      uint to_pixels = step % 2 * kPixelVectors;
      uint to_weights = step % 2 * kWeightVectors;
      [[unroll]] for (uint u = 0; u < kPixelLoads; ++u) {
        uint row = load_row + u * (kInvocations / kStep4);
        pixels[to_pixels + row * kPixelRow + load_k4] = loaded_pixels[u];
      }
      [[unroll]] for (uint u = 0; u < kWeightLoads; ++u) {
        uint row = load_k + u * (kInvocations / kTileChannels4);
        weights[to_weights + row * kWeightRow + load_column] = loaded_weights[u];
      }
    }
    barrier();
  }
}
