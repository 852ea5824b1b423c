// Asking for cooperative matrices. The extension's function is younger than the oldest volk that
// Caldera builds with, so the loader is asked for it here.
#include "runtime/cooperative_matrix.h"

namespace caldera {

#ifdef VK_KHR_cooperative_matrix

namespace {

// The first headers, and so the first validation layers, that know the extension.
constexpr uint32_t kFirstVersion = VK_MAKE_API_VERSION(0, 1, 3, 255);

bool layers_know_it(const Instance& instance) {
  const uint32_t validation = instance.validation_version();
  return validation == 0 || validation >= kFirstVersion;
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

}  // namespace

std::vector<CooperativeMatrixShape> cooperative_matrix_shapes(const Instance& instance,
                                                              VkPhysicalDevice handle) {
  if (!layers_know_it(instance)) return {};
  const auto get =
      reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(vkGetInstanceProcAddr(
          instance.handle(), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
  if (!get || !works_in_compute(handle)) return {};

  uint32_t count = 0;
  if (get(handle, &count, nullptr) != VK_SUCCESS) return {};
  std::vector<VkCooperativeMatrixPropertiesKHR> all(
      count, {.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR});
  if (get(handle, &count, all.data()) < 0) return {};
  all.resize(count);

  std::vector<CooperativeMatrixShape> shapes;
  for (const VkCooperativeMatrixPropertiesKHR& one : all) {
    if (one.scope != VK_SCOPE_SUBGROUP_KHR || one.saturatingAccumulation) continue;
    shapes.push_back({.m = one.MSize,
                      .n = one.NSize,
                      .k = one.KSize,
                      .a = component_type(one.AType),
                      .b = component_type(one.BType),
                      .c = component_type(one.CType),
                      .result = component_type(one.ResultType)});
  }
  return shapes;
}

#else

std::vector<CooperativeMatrixShape> cooperative_matrix_shapes(const Instance&, VkPhysicalDevice) {
  return {};
}

#endif

}  // namespace caldera
