// Validation; see evaluation.h.
#include "models/training/evaluation.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include <fmt/format.h>

namespace caldera {

namespace {

constexpr size_t kMistakes = 12;

// Of one image, in double.
double cross_entropy(std::span<const float> logits, int32_t label) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  return std::log(sum) + highest - logits[static_cast<size_t>(label)];
}

// `mistakes` stay in order, the greatest loss first.
void add_mistake(std::vector<Mistake>& mistakes, Mistake mistake) {
  const auto at =
      std::upper_bound(mistakes.begin(), mistakes.end(), mistake,
                       [](const Mistake& a, const Mistake& b) { return a.loss > b.loss; });
  if (at == mistakes.end() && mistakes.size() == kMistakes) return;
  mistakes.insert(at, std::move(mistake));
  if (mistakes.size() > kMistakes) mistakes.pop_back();
}

}  // namespace

int32_t best_class(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

Evaluator::Evaluator(const Model& model, const ImageFolder& folder, Session session, int64_t batch,
                     int threads)
    : model_(model),
      session_(std::move(session)),
      batch_(batch),
      threads_(threads > 0 ? threads
                           : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))) {
  for (const Sample& sample : folder.samples) {
    paths_.push_back(sample.path);
    labels_.push_back(sample.label);
  }
}

Result<Evaluator> Evaluator::create(const Device& device, const Model& model,
                                    const ImageFolder& folder, const SessionOptions& session,
                                    int64_t batch, int threads) {
  const int64_t size = std::min<int64_t>(batch, std::ssize(folder.samples));
  CALDERA_TRY_ASSIGN(const Graph graph, model.graph(size));
  CALDERA_TRY_ASSIGN(Session opened, Session::create(device, graph, model.weights(), session));
  return Evaluator(model, folder, std::move(opened), size, threads);
}

Result<Evaluation> Evaluator::run(const Weights& weights,
                                  const std::function<void(const Error&)>& on_bad) {
  CALDERA_TRY(session_.set_weights(weights));
  const Size2d size = model_.input_size();
  const auto image_size = size_t{3} * static_cast<size_t>(size.h) * static_cast<size_t>(size.w);
  const auto classes = static_cast<size_t>(model_.architecture().classes);
  const auto transform = [preprocess = model_.preprocess(), size, image_size](const Image& image) {
    std::vector<float> values(image_size);
    normalize(caldera::fit(image, preprocess, size.w, size.h), preprocess, values);
    return values;
  };
  ImageLoader loader(paths_, transform, threads_, static_cast<int>(2 * batch_ + threads_));

  Evaluation result;
  result.confusion.resize(classes * classes);
  std::vector<float> images(image_size * static_cast<size_t>(batch_));
  std::vector<float> logits(classes * static_cast<size_t>(batch_));
  std::vector<size_t> samples;  // Of the batch.
  const auto judge = [&]() -> Status {
    CALDERA_TRY(session_.run(images, logits));
    for (size_t i = 0; i < samples.size(); ++i) {
      const auto row = std::span<const float>(logits).subspan(i * classes, classes);
      const int32_t label = labels_[samples[i]];
      const int32_t best = best_class(row);
      const double loss = cross_entropy(row, label);
      ++result.images;
      result.correct += best == label;
      result.loss += loss;
      ++result.confusion[static_cast<size_t>(label) * classes + static_cast<size_t>(best)];
      if (best == label) continue;
      add_mistake(result.mistakes,
                  {paths_[samples[i]], label, best, std::exp(-cross_entropy(row, best)), loss});
    }
    samples.clear();
    return {};
  };
  for (ImageLoader::Item item; loader.next(item);) {
    if (!item.values.ok()) {
      if (std::find(bad_.begin(), bad_.end(), item.index) != bad_.end()) continue;
      bad_.push_back(item.index);
      if (on_bad) on_bad(item.values.error());
      continue;
    }
    std::copy(item.values->begin(), item.values->end(),
              images.begin() + static_cast<ptrdiff_t>(samples.size() * image_size));
    samples.push_back(item.index);
    if (std::ssize(samples) == batch_) CALDERA_TRY(judge());
  }
  // What is left in a batch's other places is the batch before, and not looked at.
  if (!samples.empty()) CALDERA_TRY(judge());
  if (result.images == 0) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("validation: none of its {} images can be read", paths_.size())};
  }
  result.loss /= static_cast<double>(result.images);
  return result;
}

}  // namespace caldera
