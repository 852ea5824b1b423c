// Replaces operator new and delete. In a file of its own, so that no compiler sees a delete of
// here meet a new of elsewhere.
#include "tests/graph/counting_new.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::atomic<uint64_t> count = 0;

void* counted(size_t size, size_t alignment) {
  ++count;
  // aligned_alloc wants a multiple of the alignment.
  const size_t rounded = (size + alignment - 1) / alignment * alignment;
  if (void* memory = std::aligned_alloc(alignment, rounded ? rounded : alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// The array and nothrow forms call these.
void* operator new(size_t size) {
  return counted(size, alignof(std::max_align_t));
}
void* operator new(size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace caldera::test {

uint64_t allocations() {
  return count;
}

}  // namespace caldera::test
