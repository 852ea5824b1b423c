// Work done on threads ahead of a reader: workers take numbers in order and put what they made into
// a ring of `ahead` places, from where the reader takes it in order. A place is free again when the
// reader has passed it, so that the workers never run further ahead, and memory stays bounded.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace caldera {

template <typename T>
class Prefetcher {
 public:
  // make(0) .. make(count - 1) run on any of the threads, and must not throw.
  using Make = std::function<T(size_t)>;

  Prefetcher(size_t count, Make make, int threads, int ahead)
      : count_(count),
        make_(std::move(make)),
        ring_(std::min(std::max<size_t>(count, 1), static_cast<size_t>(std::max(ahead, 1)))) {
    const size_t workers = std::min(ring_.size(), static_cast<size_t>(std::max(threads, 1)));
    try {
      for (size_t i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
    } catch (const std::exception&) {
      // No more threads, or no memory for them: those that run will do, and without any next()
      // works alone.
    }
  }
  ~Prefetcher() {
    stop();
    for (std::thread& worker : workers_) worker.join();
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // The next in order; waits for it. Nothing at the end or after stop().
  std::optional<T> next() {
    std::unique_lock lock(mutex_);
    if (stop_ || next_to_read_ == count_) return std::nullopt;
    std::optional<T>& place = ring_[next_to_read_ % ring_.size()];
    if (!place) {
      const auto start = std::chrono::steady_clock::now();
      if (workers_.empty()) {
        place = make_(next_to_read_);
      } else {
        ready_.wait(lock, [&] { return stop_ || place.has_value(); });
      }
      waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    if (!place) return std::nullopt;
    std::optional<T> taken = std::move(place);
    place.reset();
    ++next_to_read_;
    lock.unlock();
    room_.notify_one();
    return taken;
  }

  // Whether next() would not wait.
  bool ready() const {
    const std::lock_guard lock(mutex_);
    return stop_ || next_to_read_ == count_ || ring_[next_to_read_ % ring_.size()].has_value();
  }

  // Ends a next() that waits, from another thread, and all later ones.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    room_.notify_all();
    ready_.notify_all();
  }

  // Seconds that next() has waited so far.
  double seconds_waited() const {
    const std::lock_guard lock(mutex_);
    return waited_;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      room_.wait(lock, [&] {
        return stop_ || next_to_make_ == count_ || next_to_make_ < next_to_read_ + ring_.size();
      });
      if (stop_ || next_to_make_ == count_) return;
      const size_t index = next_to_make_++;
      lock.unlock();
      T made = make_(index);
      lock.lock();
      ring_[index % ring_.size()] = std::move(made);
      if (index == next_to_read_) ready_.notify_one();
    }
  }

  const size_t count_;
  const Make make_;

  mutable std::mutex mutex_;
  std::condition_variable room_;   // For workers: the reader moved on, or the end has come.
  std::condition_variable ready_;  // For the reader: its next one is there, or the end has come.
  std::vector<std::optional<T>> ring_;
  size_t next_to_make_ = 0;
  size_t next_to_read_ = 0;
  bool stop_ = false;
  double waited_ = 0;

  std::vector<std::thread> workers_;
};

}  // namespace caldera
