// A sample is cut into view sets: views that share size and preprocessing. Models that take the
// same views share a set, so that an ensemble of like nets costs one preparation. The sets are
// immutable and shared with transform(), which runs on the loader's threads.
#include "caldera/predictor.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace caldera {

namespace {

struct ViewSet {
  Preprocess preprocess;
  int32_t width = 0;
  int32_t height = 0;
  int32_t scale = 0;  // Shorter side; 0: as the preprocessing has it.
  int64_t count = 1;  // 10 for ten crops.
  size_t offset = 0;  // Into the sample.

  size_t view_size() const { return size_t{3} * width * height; }
  size_t size() const { return count * view_size(); }
  bool same_views(const ViewSet& other) const {
    return preprocess == other.preprocess && width == other.width && height == other.height &&
           scale == other.scale && count == other.count;
  }
};

struct Member {
  size_t view_set = 0;
  float weight = 1;  // Of one view's probabilities in the mean.
  Session session;
};

// At least `width` x `height`, so that no crop reaches outside.
Image grown_to(const Image& image, int32_t width, int32_t height) {
  if (image.width >= width && image.height >= height) return image;
  return resize_shorter_side(image, std::max(width, height));
}

void write_views(const Image& image, const ViewSet& set, std::span<float> output) {
  const Preprocess& preprocess = set.preprocess;
  if (set.count == 1) {
    const Image view =
        set.scale > 0 ? center_crop(resize_shorter_side(image, set.scale), set.width, set.height)
                      : fit(image, preprocess, set.width, set.height);
    normalize(view, preprocess, output);
    return;
  }
  const Image resized =
      preprocess.resize_shorter > 0 ? resize_shorter_side(image, preprocess.resize_shorter) : image;
  const std::vector<Image> crops =
      ten_crop(grown_to(resized, set.width, set.height), set.width, set.height);
  for (size_t i = 0; i < crops.size(); ++i) {
    normalize(crops[i], preprocess, output.subspan(i * set.view_size(), set.view_size()));
  }
}

std::vector<float> prepare_sample(const Image& image, const std::vector<ViewSet>& sets) {
  std::vector<float> sample(sets.back().offset + sets.back().size());
  for (const ViewSet& set : sets) {
    write_views(image, set, std::span(sample).subspan(set.offset, set.size()));
  }
  return sample;
}

// Adds weight * softmax(logits).
void add_softmax(std::span<const float> logits, float weight, std::span<float> sum) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(double{logit} - highest);
  for (size_t i = 0; i < logits.size(); ++i) {
    sum[i] += static_cast<float>(weight * std::exp(double{logits[i]} - highest) / total);
  }
}

std::vector<ViewSet> views_of(const Model& model, const PredictorOptions& options) {
  const Size2d input = model.input_size();
  ViewSet set{.preprocess = model.preprocess(), .width = input.w, .height = input.h};
  if (options.scales.empty()) {
    set.count = options.ten_crop ? 10 : 1;
    return {set};
  }
  std::vector<ViewSet> sets;
  for (const int32_t scale : options.scales) {
    set.width = set.height = set.scale = scale;
    sets.push_back(set);
  }
  return sets;
}

// Enough views to keep a device busy; whole samples, and no more than there are.
int64_t suitable_batch(size_t view_size, int64_t views, int64_t images) {
  const int64_t most = view_size <= size_t{3} * 64 * 64 ? 128 : 32;
  const int64_t samples = std::max<int64_t>(1, most / views);
  return views * (images > 0 ? std::min(samples, images) : samples);
}

