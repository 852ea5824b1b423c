// Images as bytes, in memory that a device reads in place: a third of what floats take on the way
// to it, and normalised there by the first shader, to the same bits as on the host.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "caldera/device.h"
#include "caldera/result.h"

namespace caldera {

// By channel (red, green, blue) and byte: what it becomes in a network's input. An input of bytes
// is a session's first (SessionOptions::pixels).
using PixelValues = std::array<std::array<float, 256>, 3>;

struct PixelMemory;  // graph/pixel_memory.h

// As many images of one size as a batch has, or more, of which the first count. A shared handle:
// copies name the same bytes. The host may write them while no run that was given them is under
// way.
class Pixels {
 public:
  // Four bytes each: red, green, blue, and 255, or 0 for a blank, which becomes three zeros
  // whatever the values are.
  static constexpr uint64_t kBytes = 4;

  static Result<Pixels> create(const Device& device, int64_t images, int64_t height, int64_t width);
  Pixels() = default;  // Without images.

  int64_t images() const;
  // [height, width, 4]
  std::span<uint8_t> image(int64_t index) const;
  // The image becomes weight * itself + (1 - weight) * image `partner`, once both are normalised.
  // Each is wholly itself at first, and after mix(i, 1, i).
  void mix(int64_t index, float weight, int32_t partner) const;
  explicit operator bool() const { return memory_ != nullptr; }

 private:
  friend class SessionImpl;
  std::shared_ptr<PixelMemory> memory_;
};

}  // namespace caldera
