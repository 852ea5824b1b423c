// Batches for training: the order of samples, and a loader that decodes, augments and gathers them
// on threads ahead of the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "caldera/augment.h"
#include "caldera/dataset.h"
#include "caldera/image.h"
#include "caldera/pixels.h"
#include "caldera/result.h"

namespace caldera {

// The samples 0 .. samples - 1 in the order of an epoch: a permutation that is a pure function of
// (seed, epoch), the same on every machine; without `shuffle` as they are.
std::vector<int64_t> epoch_order(int64_t samples, bool shuffle, uint64_t seed, int64_t epoch);

// How many batches so many samples make: the last one may be smaller, unless it is dropped.
int64_t batches_an_epoch(int64_t samples, int64_t batch, bool drop_last);

struct BatchOptions {
  int64_t batch = 32;
  bool shuffle = true;
  bool drop_last = false;  // Leaves out an epoch's last batch where it is not full.
  uint64_t seed = 0;
  Augmentation augmentation{};
  int threads = 0;         // 0: one a core.
  size_t cache_bytes = 0;  // Decoded images up to so many bytes are kept, and decoded once.
  // Where to begin: a resumed run goes on with the batches that the whole run would have had.
  int64_t first_epoch = 0;
  int64_t first_batch = 0;
  // Samples known to be bad, as bad_samples() gave them: by them a resumed run finds the place of
  // its first batch. Where they are not given, the epoch's batches before it are decoded to see.
  std::optional<std::vector<int64_t>> known_bad{};
  // Where images go as bytes, in place of floats: asked for memory of `batch` images at least for
  // each batch, by a thread of the loader's, which writes them in place. Batch::pixels is what it
  // gave.
  std::function<Result<std::shared_ptr<const Pixels>>()> pixels{};
};

struct BadSample {
  int64_t sample = 0;
  Error error;  // Names the file.
};

struct Batch {
  int64_t epoch = 0;
  int64_t index = 0;                       // In its epoch.
  std::vector<float> images;               // [N, 3, H, W]; empty with BatchOptions::pixels.
  std::shared_ptr<const Pixels> pixels{};  // Then it is the first N of these.
  std::vector<int32_t> labels;             // [N]
  std::vector<int64_t> samples;            // [N], places in ImageFolder::samples.
  // Found bad on the way to this batch, in the order of the epoch; each is named once.
  std::vector<BadSample> bad;
};

// Batches in order, epoch after epoch without end. A sample that cannot be decoded is left out of
// every epoch, and the next one takes its place: batches stay full, and an epoch is its order
// without the bad samples, cut into batches, however late they are found out. All is a pure
// function of the samples, the options and the files; threads and cache change the speed alone.
// Memory: three batches, four samples a thread (more where they are small) and the cache.
class BatchLoader {
 public:
  // Images become width x height, the network's input. An error where there is no sample or no full
  // batch, or an option cannot be meant.
  static Result<BatchLoader> create(const ImageFolder& folder, const Preprocess& preprocess,
                                    int32_t width, int32_t height,
                                    const BatchOptions& options = {});
  BatchLoader(BatchLoader&&) noexcept;
  BatchLoader& operator=(BatchLoader&&) noexcept;
  ~BatchLoader();

  // The next batch; waits for it. False at the end of each epoch, where of `batch` only the epoch
  // and the bad samples found behind the last batch are set; the call after it begins the next.
  // Fails for good where memory runs out or an epoch has no batch left.
  Result<bool> next(Batch& batch);
  // Whether next() would not wait.
  bool ready() const;

  // Those known at first and those found up to the last next().
  const std::vector<int64_t>& bad_samples() const;
  // Seconds that next() has waited so far: time the device stood idle for want of images, where it
  // had nothing else to do.
  double seconds_waited() const;
  size_t cached_bytes() const;

 private:
  struct State;
  explicit BatchLoader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace caldera
