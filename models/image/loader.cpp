// Worker threads take samples by index and put what they made into a ring of `ahead` places, from
// where the reader takes it in order. A place is free again when the reader has passed it, so that
// the workers never run further ahead, and memory stays bounded.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "caldera/dataset.h"

namespace caldera {

using Values = Result<std::vector<float>>;

struct ImageLoader::State {
  std::vector<std::filesystem::path> paths;
  Transform transform;

  std::mutex mutex;
  std::condition_variable room;   // For workers: the reader moved on, or the end has come.
  std::condition_variable ready;  // For the reader: its next sample is there.
  std::vector<std::optional<Values>> ring;
  size_t next_to_make = 0;
  size_t next_to_read = 0;
  bool stop = false;
  double waited = 0;

  std::vector<std::thread> workers;

  Values make(size_t index) const;
  void work();
};

Values ImageLoader::State::make(size_t index) const {
  const std::filesystem::path& path = paths[index];
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

void ImageLoader::State::work() {
  std::unique_lock lock(mutex);
  for (;;) {
    room.wait(lock, [&] {
      return stop || next_to_make == paths.size() || next_to_make < next_to_read + ring.size();
    });
    if (stop || next_to_make == paths.size()) return;
    const size_t index = next_to_make++;
    lock.unlock();
    Values values = make(index);
    lock.lock();
    ring[index % ring.size()] = std::move(values);
    if (index == next_to_read) ready.notify_one();
  }
}

ImageLoader::ImageLoader(std::vector<std::filesystem::path> paths, Transform transform, int threads,
                         int ahead)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.paths = std::move(paths);
  state.transform = std::move(transform);
  const size_t count = std::max<size_t>(state.paths.size(), 1);
  state.ring.resize(std::min(count, static_cast<size_t>(std::max(ahead, 1))));
  const size_t workers = std::min(state.ring.size(), static_cast<size_t>(std::max(threads, 1)));
  try {
    for (size_t i = 0; i < workers; ++i) state.workers.emplace_back([&state] { state.work(); });
  } catch (const std::exception&) {
    // No more threads, or no memory for them: those that run will do, and without any next()
    // works alone.
  }
}

ImageLoader::~ImageLoader() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->room.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

bool ImageLoader::next(Item& item) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  const size_t index = state.next_to_read;
  if (index == state.paths.size()) return false;
  std::optional<Values>& place = state.ring[index % state.ring.size()];
  if (!place) {
    const auto start = std::chrono::steady_clock::now();
    if (state.workers.empty()) {
      place = state.make(index);
    } else {
      state.ready.wait(lock, [&] { return place.has_value(); });
    }
    state.waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  item.index = index;
  item.values = *std::move(place);
  place.reset();
  ++state.next_to_read;
  lock.unlock();
  state.room.notify_one();
  return true;
}

double ImageLoader::seconds_waited() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waited;
}

}  // namespace caldera
