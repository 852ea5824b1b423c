// A list of what is free, behind a lock; see pixel_pool.h.
#include "models/training/pixel_pool.h"

namespace caldera {

Result<std::shared_ptr<const Pixels>> PixelPool::take() {
  Pixels pixels;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      pixels = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (!pixels) {
    CALDERA_TRY_ASSIGN(pixels, Pixels::create(device_, images_, size_.h, size_.w));
  }
  return std::shared_ptr<const Pixels>(new Pixels(std::move(pixels)),
                                       [pool = shared_from_this()](const Pixels* lent) {
                                         pool->put_back(*lent);
                                         delete lent;
                                       });
}

void PixelPool::put_back(const Pixels& pixels) {
  const std::lock_guard lock(mutex_);
  free_.push_back(pixels);
}

}  // namespace caldera
