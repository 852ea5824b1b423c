// The smallest program that embeds Caldera: lists the machine's devices. Public headers only.
#include <cstdio>

#include <caldera/caldera.h>

int main() {
  const auto devices = caldera::list_devices();
  if (!devices) {
    std::fprintf(stderr, "consumer: %s\n", devices.error().message.c_str());
    return 1;
  }
  for (const caldera::DeviceInfo& device : *devices) {
    std::printf("%d: %s (%s)\n", device.index, device.name.c_str(), device.driver_info.c_str());
  }
  return devices->empty() ? 1 : 0;
}
