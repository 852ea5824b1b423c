// Gathers the views of all samples by their size, runs each model on them in batches, and averages
// the softmax of the logits. Sessions are made for the sizes foreseen when the predictor is made,
// and for others as images bring them; the least lately used make room.
#include "caldera/predictor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "models/views.h"

namespace caldera {

namespace {

// Of one model: images of many shapes bring many sizes, and each session holds the weights.
constexpr size_t kMostSessions = 6;

// Of each session: the host fills one batch, and reads another's logits, while the device works.
constexpr int kFrames = 2;

struct SizedSession {
  Size2d size;
  int64_t batch = 0;
  uint64_t last_used = 0;
  Session session;
};

// One model's way of looking at one set of views.
struct Member {
  Model model;
  size_t view_set = 0;
  float weight = 1;  // Of one view's probabilities in the mean.
  std::vector<SizedSession> sessions;
};

// A batch that the device has been given: views from `first` on, `filled` of them.
struct UnderWay {
  SizedSession* sized = nullptr;
  size_t first = 0;
  size_t filled = 0;
};

// Adds weight * softmax(logits).
void add_softmax(std::span<const float> logits, float weight, std::span<float> sum) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(double{logit} - highest);
  for (size_t i = 0; i < logits.size(); ++i) {
    sum[i] += static_cast<float>(weight * std::exp(double{logits[i]} - highest) / total);
  }
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

// Whether a smaller batch might succeed.
bool lacks_room(const Error& error) {
  return error.code == ErrorCode::kOutOfMemory || error.code == ErrorCode::kUnsupported;
}

// How many samples' views a batch is filled with, and what they weigh together.
int64_t views_a_sample(const std::vector<ViewSet>& sets) {
  return std::accumulate(sets.begin(), sets.end(), int64_t{0},
                         [](int64_t sum, const ViewSet& set) { return sum + set.count; });
}

}  // namespace

struct Predictor::State {
  Device device;
  PredictorOptions options;
  std::vector<std::string> labels;
  int64_t classes = 0;
  int64_t batch = 0;
  uint64_t uses = 0;
  std::shared_ptr<const std::vector<ViewSet>> view_sets;
  std::vector<Member> members;
  std::vector<float> input;   // [batch, 3, H, W], as large as any batch was.
  std::vector<float> logits;  // [batch, classes]
  std::optional<UnderWay> under_way;

