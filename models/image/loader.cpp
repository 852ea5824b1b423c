// The loader of samples: reading, decoding and transforming one is what a Prefetcher makes.
#include <exception>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "caldera/dataset.h"

#include "models/image/prefetch.h"

namespace caldera {
namespace {

using Values = Result<std::vector<float>>;

Values make(const std::filesystem::path& path, const ImageLoader::Transform& transform) {
  try {
    CALDERA_TRY_ASSIGN(const Image image, read_image(path));
    return transform(image);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("{}: not enough memory for this image", path.string())};
  } catch (const std::exception& exception) {
    return Error{ErrorCode::kInvalidInput, fmt::format("{}: {}", path.string(), exception.what())};
  } catch (...) {
    return Error{ErrorCode::kInvalidInput, fmt::format("{}: the transform failed", path.string())};
  }
}

}  // namespace

struct ImageLoader::State {
  std::vector<std::filesystem::path> paths;
  Transform transform;
  Prefetcher<Values> made;
  size_t next = 0;

  State(std::vector<std::filesystem::path> all, Transform how, int threads, int ahead)
      : paths(std::move(all)),
        transform(std::move(how)),
        made(
            paths.size(), [this](size_t index) { return make(paths[index], transform); }, threads,
            ahead) {}
};

ImageLoader::ImageLoader(std::vector<std::filesystem::path> paths, Transform transform, int threads,
                         int ahead)
    : state_(std::make_unique<State>(std::move(paths), std::move(transform), threads, ahead)) {}

ImageLoader::~ImageLoader() = default;

bool ImageLoader::next(Item& item) {
  std::optional<Values> values = state_->made.next();
  if (!values) return false;
  item.index = state_->next++;
  item.values = *std::move(values);
  return true;
}

double ImageLoader::seconds_waited() const {
  return state_->made.seconds_waited();
}

}  // namespace caldera