Status check_models(const std::vector<Model>& models) {
  if (models.empty()) {
    return Error{ErrorCode::kInvalidInput, "a predictor needs a model; none was given"};
  }
  const Model& first = models.front();
  const Model* named = nullptr;
  for (const Model& model : models) {
    const Architecture& architecture = model.architecture();
    if (architecture.classes != first.architecture().classes) {
      return Error{
          ErrorCode::kInvalidInput,
          fmt::format("an ensemble's models must have the same classes, but {} has {} and {} has "
                      "{}; leave one of them out",
                      first.architecture().name, first.architecture().classes, architecture.name,
                      architecture.classes)};
    }
    if (architecture.input_channels != 3) {
      return Error{ErrorCode::kUnsupported,
                   fmt::format("{} takes {} channels, but images have 3; run it on raw tensors",
                               architecture.name, architecture.input_channels)};
    }
    if (!has_class_names(model.labels())) continue;
    if (!named) named = &model;
    if (model.labels() != named->labels()) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("an ensemble's models must name the same classes in the same order, "
                               "but {} and {} do not; give one list of labels for both",
                               named->architecture().name, architecture.name)};
    }
  }
  return {};
}

Status check_options(const PredictorOptions& options) {
  if (options.batch < 0) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("a batch of {} images; it must be at least 1", options.batch)};
  }
  if (options.ten_crop && !options.scales.empty()) {
    return Error{ErrorCode::kInvalidInput, "ten crops and scales cannot be combined; choose one"};
  }
  for (const int32_t scale : options.scales) {
    if (scale < 1 || scale > 8192) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("a scale of {} pixels; it must be between 1 and 8192", scale)};
    }
  }
  return {};
}

}  // namespace

struct Predictor::State {
  std::vector<std::string> labels;
  int64_t classes = 0;
  int64_t batch = 0;
  std::shared_ptr<const std::vector<ViewSet>> view_sets;
  std::vector<Member> members;
  std::vector<float> input;   // [batch, 3, H, W], of the largest view set.
  std::vector<float> logits;  // [batch, classes]
};

Predictor::Predictor(std::unique_ptr<State> state) : state_(std::move(state)) {}
Predictor::Predictor(Predictor&&) noexcept = default;
Predictor& Predictor::operator=(Predictor&&) noexcept = default;
Predictor::~Predictor() = default;

Result<Predictor> Predictor::create(const Device& device, const std::vector<Model>& models,
                                    const PredictorOptions& options) {
  CALDERA_TRY(check_models(models));
  CALDERA_TRY(check_options(options));
  auto state = std::make_unique<State>();
  state->classes = models.front().architecture().classes;
  state->labels = models.front().labels();
  for (const Model& model : models) {
    if (!has_class_names(model.labels())) continue;
    state->labels = model.labels();
    break;
  }

  std::vector<ViewSet> sets;
  struct Need {
    const Model* model;
    size_t view_set;
    float weight;
  };
  std::vector<Need> needs;
  for (const Model& model : models) {
    const std::vector<ViewSet> wanted = views_of(model, options);
    const auto views =
        std::accumulate(wanted.begin(), wanted.end(), int64_t{0},
                        [](int64_t sum, const ViewSet& set) { return sum + set.count; });
    const float weight = 1.0f / static_cast<float>(views * static_cast<int64_t>(models.size()));
    for (const ViewSet& set : wanted) {
      const auto found = std::find_if(sets.begin(), sets.end(),
                                      [&](const ViewSet& s) { return s.same_views(set); });
      needs.push_back({&model, static_cast<size_t>(found - sets.begin()), weight});
      if (found != sets.end()) continue;
      sets.push_back(set);
      if (sets.size() > 1) {
        const ViewSet& before = sets[sets.size() - 2];
        sets.back().offset = before.offset + before.size();
      }
    }
  }
  size_t largest_view = 0;
  for (const ViewSet& set : sets) largest_view = std::max(largest_view, set.view_size());

  const bool choose = options.batch == 0;
  state->batch =
      choose ? suitable_batch(largest_view, sets.back().count, options.images) : options.batch;
  for (;;) {
    std::optional<Error> no_room;
    for (const Need& need : needs) {
      const ViewSet& set = sets[need.view_set];
      CALDERA_TRY_ASSIGN(const Graph graph,
                         need.model->graph(state->batch, Size2d{set.height, set.width}));
      Result<Session> session =
          Session::create(device, graph, need.model->weights(), options.session);
      if (!session.ok()) {
        const ErrorCode code = session.error().code;
        const bool smaller_may_fit =
            code == ErrorCode::kOutOfMemory || code == ErrorCode::kUnsupported;
        if (!choose || !smaller_may_fit || state->batch == 1) return std::move(session).error();
        no_room = std::move(session).error();
        break;
      }
      state->members.push_back({need.view_set, need.weight, std::move(session).value()});
    }
    if (!no_room) break;
    state->members.clear();
    state->batch /= 2;
  }

  state->input.resize(state->batch * largest_view);
  state->logits.resize(state->batch * state->classes);
  state->view_sets = std::make_shared<const std::vector<ViewSet>>(std::move(sets));
  return Predictor(std::move(state));
}

