// A Vulkan instance, with the validation layers and their messages where they are asked for.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/vulkan.h"

namespace caldera {

class Instance {
 public:
  using OnMessage = std::function<void(const std::string&)>;

  static Result<std::shared_ptr<Instance>> create(bool validation, OnMessage on_message);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  VkInstance handle() const { return handle_; }
  // The Vulkan version that the loaded validation layers are written for; 0 where none are. They
  // object to the structures of newer extensions.
  uint32_t validation_version() const { return validation_version_; }

 private:
  Instance() = default;

  VkInstance handle_ = VK_NULL_HANDLE;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
  OnMessage on_message_;
  uint32_t validation_version_ = 0;
};

}  // namespace caldera
