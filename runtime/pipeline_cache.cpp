// Making pipelines, and keeping the driver's cache on disk.
#include "runtime/pipeline_cache.h"

#include <array>
#include <cstring>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "runtime/fnv1a.h"
#include "runtime/parallel.h"
#include "runtime/whole_file.h"

namespace caldera {

namespace fs = std::filesystem;

namespace {

constexpr std::array<char, 8> kMagic = {'C', 'A', 'L', 'D', 'P', 'C', '0', '1'};

// Drivers trust the blob that they are given, so a damaged one must not reach them.
uint64_t checksum(std::span<const char> bytes) {
  return fnv1a(std::as_bytes(bytes));
}

// The driver's blob, or nothing where the file is not whole.
std::vector<char> read_cache(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 8> magic{};
  uint64_t size = 0;
  uint64_t sum = 0;
  file.read(magic.data(), magic.size());
  file.read(reinterpret_cast<char*>(&size), sizeof(size));
  file.read(reinterpret_cast<char*>(&sum), sizeof(sum));
  std::error_code error;
  const uint64_t header = magic.size() + sizeof(size) + sizeof(sum);
  if (!file || magic != kMagic || fs::file_size(path, error) != header + size) return {};
  std::vector<char> blob(size);
  file.read(blob.data(), static_cast<std::streamsize>(size));
  if (!file || checksum(blob) != sum) return {};
  return blob;
}

}  // namespace

PipelineCache::PipelineCache(VkDevice device, const VolkDeviceTable& vk,
                             const PhysicalDevice& physical, fs::path folder)
    : device_(device), vk_(vk) {
  std::vector<char> blob;
  if (!folder.empty()) {
    file_ = folder / fmt::format("pipelines-{}-{}.bin", physical.info.uuid, physical.driver_id());
    blob = read_cache(file_);
  }
  VkPipelineCacheCreateInfo info{.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                 .initialDataSize = blob.size(),
                                 .pInitialData = blob.data()};
  VkResult made = vk_.vkCreatePipelineCache(device_, &info, nullptr, &cache_);
  if (made != VK_SUCCESS && !blob.empty()) {  // The driver does not take its own blob back.
    info.initialDataSize = 0;
    made = vk_.vkCreatePipelineCache(device_, &info, nullptr, &cache_);
  }
  if (made != VK_SUCCESS) cache_ = VK_NULL_HANDLE;  // Pipelines are then made without one.
  saved_ = checksum(blob);
}

PipelineCache::~PipelineCache() {
  for (const auto& [key, pipeline] : pipelines_) {
    vk_.vkDestroyPipeline(device_, pipeline->handle, nullptr);
  }
  for (const auto& [shader, layout] : layouts_) destroy_layout(device_, vk_, *layout);
  vk_.vkDestroyPipelineCache(device_, cache_, nullptr);
}

Result<const ShaderLayout*> PipelineCache::get_layout(ShaderId shader) {
  std::unique_ptr<ShaderLayout>& slot = layouts_[shader];
  if (!slot) slot = std::make_unique<ShaderLayout>();
  if (!slot->module) {
    Status made = make_layout(device_, vk_, shader_spirv(shader), shader_name(shader), *slot);
    if (!made.ok()) {
      destroy_layout(device_, vk_, *slot);
      return std::move(made).error();
    }
  }
  return slot.get();
}

const Pipeline* PipelineCache::find(const PipelineKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = pipelines_.find(key);
  return found == pipelines_.end() ? nullptr : found->second.get();
}

// Compiling goes on outside the lock. Where two threads make the same pipeline, the first stays.
Result<const Pipeline*> PipelineCache::get(const PipelineKey& key) {
  if (const Pipeline* pipeline = find(key)) return pipeline;
  const ShaderLayout* layout = nullptr;
  {
    const std::lock_guard lock(mutex_);
    CALDERA_TRY_ASSIGN(layout, get_layout(key.shader));
  }
  auto pipeline = std::make_unique<Pipeline>();
  CALDERA_TRY(compile(device_, vk_, cache_, *layout, {key.constants, key.required_subgroup_size},
                      shader_name(key.shader), *pipeline));
  const std::lock_guard lock(mutex_);
  changed_ = true;
  const VkPipeline made = pipeline->handle;
  const auto [at, is_new] = pipelines_.emplace(key, std::move(pipeline));
  if (!is_new) vk_.vkDestroyPipeline(device_, made, nullptr);
  return at->second.get();
}

Result<std::vector<const Pipeline*>> PipelineCache::get_all(std::span<const PipelineKey> keys) {
  const std::set<PipelineKey> distinct(keys.begin(), keys.end());
  std::vector<const PipelineKey*> missing;
  for (const PipelineKey& key : distinct) {
    if (!find(key)) missing.push_back(&key);
  }
  std::vector<Status> made(missing.size());
  parallel_for(static_cast<int64_t>(missing.size()), [&](int64_t i) {
    const Result<const Pipeline*> pipeline = get(*missing[i]);
    if (!pipeline.ok()) made[i] = pipeline.error();
  });
  for (Status& status : made) CALDERA_TRY(std::move(status));
  std::vector<const Pipeline*> pipelines;
  for (const PipelineKey& key : keys) pipelines.push_back(find(key));
  return pipelines;
}

Status PipelineCache::save() {
  const std::lock_guard lock(mutex_);
  if (file_.empty() || !cache_ || !changed_) return {};
  size_t size = 0;
  std::vector<char> blob;
  VkResult result = VK_INCOMPLETE;
  while (result == VK_INCOMPLETE) {  // It may have grown between the two calls.
    result = vk_.vkGetPipelineCacheData(device_, cache_, &size, nullptr);
    if (result != VK_SUCCESS) break;
    blob.resize(size);
    result = vk_.vkGetPipelineCacheData(device_, cache_, &size, blob.data());
  }
  if (result != VK_SUCCESS) return vk_error(result, "could not read the pipeline cache");
  blob.resize(size);
  if (checksum(blob) == saved_) return {};

  const uint64_t length = size;
  const uint64_t sum = checksum(blob);
  std::vector<char> bytes(kMagic.begin(), kMagic.end());
  const auto append = [&](const uint64_t& number) {
    const auto* from = reinterpret_cast<const char*>(&number);
    bytes.insert(bytes.end(), from, from + sizeof(number));
  };
  append(length);
  append(sum);
  bytes.insert(bytes.end(), blob.begin(), blob.end());
  CALDERA_TRY(write_whole_file(file_, bytes, "the pipeline cache"));
  saved_ = checksum(blob);
  changed_ = false;
  return {};
}

}  // namespace caldera
