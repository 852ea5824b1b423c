// A model: an architecture with its weights, preprocessing and labels, from a Caldera file
// (safetensors with metadata) or from any checkpoint. Immutable; copies share the weights.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/architecture.h"
#include "caldera/checkpoint.h"
#include "caldera/device.h"
#include "caldera/image.h"
#include "caldera/result.h"
#include "caldera/session.h"

namespace caldera {

struct ModelOptions {
  std::string architecture;         // A full name; empty: from the file's metadata, else inferred.
  std::string preprocess;           // A name; empty: from the metadata, else by the family.
  std::vector<std::string> labels;  // Empty: from the metadata, else the indices of classes.
};

class Model {
 public:
  static Result<Model> load(const std::filesystem::path& path, const ModelOptions& options = {});
  // From nothing: He-initialised weights, batch-norm calibrated (calibrate_batch_norm).
  static Result<Model> create(std::string_view architecture, uint64_t seed);
  // The same with batch-norm at one and zero: where training from nothing begins.
  static Result<Model> untrained(std::string_view architecture, uint64_t seed);
  // Of weights at hand, such as training's: all that the architecture's graph needs, and its
  // num_batches_tracked or not. An error where one is missing or of another shape, or there is
  // not one label a class.
  static Result<Model> from_weights(const Architecture& architecture, const Preprocess& preprocess,
                                    std::vector<std::string> labels, const Weights& weights);

  const Architecture& architecture() const { return architecture_; }
  const Preprocess& preprocess() const { return preprocess_; }
  const std::vector<std::string>& labels() const { return labels_; }
  // The tensors with canonical names, as they were in the file, in its order.
  const Checkpoint& checkpoint() const { return checkpoint_; }
  // Those that the graph needs, in f32.
  const Weights& weights() const { return weights_; }
  // The size that images are given: the preprocessing's crop, else the architecture's.
  Size2d input_size() const;

  Result<Graph> graph(int64_t batch) const {
    return build_graph(architecture_, batch, input_size());
  }
  Result<Graph> graph(int64_t batch, Size2d input) const {
    return build_graph(architecture_, batch, input);
  }
  // A session for `batch` images of input_size().
  Result<Session> session(const Device& device, int64_t batch,
                          const SessionOptions& options = {}) const;

  // Caldera's own file: safetensors, with architecture, preprocessing and labels as JSON under
  // the metadata key "caldera".
  Status save(const std::filesystem::path& path) const;
  // What save() writes.
  Checkpoint file() const;

 private:
  static Result<Model> initialized(std::string_view architecture, uint64_t seed, bool calibrated);

  Architecture architecture_;
  Preprocess preprocess_;
  std::vector<std::string> labels_;
  Checkpoint checkpoint_;
  Weights weights_;
};

// One label a line. Empty lines at the end are dropped.
Result<std::vector<std::string>> read_labels(const std::filesystem::path& path);

}  // namespace caldera
