// Memory of the device's own in blocks, a buffer each: as many as something needs, because a device
// limits what one buffer and one allocation hold.
#pragma once

#include <vector>

#include "runtime/buffer.h"
#include "runtime/place.h"

namespace caldera {

class Blocks {
 public:
  // One block for each of `bytes`, none of which is 0. `what` names them in errors ("the weights").
  static Result<Blocks> create(const std::shared_ptr<DeviceImpl>& device,
                               std::span<const uint64_t> bytes, std::string_view what);

  BufferRange at(Place place, uint64_t size) const {
    return {&buffers_[place.block], place.offset, size};
  }
  const std::vector<Buffer>& buffers() const { return buffers_; }

 private:
  std::vector<Buffer> buffers_;
};

}  // namespace caldera
