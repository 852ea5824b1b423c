// Images in, class probabilities out: one model, or an ensemble whose probabilities are averaged,
// with one view of each image, ten crops, or several scales. It owns the sessions, one a model and
// view size, and gathers views of one size into batches, so that a caller thinks in images.
// Sources: ten crops, Krizhevsky et al. (NIPS 2012); whole images at several scales, and
// ensembles, He et al., arXiv 1512.03385, section 3.4.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "caldera/device.h"
#include "caldera/image.h"
#include "caldera/model.h"
#include "caldera/result.h"
#include "caldera/session.h"

namespace caldera {

struct PredictorOptions {
  // Views a run. 0: about 128 of up to 64x64, else 32; halved while the device has no room.
  int64_t batch = 0;
  // Images to come in all, where that is known: a batch chosen need not be larger. 0: not known.
  int64_t images = 0;
  // Four corners and the centre, and their mirror images.
  bool ten_crop = false;
  // Shorter sides: at each one, the whole image, resized to it, is a view (the paper's
  // fully-convolutional testing; the nets end in pooling that takes any size). Images of unlike
  // shape cannot share a batch. Not together with ten_crop.
  std::vector<int32_t> scales{};
  SessionOptions session{};
};

// One thread at a time may call predict(); prepare() and transform() may run on any thread.
class Predictor {
 public:
  // An error where there is no model, or where the models disagree on the number or the names of
  // their classes.
  static Result<Predictor> create(const Device& device, const std::vector<Model>& models,
                                  const PredictorOptions& options = {});
  Predictor(Predictor&&) noexcept;
  Predictor& operator=(Predictor&&) noexcept;
  ~Predictor();

  int64_t classes() const;
  // Of the first model that names its classes, else their indices.
  const std::vector<std::string>& labels() const;
  // Views that one run takes: as asked, or as chosen.
  int64_t batch() const;
  // What its sessions took: fp32 where the device lacks what was asked for.
  Precision precision() const;
  // How many samples one call of predict() best takes: they fill a batch.
  int64_t samples_per_run() const;

  // Shares nothing with other calls.
  std::vector<float> prepare(const Image& image) const;
  // prepare() as an ImageLoader wants it; stays valid after the predictor is gone.
  std::function<std::vector<float>(const Image&)> transform() const;

  // samples: any number n of prepared images. probabilities: [n, classes], the mean over views and
  // models of the softmax of their logits. Fails on what prepare() did not make, where a view's
  // size does not fit the device, or on device loss.
  Status predict(std::span<const std::vector<float>> samples, std::span<float> probabilities);

 private:
  struct State;
  explicit Predictor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct RankedClass {
  int32_t index = 0;
  float probability = 0;
};

// The `count` classes of highest probability, best first; of equal ones, the lower index first.
std::vector<RankedClass> top_classes(std::span<const float> probabilities, int64_t count);

// Whether a model names its classes, rather than counting them "0", "1", ...
bool has_class_names(const std::vector<std::string>& labels);

}  // namespace caldera
