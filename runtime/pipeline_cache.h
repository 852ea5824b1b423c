// Pipelines by (shader, specialization constants), made once a device, and the driver's own cache
// of them on disk.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/compute_pipeline.h"
#include "runtime/physical_device.h"
#include "runtime/shader.h"
#include "runtime/vulkan.h"

namespace caldera {

struct PipelineKey {
  ShaderId shader{};
  std::vector<uint32_t> constants;      // By constant_id.
  uint32_t required_subgroup_size = 0;  // 0: the driver's choice.
  friend auto operator<=>(const PipelineKey&, const PipelineKey&) = default;
};

// Thread-safe. Pipelines live as long as the cache.
class PipelineCache {
 public:
  // An empty `folder` keeps nothing on disk. A cache file of another driver, or a damaged one, is
  // passed over.
  PipelineCache(VkDevice device, const VolkDeviceTable& vk, const PhysicalDevice& physical,
                std::filesystem::path folder);
  ~PipelineCache();

  Result<const Pipeline*> get(const PipelineKey& key);
  // By key, in the order given; what is not there yet is made on as many threads as there are.
  Result<std::vector<const Pipeline*>> get_all(std::span<const PipelineKey> keys);
  Status save();

 private:
  const Pipeline* find(const PipelineKey& key);
  Result<const ShaderLayout*> get_layout(ShaderId shader);

  VkDevice device_;
  const VolkDeviceTable& vk_;
  std::filesystem::path file_;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  std::mutex mutex_;
  std::map<ShaderId, std::unique_ptr<ShaderLayout>> layouts_;
  std::map<PipelineKey, std::unique_ptr<Pipeline>> pipelines_;
  bool changed_ = false;
  uint64_t saved_ = 0;  // The checksum of what is on disk.
};

}  // namespace caldera
