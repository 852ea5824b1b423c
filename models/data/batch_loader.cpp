// Two stages, each a Prefetcher: threads make chunks of samples in the order of the sequence, and
// one more thread takes good ones off it into batches. So neither augmenting nor copying a batch
// together costs the caller's thread time, and only the gathering thread, which sees samples in
// order, decides which are bad.
#include "caldera/batch_loader.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "models/data/sample_maker.h"
#include "models/image/prefetch.h"

namespace caldera {
namespace {

constexpr int kBatchesAhead = 2;
constexpr int kChunksAThread = 4;
constexpr size_t kNoEnd = std::numeric_limits<size_t>::max();

struct Delivery {
  Batch batch;
  bool end_of_epoch = false;
};

int thread_count(int wanted) {
  if (wanted > 0) return wanted;
  return static_cast<int>(std::max(std::thread::hardware_concurrency(), 1u));
}

Error invalid(const std::string& what) {
  return {ErrorCode::kInvalidInput, "batches: " + what};
}

Status check(const ImageFolder& folder, const Preprocess& preprocess, int32_t width, int32_t height,
             const BatchOptions& options) {
  const auto samples = static_cast<int64_t>(folder.samples.size());
  if (samples == 0) return invalid("there is no image");
  if (options.batch < 1) return invalid("a batch must have at least one image");
  if (options.drop_last && samples < options.batch) {
    return invalid(
        fmt::format("{} images do not fill one batch of {}, and the last is dropped; "
                    "take a smaller batch",
                    samples, options.batch));
  }
  if (options.first_epoch < 0 || options.first_batch < 0) {
    return invalid("the first epoch and batch must be at least 0");
  }
  if (width < 1 || height < 1) return invalid("the input must have at least one pixel");
  if (preprocess.crop_width > 0 &&
      (preprocess.crop_width != width || preprocess.crop_height != height)) {
    return invalid(fmt::format("the preprocessing crops to {}x{}, and the input is {}x{}",
                               preprocess.crop_width, preprocess.crop_height, width, height));
  }
  for (const int64_t sample : options.known_bad.value_or(std::vector<int64_t>{})) {
    if (sample < 0 || sample >= samples) {
      return invalid(
          fmt::format("sample {} is said to be bad, and there are {}; is it the same "
                      "folder?",
                      sample, samples));
    }
  }
  return check_augmentation(options.augmentation);
}

}  // namespace

struct BatchLoader::State {
  State(const ImageFolder& folder, const Preprocess& preprocess, int32_t width, int32_t height,
        const BatchOptions& given);
  ~State() { chunks.stop(); }  // So that the gathering thread does not wait for them.

  int64_t start();
  Result<Delivery> gather();
  // Takes the next sample of the sequence. False where it was not made.
  Result<bool> take(Batch& batch);

  BatchOptions options;
  SampleMaker maker;
  std::vector<int64_t> reported;  // Bad samples, as far as the reader has come.

  // Of the gathering thread.
  int64_t epoch = 0;
  int64_t batch_index = 0;
  int64_t skip = 0;        // Good samples still to be passed over.
  int64_t place = 0;       // In the sequence.
  int64_t look_until = 0;  // Places below are passed over for certain.
  int64_t good_ones;
  size_t in_chunk = 0;
  Chunk chunk;
  std::optional<Error> failed;