int64_t Predictor::classes() const {
  return state_->classes;
}
const std::vector<std::string>& Predictor::labels() const {
  return state_->labels;
}
int64_t Predictor::batch() const {
  return state_->batch;
}

int64_t Predictor::samples_per_run() const {
  return std::max<int64_t>(1, state_->batch / state_->view_sets->back().count);
}

size_t Predictor::sample_size() const {
  const ViewSet& last = state_->view_sets->back();
  return last.offset + last.size();
}

std::vector<float> Predictor::prepare(const Image& image) const {
  return prepare_sample(image, *state_->view_sets);
}

std::function<std::vector<float>(const Image&)> Predictor::transform() const {
  return [sets = state_->view_sets](const Image& image) { return prepare_sample(image, *sets); };
}

Status Predictor::predict(std::span<const float> samples, std::span<float> probabilities) {
  const size_t sample = sample_size();
  const size_t classes = state_->classes;
  const size_t count = samples.size() / sample;
  if (samples.size() != count * sample || probabilities.size() != count * classes) {
    return Error{
        ErrorCode::kInvalidInput,
        fmt::format("{} floats of samples and {} of probabilities; a sample has {} and its "
                    "probabilities {}",
                    samples.size(), probabilities.size(), sample, classes)};
  }
  std::fill(probabilities.begin(), probabilities.end(), 0.0f);

  const size_t batch = state_->batch;
  for (Member& member : state_->members) {
    const ViewSet& set = (*state_->view_sets)[member.view_set];
    const size_t view_size = set.view_size();
    const size_t views = count * set.count;
    const std::span<float> input = std::span(state_->input).first(batch * view_size);
    for (size_t first = 0; first < views; first += batch) {
      const size_t filled = std::min(batch, views - first);
      for (size_t i = 0; i < filled; ++i) {
        const size_t owner = (first + i) / set.count;
        const size_t view = (first + i) % set.count;
        const auto from =
            samples.subspan(owner * sample + set.offset + view * view_size, view_size);
        std::copy(from.begin(), from.end(), input.begin() + i * view_size);
      }
      std::fill(input.begin() + filled * view_size, input.end(), 0.0f);
      CALDERA_TRY(member.session.run(input, state_->logits));
      for (size_t i = 0; i < filled; ++i) {
        const size_t owner = (first + i) / set.count;
        add_softmax(std::span<const float>(state_->logits).subspan(i * classes, classes),
                    member.weight, probabilities.subspan(owner * classes, classes));
      }
    }
  }
  return {};
}

std::vector<RankedClass> top_classes(std::span<const float> probabilities, int64_t count) {
  std::vector<RankedClass> ranked(probabilities.size());
  for (size_t i = 0; i < ranked.size(); ++i) {
    ranked[i] = {static_cast<int32_t>(i), probabilities[i]};
  }
  const size_t kept = std::min(ranked.size(), static_cast<size_t>(std::max<int64_t>(count, 0)));
  // NaN ranks last, so that the order stays strict.
  const auto key = [](const RankedClass& c) {
    return std::isnan(c.probability) ? -1.0f : c.probability;
  };
  std::partial_sort(ranked.begin(), ranked.begin() + kept, ranked.end(),
                    [&](const RankedClass& a, const RankedClass& b) {
                      return key(a) != key(b) ? key(a) > key(b) : a.index < b.index;
                    });
  ranked.resize(kept);
  return ranked;
}

bool has_class_names(const std::vector<std::string>& labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] != std::to_string(i)) return true;
  }
  return false;
}

}  // namespace caldera
