// Decoded images up to a budget of bytes, shared by threads without a lock. Nothing is evicted:
// every epoch reads every image once, so that an image thrown out would be as dear as the one put
// in.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "caldera/image.h"

namespace caldera {

class ImageCache {
 public:
  ImageCache(size_t images, size_t budget) : images_(budget > 0 ? images : 0), budget_(budget) {}
  ~ImageCache() {
    for (std::atomic<const Image*>& place : images_) delete place.load();
  }
  ImageCache(const ImageCache&) = delete;
  ImageCache& operator=(const ImageCache&) = delete;

  // Null where it is not there; else valid as long as the cache.
  const Image* find(size_t index) const {
    return images_.empty() ? nullptr : images_[index].load(std::memory_order_acquire);
  }

  // Keeps the image where the budget has room for it.
  void offer(size_t index, Image image) {
    if (images_.empty()) return;
    const size_t bytes = sizeof(Image) + image.pixels.size();
    if (used_.fetch_add(bytes) + bytes > budget_) {
      used_ -= bytes;
      return;
    }
    auto kept = std::make_unique<const Image>(std::move(image));
    const Image* none = nullptr;
    if (images_[index].compare_exchange_strong(none, kept.get(), std::memory_order_release)) {
      kept.release();
    } else {
      used_ -= bytes;  // Another thread was first.
    }
  }

  size_t bytes() const { return used_; }

 private:
  std::vector<std::atomic<const Image*>> images_;
  const size_t budget_;
  std::atomic<size_t> used_ = 0;
};

}  // namespace caldera
