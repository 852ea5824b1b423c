// From a place in the endless sequence of epochs to an augmented sample: what a loader's threads
// do, many at once. A chunk is a run of such places, of several samples where these are small, so
// that handing it over costs little beside making it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "caldera/batch_loader.h"

#include "models/data/image_cache.h"

namespace caldera {

// A place's epoch, and its sample.
struct Place {
  int64_t epoch = 0;
  int64_t sample = 0;
};

struct Chunk {
  enum class Outcome : uint8_t {
    kMade,
    kBad,       // Cannot be decoded; `error` says why.
    kKnownBad,  // The same, and was found out before.
    kFailed,    // Not the sample's fault: memory ran out.
  };
  struct Made {
    Place place;
    Outcome outcome = Outcome::kMade;
    Error error{};
  };
  std::vector<Made> samples;
  std::vector<float> values;   // [samples, 3, H, W]; undefined where a sample was not made.
  std::vector<uint8_t> bytes;  // Or [samples, H, W, 4].
};

class SampleMaker {
 public:
  SampleMaker(const ImageFolder& folder, const Preprocess& preprocess, int32_t width,
              int32_t height, const BatchOptions& options);

  int64_t samples() const { return static_cast<int64_t>(folder_.samples.size()); }
  int32_t label(int64_t sample) const { return folder_.samples[static_cast<size_t>(sample)].label; }
  size_t sample_size() const { return sample_size_; }  // In floats.
  size_t chunk_size() const { return chunk_size_; }
  size_t cached_bytes() const { return cache_.bytes(); }

  // Thread-safe. Places first .. first + chunk_size() - 1, of which those below `look_until` are
  // only decoded, to see whether they can be.
  Chunk make(int64_t first, int64_t look_until) noexcept;
  // By the reader, in the order of the sequence: spares the workers a sample that is bad.
  void mark_bad(int64_t sample) { bad_[static_cast<size_t>(sample)] = true; }
  bool is_bad(int64_t sample) const { return bad_[static_cast<size_t>(sample)]; }

  // Thread-safe.
  int64_t sample_at(int64_t epoch, int64_t position);

 private:
  using Order = std::shared_ptr<const std::vector<int64_t>>;
  struct EpochOrder {
    int64_t epoch = -1;
    Order order;
  };

  Status make_one(const Place& place, bool only_look, Chunk& chunk, size_t index);
  Order order_of(int64_t epoch);

  const ImageFolder folder_;
  const Preprocess preprocess_;
  const int32_t width_;
  const int32_t height_;
  const BatchOptions options_;
  const size_t sample_size_;
  const size_t chunk_size_;
  std::vector<std::atomic<bool>> bad_;
  ImageCache cache_;

  std::mutex mutex_;
  std::vector<EpochOrder> orders_{2};  // Of an even and an odd epoch: those under way.
};

}  // namespace caldera
