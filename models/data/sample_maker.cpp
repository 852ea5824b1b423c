// Reading, decoding or finding in the cache, augmenting. Which samples are bad is found out by each
// thread for itself, and told others by the reader alone, in order: so the first place in the
// sequence of a bad sample is where its error is heard of, whichever thread came by first.
#include "models/data/sample_maker.h"

#include <algorithm>
#include <new>
#include <utility>

#include <fmt/format.h>

namespace caldera {
namespace {

constexpr size_t kChunkFloats = size_t{1} << 16;  // 256 KiB: 21 samples of 32x32, one of 224x224.

}  // namespace

SampleMaker::SampleMaker(const ImageFolder& folder, const Preprocess& preprocess, int32_t width,
                         int32_t height, const BatchOptions& options)
    : folder_(folder),
      preprocess_(preprocess),
      width_(width),
      height_(height),
      options_(options),
      sample_size_(size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height)),
      chunk_size_(std::max<size_t>(kChunkFloats / sample_size_, 1)),
      bad_(folder.samples.size()),
      cache_(folder.samples.size(), options.cache_bytes) {}

SampleMaker::Order SampleMaker::order_of(int64_t epoch) {
  const std::lock_guard lock(mutex_);
  EpochOrder& kept = orders_[static_cast<size_t>(epoch % 2)];
  if (kept.epoch != epoch) {
    kept.order = std::make_shared<const std::vector<int64_t>>(
        epoch_order(samples(), options_.shuffle, options_.seed, epoch));
    kept.epoch = epoch;
  }
  return kept.order;
}

int64_t SampleMaker::sample_at(int64_t epoch, int64_t position) {
  return (*order_of(epoch))[static_cast<size_t>(position)];
}

Status SampleMaker::make_one(const Place& place, bool only_look, Chunk& chunk, size_t in_chunk) {
  const auto index = static_cast<size_t>(place.sample);
  const auto use = [&](const Image& image) {
    if (only_look) return;
    const AugmentKey key{options_.seed, place.epoch, place.sample};
    const auto write = [&](auto& all, size_t size) {
      augment(image, preprocess_, width_, height_, options_.augmentation, key,
              std::span(all).subspan(in_chunk * size, size));
    };
    if (options_.pixels) {
      write(chunk.bytes, sample_size_ / 3 * Pixels::kBytes);
    } else {
      write(chunk.values, sample_size_);
    }
  };
  const std::filesystem::path& path = folder_.samples[index].path;
  try {
    if (const Image* image = cache_.find(index)) {
      use(*image);
      return {};
    }
    CALDERA_TRY_ASSIGN(Image image, read_image(path));
    use(image);
    cache_.offer(index, std::move(image));
    return {};
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("{}: not enough memory for this image", path.string())};
  }
}

Chunk SampleMaker::make(int64_t first, int64_t look_until) noexcept {
  Chunk chunk;
  try {
    if (options_.pixels) {
      chunk.bytes.resize(chunk_size_ * sample_size_ / 3 * Pixels::kBytes);
    } else {
      chunk.values.resize(chunk_size_ * sample_size_);
    }
    chunk.samples.reserve(chunk_size_);
    int64_t place = first;
    for (size_t i = 0; i < chunk_size_; ++i, ++place) {
      const int64_t epoch = place / samples();
      Chunk::Made& made =
          chunk.samples.emplace_back(Chunk::Made{{epoch, sample_at(epoch, place % samples())}});
      if (is_bad(made.place.sample)) {
        made.outcome = Chunk::Outcome::kKnownBad;
        continue;
      }
      const Status status = make_one(made.place, place < look_until, chunk, i);
      if (status.ok()) continue;
      made.error = status.error();
      // Want of memory passes; were it taken for damage, a busy machine would lose samples.
      made.outcome = made.error.code == ErrorCode::kOutOfMemory ? Chunk::Outcome::kFailed
                                                                : Chunk::Outcome::kBad;
    }
  } catch (const std::bad_alloc&) {
    chunk.samples.clear();  // The reader takes an empty chunk for want of memory.
  }
  return chunk;
}

}  // namespace caldera
