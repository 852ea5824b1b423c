// AMD's GPUs without one: Mesa's RADV opens any of its families where RADV_FORCE_FAMILY names it.
// It has no memory then, so nothing runs, but its compiler is the real one, and tells what a
// pipeline takes of the GPU by VK_KHR_pipeline_executable_properties.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "runtime/compute_pipeline.h"
#include "runtime/device_impl.h"

namespace caldera::test {

// What RADV says of a pipeline. Registers are of an invocation (vector) and of a subgroup (scalar).
struct PipelineUse {
  uint64_t vector_registers = 0;
  uint64_t scalar_registers = 0;
  uint64_t spilled_vector_registers = 0;
  uint64_t spilled_scalar_registers = 0;
  uint64_t scratch_bytes = 0;
  uint64_t shared_bytes = 0;
  uint64_t subgroups_a_simd = 0;  // That may be under way at once: RADV's occupancy.
  uint32_t subgroup_size = 0;
};

class AmdCompiler {
 public:
  // A GPU of the family ("navi31") by the runtime's own way to open a device, to which the
  // extension that tells is added. It stays open to the program's end: RADV crashes when such a
  // device is closed. An error where the first device is not RADV's.
  static Result<AmdCompiler*> open(const std::string& family);

  const DeviceInfo& info() const { return device_->info(); }
  const Capabilities& capabilities() const { return device_->capabilities(); }

  // As the runtime's pipeline cache makes it. Thread-safe.
  Result<PipelineUse> compile(const PipelineKey& key);

 private:
  AmdCompiler() = default;
  Result<const ShaderLayout*> layout(ShaderId shader);
  Result<PipelineUse> use_of(VkPipeline pipeline) const;

  std::shared_ptr<DeviceImpl> device_;
  VolkDeviceTable vk_{};  // The device's, but for how pipelines are made.
  std::mutex mutex_;
  std::map<ShaderId, ShaderLayout> layouts_;
};

}  // namespace caldera::test
