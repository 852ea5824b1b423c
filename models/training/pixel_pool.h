// Memory for batches of bytes, lent to a loader, which fills it while the device runs batches
// before it, and taken back when nobody reads it any more.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "caldera/graph.h"
#include "caldera/pixels.h"

namespace caldera {

class PixelPool : public std::enable_shared_from_this<PixelPool> {
 public:
  PixelPool(const Device& device, int64_t images, Size2d size)
      : device_(device), images_(images), size_(size) {}

  // What is free, or else made. Thread-safe.
  Result<std::shared_ptr<const Pixels>> take();

 private:
  void put_back(const Pixels& pixels);

  Device device_;
  int64_t images_;
  Size2d size_;
  std::mutex mutex_;
  std::vector<Pixels> free_;
};

}  // namespace caldera
