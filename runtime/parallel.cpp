// A parallel loop over independent bodies. Each body computes what it would alone, so the number
// of threads changes no bit of the result.
#include "runtime/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace caldera {

void parallel_for(int64_t count, const std::function<void(int64_t)>& body) {
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr thrown;  // The first, which ends the loop.
  const auto work = [&] {
    try {
      for (int64_t i = next++; i < count; i = next++) body(i);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!thrown) thrown = std::current_exception();
    }
  };
  const int64_t threads = std::min<int64_t>(count, std::thread::hardware_concurrency());
  {
    std::vector<std::jthread> helpers;  // Joined when they go out of scope.
    for (int64_t t = 1; t < threads; ++t) {
      try {
        helpers.emplace_back(work);
      } catch (const std::system_error&) {
        break;  // No more threads to be had: those there are do the work.
      }
    }
    work();
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace caldera
