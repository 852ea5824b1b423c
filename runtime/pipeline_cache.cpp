// Making pipelines, and keeping the driver's cache on disk.
#include "runtime/pipeline_cache.h"

#include <array>
#include <cstring>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "runtime/parallel.h"
#include "runtime/whole_file.h"

namespace caldera {

namespace fs = std::filesystem;

namespace {

constexpr std::array<char, 8> kMagic = {'C', 'A', 'L', 'D', 'P', 'C', '0', '1'};

// FNV-1a: drivers trust the blob that they are given, so a damaged one must not reach them.
uint64_t checksum(std::span<const char> bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  return hash;
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
  for (const auto& [shader, layout] : layouts_) destroy(*layout);
  vk_.vkDestroyPipelineCache(device_, cache_, nullptr);
}

void PipelineCache::destroy(Layout& layout) {
  vk_.vkDestroyPipelineLayout(device_, layout.pipeline_layout, nullptr);
  vk_.vkDestroyDescriptorSetLayout(device_, layout.set_layout, nullptr);
  vk_.vkDestroyShaderModule(device_, layout.module, nullptr);
  layout = Layout();
}

Status PipelineCache::make_layout(ShaderId shader, Layout& layout) {
  const auto spirv = shader_spirv(shader);
  CALDERA_TRY_ASSIGN(layout.reflection, reflect(spirv));
  std::vector<VkDescriptorSetLayoutBinding> bindings;
  for (const ShaderBinding& binding : layout.reflection.bindings) {
    bindings.push_back({.binding = static_cast<uint32_t>(bindings.size()),
                        .descriptorType = binding.type == BindingType::kStorageBuffer
                                              ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
                                              : VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER,
                        .descriptorCount = 1,
                        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                        .pImmutableSamplers = nullptr});
  }
  const VkDescriptorSetLayoutCreateInfo set_info{
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
      .bindingCount = static_cast<uint32_t>(bindings.size()),
      .pBindings = bindings.data()};
  VkResult result =
      vk_.vkCreateDescriptorSetLayout(device_, &set_info, nullptr, &layout.set_layout);
  const VkPushConstantRange push{.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                 .offset = 0,
                                 .size = layout.reflection.push_constant_bytes};
  const VkPipelineLayoutCreateInfo layout_info{
      .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
      .setLayoutCount = 1,
      .pSetLayouts = &layout.set_layout,
      .pushConstantRangeCount = push.size > 0 ? 1u : 0u,
      .pPushConstantRanges = &push};
  if (result == VK_SUCCESS) {
    result = vk_.vkCreatePipelineLayout(device_, &layout_info, nullptr, &layout.pipeline_layout);
  }
  const VkShaderModuleCreateInfo module_info{.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                             .codeSize = spirv.size_bytes(),
                                             .pCode = spirv.data()};
  if (result == VK_SUCCESS) {
    result = vk_.vkCreateShaderModule(device_, &module_info, nullptr, &layout.module);
  }
  if (result == VK_SUCCESS) return {};
  return vk_error(result, fmt::format("could not load the shader {}", shader_name(shader)));
}

Result<const PipelineCache::Layout*> PipelineCache::get_layout(ShaderId shader) {
  std::unique_ptr<Layout>& slot = layouts_[shader];
  if (!slot) slot = std::make_unique<Layout>();
  if (!slot->module) {
    Status made = make_layout(shader, *slot);
    if (!made.ok()) {
      destroy(*slot);
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

Status PipelineCache::compile(const PipelineKey& key, const Layout& layout,
                              Pipeline& pipeline) const {
  assert(key.constants.size() == layout.reflection.specialization_constants);
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < key.constants.size(); ++i) entries.push_back({i, i * 4, 4});
  const VkSpecializationInfo constants{.mapEntryCount = static_cast<uint32_t>(entries.size()),
                                       .pMapEntries = entries.data(),
                                       .dataSize = key.constants.size() * 4,
                                       .pData = key.constants.data()};
  const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup{
      .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
      .requiredSubgroupSize = key.required_subgroup_size};
  const bool sized = key.required_subgroup_size != 0;
  const VkComputePipelineCreateInfo info{
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .flags =
          key.partial ? static_cast<VkPipelineCreateFlags>(VK_PIPELINE_CREATE_DISPATCH_BASE) : 0,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .pNext = sized ? const_cast<void*>(static_cast<const void*>(&subgroup)) : nullptr,
                .flags = sized ? static_cast<VkPipelineShaderStageCreateFlags>(
                                     VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT)
                               : 0,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = layout.module,
                .pName = "main",
                .pSpecializationInfo = &constants},
      .layout = layout.pipeline_layout,
      .basePipelineHandle = VK_NULL_HANDLE,
      .basePipelineIndex = 0};
  pipeline = {VK_NULL_HANDLE, layout.pipeline_layout, layout.set_layout, &layout.reflection};
  const VkResult result =
      vk_.vkCreateComputePipelines(device_, cache_, 1, &info, nullptr, &pipeline.handle);
  if (result == VK_SUCCESS) return {};
  return vk_error(result, fmt::format("could not compile {}", shader_name(key.shader)));
}

// Compiling goes on outside the lock. Where two threads make the same pipeline, the first stays.
Result<const Pipeline*> PipelineCache::get(const PipelineKey& key) {
  if (const Pipeline* pipeline = find(key)) return pipeline;
  const Layout* layout = nullptr;
  {
    const std::lock_guard lock(mutex_);
    CALDERA_TRY_ASSIGN(layout, get_layout(key.shader));
  }
  auto pipeline = std::make_unique<Pipeline>();
  CALDERA_TRY(compile(key, *layout, *pipeline));
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