  // Threads end before what they use.
  Prefetcher<Chunk> chunks;
  Prefetcher<Result<Delivery>> deliveries;
};

BatchLoader::State::State(const ImageFolder& folder, const Preprocess& preprocess, int32_t width,
                          int32_t height, const BatchOptions& given)
    : options(given),
      maker(folder, preprocess, width, height, given),
      epoch(given.first_epoch),
      batch_index(given.first_batch),
      place(start()),
      look_until(place + skip),
      good_ones(maker.samples() - static_cast<int64_t>(reported.size())),
      chunks(
          kNoEnd,
          [this, first = place](size_t index) {
            const auto size = static_cast<int64_t>(maker.chunk_size());
            return maker.make(first + static_cast<int64_t>(index) * size, look_until);
          },
          thread_count(given.threads), kChunksAThread * thread_count(given.threads)),
      deliveries(
          kNoEnd, [this](size_t) { return gather(); }, 1, kBatchesAhead) {}

// The place to begin at; what is to be passed over from there goes into `skip`.
int64_t BatchLoader::State::start() {
  reported = options.known_bad.value_or(std::vector<int64_t>{});
  std::sort(reported.begin(), reported.end());
  reported.erase(std::unique(reported.begin(), reported.end()), reported.end());
  for (const int64_t sample : reported) maker.mark_bad(sample);
  const int64_t samples = maker.samples();
  // Further than an epoch there is nothing to pass over.
  skip = std::min(options.first_batch, samples) * std::min(options.batch, samples);
  const int64_t first = epoch * samples;
  if (!options.known_bad) {
    skip = std::min(skip, samples);
    return first;
  }
  int64_t position = 0;
  for (; position < samples && skip > 0; ++position) {
    if (!maker.is_bad(maker.sample_at(epoch, position))) --skip;
  }
  skip = 0;
  return first + position;
}

Result<bool> BatchLoader::State::take(Batch& batch) {
  if (in_chunk == chunk.samples.size()) {
    std::optional<Chunk> next = chunks.next();
    if (!next) return Error{ErrorCode::kCancelled, "batches: the loader is being closed"};
    chunk = *std::move(next);
    in_chunk = 0;
    if (chunk.samples.empty()) {
      return Error{ErrorCode::kOutOfMemory, "batches: out of host memory; try a smaller batch"};
    }
  }
  Chunk::Made& made = chunk.samples[in_chunk];
  const size_t place_in_chunk = in_chunk++;
  ++place;
  switch (made.outcome) {
    case Chunk::Outcome::kFailed:
      return std::move(made.error);
    case Chunk::Outcome::kKnownBad:
      return false;
    case Chunk::Outcome::kBad:
      // Another epoch's may have been on its way already when the first was found.
      if (maker.is_bad(made.place.sample)) return false;
      maker.mark_bad(made.place.sample);
      --good_ones;
      batch.bad.push_back({made.place.sample, std::move(made.error)});
      return false;
    case Chunk::Outcome::kMade:
      break;
  }
  if (skip > 0) {
    --skip;
    return false;
  }
  if (batch.pixels) {
    const std::span<uint8_t> to = batch.pixels->image(std::ssize(batch.samples));
    std::memcpy(to.data(), chunk.bytes.data() + place_in_chunk * to.size(), to.size());
  } else {
    const auto values =
        chunk.values.begin() + static_cast<ptrdiff_t>(place_in_chunk * maker.sample_size());
    batch.images.insert(batch.images.end(), values,
                        values + static_cast<ptrdiff_t>(maker.sample_size()));
  }
  batch.labels.push_back(maker.label(made.place.sample));
  batch.samples.push_back(made.place.sample);
  return true;
}

Result<Delivery> BatchLoader::State::gather() {
  if (failed) return *failed;
  auto made = detail::no_throw<Result<Delivery>>("batches", [&]() -> Result<Delivery> {
    Delivery out;
    Batch& batch = out.batch;
    batch.epoch = epoch;
    batch.index = batch_index;
    const int64_t end = (epoch + 1) * maker.samples();
    const int64_t most = std::min(options.batch, end - place);
    if (options.pixels) {
      CALDERA_TRY_ASSIGN(batch.pixels, options.pixels());
    } else {
      batch.images.reserve(static_cast<size_t>(most) * maker.sample_size());
    }
    while (place < end && std::ssize(batch.samples) < options.batch) {
      CALDERA_TRY(take(batch));
    }
    const bool full = std::ssize(batch.samples) == options.batch;
    if (full || (!batch.samples.empty() && !options.drop_last)) {
      ++batch_index;
      return out;
    }
    if (batches_an_epoch(good_ones, options.batch, options.drop_last) == 0) {
      const std::string why =
          batch.bad.empty() ? "" : fmt::format("; the last: {}", batch.bad.back().error.message);
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("batches: {} of {} images cannot be read, and the rest fill no "
                               "batch{}",
                               maker.samples() - good_ones, maker.samples(), why)};
    }
    out.batch = {.epoch = epoch, .index = batch_index, .bad = std::move(batch.bad)};
    out.end_of_epoch = true;
    ++epoch;
    batch_index = 0;
    skip = 0;
    return out;
  });
  if (!made.ok()) failed = made.error();
  return made;
}

Result<BatchLoader> BatchLoader::create(const ImageFolder& folder, const Preprocess& preprocess,
                                        int32_t width, int32_t height,
                                        const BatchOptions& options) {
  CALDERA_TRY(check(folder, preprocess, width, height, options));
  return detail::no_throw<Result<BatchLoader>>("batches", [&] {
    return BatchLoader(std::make_unique<State>(folder, preprocess, width, height, options));
  });
}

BatchLoader::BatchLoader(std::unique_ptr<State> state) : state_(std::move(state)) {}
BatchLoader::BatchLoader(BatchLoader&&) noexcept = default;
BatchLoader& BatchLoader::operator=(BatchLoader&&) noexcept = default;
BatchLoader::~BatchLoader() = default;

Result<bool> BatchLoader::next(Batch& batch) {
  std::optional<Result<Delivery>> delivery = state_->deliveries.next();
  if (!*delivery) return delivery->error();
  batch = std::move((*delivery)->batch);
  for (const BadSample& bad : batch.bad) state_->reported.push_back(bad.sample);
  return !(*delivery)->end_of_epoch;
}

bool BatchLoader::ready() const {
  return state_->deliveries.ready();
}

const std::vector<int64_t>& BatchLoader::bad_samples() const {
  return state_->reported;
}

double BatchLoader::seconds_waited() const {
  return state_->deliveries.seconds_waited();
}

size_t BatchLoader::cached_bytes() const {
  return state_->maker.cached_bytes();
}

}  // namespace caldera
