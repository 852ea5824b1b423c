// Validation: a session for inference on the weights as they are, over a folder of labelled images.
#pragma once

#include <functional>

#include "caldera/fit.h"

namespace caldera {

class Evaluator {
 public:
  // Opens the session, which stays. The folder has at least one sample.
  static Result<Evaluator> create(const Device& device, const Model& model,
                                  const ImageFolder& folder, const SessionOptions& session,
                                  int64_t batch, int threads);

  // `on_bad` is told of each sample that cannot be decoded, the first time.
  Result<Evaluation> run(const Weights& weights, const std::function<void(const Error&)>& on_bad);

  int64_t skipped() const { return static_cast<int64_t>(bad_.size()); }

 private:
  Evaluator(const Model& model, const ImageFolder& folder, Session session, int64_t batch,
            int threads);

  Model model_;
  std::vector<std::filesystem::path> paths_;
  std::vector<int32_t> labels_;
  Session session_;
  int64_t batch_;
  int threads_;
  std::vector<size_t> bad_;
};

// The place of the greatest.
int32_t best_class(std::span<const float> logits);

}  // namespace caldera
