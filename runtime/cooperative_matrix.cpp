// Asking for cooperative matrices. The extensions' functions, one each, are younger than the oldest
// volk that Caldera builds with, so the loader is asked for them here.
#include "runtime/cooperative_matrix.h"

namespace caldera {

#ifdef VK_KHR_cooperative_matrix

namespace {

// The first headers, and so the first validation layers, that know an extension.
constexpr uint32_t kFirstVersion = VK_MAKE_API_VERSION(0, 1, 3, 255);
#ifdef VK_NV_cooperative_matrix2
constexpr uint32_t kFirstVersionOf2 = VK_MAKE_API_VERSION(0, 1, 3, 300);
#endif

bool layers_know(const Instance& instance, uint32_t first_version) {
  const uint32_t validation = instance.validation_version();
  return validation == 0 || validation >= first_version;
}

ComponentType component_type(VkComponentTypeKHR type) {
  switch (type) {
    case VK_COMPONENT_TYPE_FLOAT16_KHR:
      return ComponentType::kFloat16;
    case VK_COMPONENT_TYPE_FLOAT32_KHR:
      return ComponentType::kFloat32;
    case VK_COMPONENT_TYPE_FLOAT64_KHR:
      return ComponentType::kFloat64;
    case VK_COMPONENT_TYPE_SINT8_KHR:
      return ComponentType::kSint8;
    case VK_COMPONENT_TYPE_SINT16_KHR:
      return ComponentType::kSint16;
    case VK_COMPONENT_TYPE_SINT32_KHR:
      return ComponentType::kSint32;
    case VK_COMPONENT_TYPE_SINT64_KHR:
      return ComponentType::kSint64;
    case VK_COMPONENT_TYPE_UINT8_KHR:
      return ComponentType::kUint8;
    case VK_COMPONENT_TYPE_UINT16_KHR:
      return ComponentType::kUint16;
    case VK_COMPONENT_TYPE_UINT32_KHR:
      return ComponentType::kUint32;
    case VK_COMPONENT_TYPE_UINT64_KHR:
      return ComponentType::kUint64;
    default:
      return ComponentType::kOther;
  }
}

bool works_in_compute(VkPhysicalDevice handle) {
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix_features{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &matrix_features};
  vkGetPhysicalDeviceFeatures2(handle, &features);
  VkPhysicalDeviceCooperativeMatrixPropertiesKHR matrix_properties{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
  VkPhysicalDeviceProperties2 properties{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                         .pNext = &matrix_properties};
  vkGetPhysicalDeviceProperties2(handle, &properties);
  return matrix_features.cooperativeMatrix &&
         (matrix_properties.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT);
}

// Both extensions name the four types alike.
template <typename Properties>
CooperativeMatrixShape shape_of(const Properties& one, uint32_t m, uint32_t n, uint32_t k) {
  return {.m = m,
          .n = n,
          .k = k,
          .a = component_type(one.AType),
          .b = component_type(one.BType),
          .c = component_type(one.CType),
          .result = component_type(one.ResultType)};
}

// What a device offers of the matrices of one extension to a subgroup, in plain sums.
template <typename Properties, typename Get>
std::vector<Properties> subgroup_matrices(VkPhysicalDevice handle, Get get, VkStructureType type) {
  uint32_t count = 0;
  if (get(handle, &count, nullptr) != VK_SUCCESS) return {};
  std::vector<Properties> all(count, {.sType = type});
  if (get(handle, &count, all.data()) < 0) return {};
  all.resize(count);
  std::erase_if(all, [](const Properties& one) {
    return one.scope != VK_SCOPE_SUBGROUP_KHR || one.saturatingAccumulation;
  });
  return all;
}

}  // namespace

std::vector<CooperativeMatrixShape> cooperative_matrix_shapes(const Instance& instance,
                                                              VkPhysicalDevice handle) {
  if (!layers_know(instance, kFirstVersion)) return {};
  const auto get =
      reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(vkGetInstanceProcAddr(
          instance.handle(), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
  if (!get || !works_in_compute(handle)) return {};

  std::vector<CooperativeMatrixShape> shapes;
  for (const auto& one : subgroup_matrices<VkCooperativeMatrixPropertiesKHR>(
           handle, get, VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR)) {
    shapes.push_back(shape_of(one, one.MSize, one.NSize, one.KSize));
  }
  return shapes;
}

#else

std::vector<CooperativeMatrixShape> cooperative_matrix_shapes(const Instance&, VkPhysicalDevice) {
  return {};
}

#endif

#ifdef VK_NV_cooperative_matrix2

FlexibleMatrices flexible_matrices(const Instance& instance, VkPhysicalDevice handle) {
  if (!layers_know(instance, kFirstVersionOf2)) return {};
  const auto get =
      reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV>(
          vkGetInstanceProcAddr(
              instance.handle(),
              "vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV"));
  VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix_features{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV};
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &matrix_features};
  vkGetPhysicalDeviceFeatures2(handle, &features);
  if (!get || !matrix_features.cooperativeMatrixFlexibleDimensions ||
      !matrix_features.cooperativeMatrixPerElementOperations) {
    return {};
  }
  VkPhysicalDeviceCooperativeMatrix2PropertiesNV matrix_properties{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_PROPERTIES_NV};
  VkPhysicalDeviceProperties2 properties{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                         .pNext = &matrix_properties};
  vkGetPhysicalDeviceProperties2(handle, &properties);

  FlexibleMatrices found;
  found.max_side = matrix_properties.cooperativeMatrixFlexibleDimensionsMaxDimension;
  for (const auto& one : subgroup_matrices<VkCooperativeMatrixFlexibleDimensionsPropertiesNV>(
           handle, get, VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_FLEXIBLE_DIMENSIONS_PROPERTIES_NV)) {
    if (one.MGranularity == 0 || one.NGranularity == 0 || one.KGranularity == 0) continue;
    found.granularities.push_back(
        shape_of(one, one.MGranularity, one.NGranularity, one.KGranularity));
  }
  return found;
}

#else

FlexibleMatrices flexible_matrices(const Instance&, VkPhysicalDevice) {
  return {};
}

#endif

}  // namespace caldera
