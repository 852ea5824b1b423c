// Vulkan's declarations without prototypes. Functions come from volk: the loader's and instances'
// entry points (the same for every instance) are process-wide, set once and never changed;
// devices have their own table (DeviceImpl::vk), so that two devices live side by side.
#pragma once

#include <string_view>

#include "caldera/result.h"

#include "volk_renamed.h"  // Generated: volk.h, its symbols with a prefix of ours.

namespace caldera {

// "VK_ERROR_DEVICE_LOST", or the number of a result that Caldera does not name.
std::string vk_result_name(VkResult result);

// What `result` means to a user, after the words of `what` ("could not create a buffer").
Error vk_error(VkResult result, std::string_view what);

// Loads the Vulkan loader on the first call; an error says what to install.
Status load_vulkan();
// Sets volk's instance functions, from the first instance made.
void load_instance_functions(VkInstance instance);

}  // namespace caldera