  Status add_members(const std::vector<Model>& models);
  Status make_first_sessions(const std::vector<ViewSet>& sets);
  Result<SizedSession*> session(Member& member, Size2d size, int64_t batch_size);
  Status run(Member& member, Size2d size, std::span<const View* const> views,
             std::span<float* const> sums);
  Status finish(UnderWay batch, float weight, std::span<float* const> sums);
  void abandon();
};

Predictor::Predictor(std::unique_ptr<State> state) : state_(std::move(state)) {}
Predictor::Predictor(Predictor&&) noexcept = default;
Predictor& Predictor::operator=(Predictor&&) noexcept = default;
Predictor::~Predictor() = default;

// One member a model and set; models that want the same set share it.
Status Predictor::State::add_members(const std::vector<Model>& models) {
  std::vector<ViewSet> sets;
  for (const Model& model : models) {
    const std::vector<ViewSet> wanted = views_of(model, options);
    const auto shares =
        static_cast<float>(views_a_sample(wanted)) * static_cast<float>(models.size());
    for (const ViewSet& set : wanted) {
      const auto found = std::find(sets.begin(), sets.end(), set);
      members.push_back({model, static_cast<size_t>(found - sets.begin()), 1.0f / shares, {}});
      if (found == sets.end()) sets.push_back(set);
    }
  }
  view_sets = std::make_shared<const std::vector<ViewSet>>(std::move(sets));
  return make_first_sessions(*view_sets);
}

// So that what cannot run is told at once. A batch that was not asked for is halved until it fits.
Status Predictor::State::make_first_sessions(const std::vector<ViewSet>& sets) {
  const bool choose = options.batch == 0;
  size_t largest_view = 0;
  for (const ViewSet& set : sets) {
    largest_view = std::max(largest_view, size_t{3} * set.size.h * set.size.w);
  }
  batch = choose ? suitable_batch(largest_view, sets.front().count, options.images) : options.batch;
  for (;;) {
    std::optional<Error> failure;
    for (Member& member : members) {
      const auto made = session(member, sets[member.view_set].size, batch);
      if (!made.ok()) failure = made.error();
      if (failure) break;
    }
    if (!failure) return {};
    if (!choose || batch == 1 || !lacks_room(*failure)) return *std::move(failure);
    for (Member& member : members) member.sessions.clear();
    batch /= 2;
  }
}

Result<Predictor> Predictor::create(const Device& device, const std::vector<Model>& models,
                                    const PredictorOptions& options) {
  return detail::no_throw<Result<Predictor>>("the predictor", [&]() -> Result<Predictor> {
    CALDERA_TRY(check_models(models));
    CALDERA_TRY(check_options(options));
    std::unique_ptr<State> state(new State{.device = device, .options = options});
    state->options.session.frames_in_flight = kFrames;
    state->classes = models.front().architecture().classes;
    state->labels = models.front().labels();
    for (const Model& model : models) {
      if (!has_class_names(model.labels())) continue;
      state->labels = model.labels();
      break;
    }
    CALDERA_TRY(state->add_members(models));
    return Predictor(std::move(state));
  });
}

// A session that takes at least one view of that size, and `batch_size` of them where there is
// room.
Result<SizedSession*> Predictor::State::session(Member& member, Size2d size, int64_t batch_size) {
  std::vector<SizedSession>& sessions = member.sessions;
  const auto found = std::find_if(sessions.begin(), sessions.end(), [&](const SizedSession& made) {
    return made.size == size && made.batch == batch_size;
  });
  if (found != sessions.end()) {
    found->last_used = ++uses;
    return &*found;
  }
  if (sessions.size() == kMostSessions) {
    sessions.erase(
        std::min_element(sessions.begin(), sessions.end(),
                         [](const auto& a, const auto& b) { return a.last_used < b.last_used; }));
  }
  CALDERA_TRY_ASSIGN(const Graph graph, member.model.graph(batch_size, size));
  CALDERA_TRY_ASSIGN(Session made,
                     Session::create(device, graph, member.model.weights(), options.session));
  sessions.push_back({size, batch_size, ++uses, std::move(made)});
  return &sessions.back();
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

Precision Predictor::precision() const {
  return state_->members.front().sessions.front().session.precision();
}

int64_t Predictor::samples_per_run() const {
  return std::max<int64_t>(1, state_->batch / state_->view_sets->front().count);
}

std::vector<float> Predictor::prepare(const Image& image) const {
  return prepare_sample(image, *state_->view_sets);
}

std::function<std::vector<float>(const Image&)> Predictor::transform() const {
  return [sets = state_->view_sets](const Image& image) { return prepare_sample(image, *sets); };
}

// Waits for a batch; adds the weighted softmax of each of its views to that view's sum.
Status Predictor::State::finish(UnderWay done, float weight, std::span<float* const> sums) {
  logits.resize(std::max<size_t>(logits.size(), done.sized->batch * classes));
  const std::span<float> batch_logits = std::span(logits).first(done.sized->batch * classes);
  CALDERA_TRY(done.sized->session.wait(std::span(&batch_logits, 1)));
  for (size_t i = 0; i < done.filled; ++i) {
    add_softmax(batch_logits.subspan(i * classes, classes), weight,
                std::span(sums[done.first + i], classes));
  }
  return {};
}

// After a call that failed half-way: its last batch is nobody's.
void Predictor::State::abandon() {
  if (!under_way) return;
  const UnderWay last = *std::exchange(under_way, std::nullopt);
  const std::span<float> unread = std::span(logits).first(last.sized->batch * classes);
  (void)last.sized->session.wait(std::span(&unread, 1));
}

// Runs views of one size, each batch filled while the one before it is under way.
Status Predictor::State::run(Member& member, Size2d size, std::span<const View* const> views,
                             std::span<float* const> sums) {
  const size_t floats = size_t{3} * size.h * size.w;
  const bool foreseen = size == (*view_sets)[member.view_set].size;
  for (size_t first = 0; first < views.size();) {
    // Sizes that were not foreseen come a few at a time: for them, the least power of two.
    const size_t left = views.size() - first;
    int64_t wanted = foreseen ? batch : std::min<int64_t>(batch, std::bit_ceil(left));
    // Another session may take the place of this one.
    if (under_way && under_way->sized->batch != wanted) {
      CALDERA_TRY(finish(*std::exchange(under_way, std::nullopt), member.weight, sums));
    }
    Result<SizedSession*> sized = session(member, size, wanted);
    while (!sized.ok() && wanted > 1 && lacks_room(sized.error())) {
      sized = session(member, size, wanted /= 2);
    }
    if (!sized.ok()) return std::move(sized).error();

    input.resize(std::max(input.size(), wanted * floats));
    logits.resize(std::max<size_t>(logits.size(), wanted * classes));
    const std::span<float> filling = std::span(input).first(wanted * floats);
    const size_t filled = std::min<size_t>(wanted, left);
    for (size_t i = 0; i < filled; ++i) {
      std::copy(views[first + i]->values.begin(), views[first + i]->values.end(),
                filling.begin() + i * floats);
    }
    std::fill(filling.begin() + filled * floats, filling.end(), 0.0f);
    const std::span<const float> batch_input = filling;
    CALDERA_TRY((*sized)->session.submit(std::span(&batch_input, 1)));
    const auto before = std::exchange(under_way, UnderWay{*sized, first, filled});
    if (before) CALDERA_TRY(finish(*before, member.weight, sums));
    first += filled;
  }
  if (!under_way) return {};
  return finish(*std::exchange(under_way, std::nullopt), member.weight, sums);
}

Status Predictor::predict(std::span<const std::vector<float>> samples,
                          std::span<float> probabilities) {
  return detail::no_throw<Status>("the prediction", [&]() -> Status {
    state_->abandon();
    const size_t classes = state_->classes;
    if (probabilities.size() != samples.size() * classes) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("{} samples have {} probabilities in all, but there is room for {}",
                               samples.size(), samples.size() * classes, probabilities.size())};
    }
    std::fill(probabilities.begin(), probabilities.end(), 0.0f);

    // All views, those of one set and size together, in the order of the samples.
    struct Owned {
      View view;
      float* sum;  // Where its sample's probabilities gather.
    };
    std::vector<Owned> all;
    for (size_t i = 0; i < samples.size(); ++i) {
      CALDERA_TRY_ASSIGN(const std::vector<View> views, views_in(samples[i], *state_->view_sets));
      for (const View& view : views) all.push_back({view, probabilities.data() + i * classes});
    }
    const auto key = [](const Owned& owned) {
      return std::tuple(owned.view.set, owned.view.size.h, owned.view.size.w);
    };
    std::stable_sort(all.begin(), all.end(),
                     [&](const Owned& a, const Owned& b) { return key(a) < key(b); });

    std::vector<const View*> views;
    std::vector<float*> sums;
    for (size_t first = 0; first < all.size();) {
      views.clear();
      sums.clear();
      size_t end = first;
      for (; end < all.size() && key(all[end]) == key(all[first]); ++end) {
        views.push_back(&all[end].view);
        sums.push_back(all[end].sum);
      }
      for (Member& member : state_->members) {
        if (member.view_set != all[first].view.set) continue;
        CALDERA_TRY(state_->run(member, all[first].view.size, views, sums));
      }
      first = end;
    }
    return {};
  });
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
