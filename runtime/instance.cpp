// Making an instance. Headless: no surface extension is asked for.
#include "runtime/instance.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace caldera {

namespace {

constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";

VKAPI_ATTR VkBool32 VKAPI_CALL forward_message(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                               VkDebugUtilsMessageTypeFlagsEXT,
                                               const VkDebugUtilsMessengerCallbackDataEXT* data,
                                               void* on_message) noexcept {
  (*static_cast<Instance::OnMessage*>(on_message))(data->pMessage);
  return VK_FALSE;
}

VkDebugUtilsMessengerCreateInfoEXT messenger_info(Instance::OnMessage* on_message) {
  return {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
          .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT |
                             VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT,
          .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                         VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
          .pfnUserCallback = forward_message,
          .pUserData = on_message};
}

// The Vulkan version that a layer is written for; 0 where it is not installed.
uint32_t layer_version(const char* name) {
  uint32_t count = 0;
  vkEnumerateInstanceLayerProperties(&count, nullptr);
  std::vector<VkLayerProperties> layers(count);
  vkEnumerateInstanceLayerProperties(&count, layers.data());
  const auto found = std::find_if(layers.begin(), layers.end(), [&](const auto& layer) {
    return !std::strcmp(layer.layerName, name);
  });
  return found == layers.end() ? 0 : found->specVersion;
}

bool has_extension(const char* name) {
  uint32_t count = 0;
  vkEnumerateInstanceExtensionProperties(nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> extensions(count);
  vkEnumerateInstanceExtensionProperties(nullptr, &count, extensions.data());
  return std::any_of(extensions.begin(), extensions.end(), [&](const auto& extension) {
    return !std::strcmp(extension.extensionName, name);
  });
}

}  // namespace

Result<std::shared_ptr<Instance>> Instance::create(bool validation, OnMessage on_message) {
  CALDERA_TRY(load_vulkan());
  if (volkGetInstanceVersion() < VK_API_VERSION_1_2) {
    return Error{ErrorCode::kNoDevice,
                 "the Vulkan loader is older than 1.2: install a newer one (libvulkan1)"};
  }
  const uint32_t validation_version = validation ? layer_version(kValidationLayer) : 0;
  if (validation && validation_version == 0) {
    return Error{ErrorCode::kNoDevice,
                 "the Vulkan validation layers are not installed (Debian, Ubuntu: "
                 "vulkan-validationlayers)"};
  }

  std::shared_ptr<Instance> instance(new Instance);
  instance->validation_version_ = validation_version;
  instance->on_message_ = on_message ? std::move(on_message) : [](const std::string&) {};

  const VkApplicationInfo application{.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                      .pApplicationName = "caldera",
                                      .applicationVersion = 1,
                                      .pEngineName = "caldera",
                                      .engineVersion = 1,
                                      .apiVersion = VK_API_VERSION_1_3};  // Devices of 1.2 do.
  std::vector<const char*> extensions;
  VkInstanceCreateFlags flags = 0;
  if (has_extension(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)) {
    extensions.push_back(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
    flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
  }
  const VkDebugUtilsMessengerCreateInfoEXT messages = messenger_info(&instance->on_message_);
  const std::array enables = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
  const VkValidationFeaturesEXT features{.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                         .pNext = &messages,
                                         .enabledValidationFeatureCount = enables.size(),
                                         .pEnabledValidationFeatures = enables.data(),
                                         .disabledValidationFeatureCount = 0,
                                         .pDisabledValidationFeatures = nullptr};
  if (validation) extensions.push_back(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);

  const VkInstanceCreateInfo info{.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                  .pNext = validation ? &features : nullptr,
                                  .flags = flags,
                                  .pApplicationInfo = &application,
                                  .enabledLayerCount = validation ? 1u : 0u,
                                  .ppEnabledLayerNames = &kValidationLayer,
                                  .enabledExtensionCount = static_cast<uint32_t>(extensions.size()),
                                  .ppEnabledExtensionNames = extensions.data()};
  const VkResult made = vkCreateInstance(&info, nullptr, &instance->handle_);
  if (made == VK_ERROR_INCOMPATIBLE_DRIVER) {
    return Error{ErrorCode::kNoDevice,
                 "no Vulkan driver: install one (Debian, Ubuntu: mesa-vulkan-drivers has AMD's, "
                 "Intel's and a software one; NVIDIA's comes with its own driver)"};
  }
  if (made != VK_SUCCESS) return vk_error(made, "could not start Vulkan");
  load_instance_functions(instance->handle_);

  if (validation) {
    const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
        vkGetInstanceProcAddr(instance->handle_, "vkCreateDebugUtilsMessengerEXT"));
    if (create) create(instance->handle_, &messages, nullptr, &instance->messenger_);
  }
  return instance;
}

Instance::~Instance() {
  if (messenger_) {
    const auto destroy = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
        vkGetInstanceProcAddr(handle_, "vkDestroyDebugUtilsMessengerEXT"));
    destroy(handle_, messenger_, nullptr);
  }
  if (handle_) vkDestroyInstance(handle_, nullptr);
}

}  // namespace caldera
