// What a device can do at best, measured: the roofs that a network's speed is held against. By
// small kernels of known work, in the manner of the roofline model (Williams, Waterman and
// Patterson, CACM 2009).
#pragma once

#include "caldera/device.h"
#include "caldera/result.h"

namespace caldera {

struct DevicePeak {
  // 10^9 floating-point operations a second, a multiply-add counted as two, by ordinary arithmetic:
  // cooperative matrices may do more.
  double gflops_fp32 = 0;
  double gflops_fp16 = 0;  // 0 where the device has no half precision.
  // 10^9 bytes a second, read and written, from one buffer of device memory to another.
  double copy_gbps = 0;
  // Of a dispatch without work that waits for the one before it, in one command buffer.
  double dispatch_seconds = 0;
  // Of an empty command buffer, from the call to the fence.
  double submit_seconds = 0;
};

// Takes less than a second, on a device that has nothing else to do; up to 256 MiB of
// its memory meanwhile. Load makes the figures smaller, never larger: each is the best of several.
Result<DevicePeak> measure_peak(const Device& device);

}  // namespace caldera
