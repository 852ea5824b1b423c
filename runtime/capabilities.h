// What a device can do, in plain numbers. Only kernel choice and *_kernels.cpp read it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace caldera {

enum class ComponentType : uint8_t {
  kFloat16,
  kFloat32,
  kFloat64,
  kSint8,
  kSint16,
  kSint32,
  kSint64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kOther,  // Newer than these.
};

// One product that a subgroup computes together: result = A B + C, where A is [m, k], B is [k, n],
// and C and the result are [m, n].
struct CooperativeMatrixShape {
  uint32_t m = 0;
  uint32_t n = 0;
  uint32_t k = 0;
  ComponentType a{};
  ComponentType b{};
  ComponentType c{};
  ComponentType result{};
};

struct Capabilities {
  bool cpu = false;  // A software driver.

  uint64_t max_storage_buffer_range = 0;  // Bytes that one binding may span.
  uint64_t storage_buffer_alignment = 1;  // Of a binding's offset, in bytes.
  uint64_t max_allocation_size = 0;       // Bytes of one memory allocation.
  uint64_t max_buffer_size = UINT64_MAX;  // Bytes of one buffer, where the driver says.
  // Bytes of one buffer with memory of its own. Whole units of what drivers round buffers up to, so
  // that the memory of the largest one is not more than may be allocated.
  uint64_t max_block_bytes() const {
    constexpr uint64_t kUnit = 65536;
    const uint64_t most = std::min(max_allocation_size, max_buffer_size);
    return most < kUnit ? most : most / kUnit * kUnit;
  }
  std::array<uint32_t, 3> max_workgroup_count{};
  std::array<uint32_t, 3> max_workgroup_size{};
  uint32_t max_workgroup_invocations = 0;
  uint32_t max_shared_memory = 0;  // Bytes a workgroup.
  // Of so many invocations along x.
  bool runs_workgroup(uint32_t invocations, uint64_t shared_bytes) const {
    return invocations <= max_workgroup_invocations && invocations <= max_workgroup_size[0] &&
           shared_bytes <= max_shared_memory;
  }
  uint32_t max_texel_buffer_elements = 0;
  uint32_t max_storage_texel_buffers = 4;  // That a shader may bind; what every device allows.
  uint64_t texel_buffer_alignment = 1;
  // Where any binding, of either kind, may start. A power of two.
  uint64_t binding_alignment() const {
    return std::max(storage_buffer_alignment, texel_buffer_alignment);
  }

  uint32_t timestamp_bits = 0;   // That count, of a timestamp; 0: the queue has none.
  double timestamp_seconds = 0;  // Of one tick.

  uint32_t processors = 0;     // That run workgroups side by side; 0 where the driver does not say.
  uint32_t subgroup_size = 0;  // The driver's default.
  uint32_t min_subgroup_size = 0;
  uint32_t max_subgroup_size = 0;
  bool subgroup_shuffle = false;
  bool subgroup_size_control = false;       // A pipeline may ask for a size and for full subgroups.
  bool storage16 = false;                   // Buffers of 16-bit elements: what bf16 needs.
  bool fp16 = false;                        // shaderFloat16 and storage16.
  bool cooperative_matrix = false;          // VK_KHR_cooperative_matrix and what it needs.
  bool host_visible_device_memory = false;  // The host writes device memory without staging.
  // Subgroup scope, without saturation, in the driver's order. None without cooperative_matrix.
  std::vector<CooperativeMatrixShape> cooperative_matrix_shapes;
};

}  // namespace caldera
