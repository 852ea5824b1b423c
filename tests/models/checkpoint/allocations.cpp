// Replaces the global operator new and delete; each block remembers its size before its start.
#include "tests/models/checkpoint/allocations.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace caldera::test {
namespace {

std::atomic<ptrdiff_t> live = 0, peak_live = 0;

// Room before a block for its size, of a whole alignment.
void* allocate(size_t size, size_t alignment) {
  alignment = std::max(alignment, size_t{16});
  if (size > PTRDIFF_MAX / 2) throw std::bad_alloc();
  const size_t whole = (size + 2 * alignment - 1) / alignment * alignment;
  auto* start = static_cast<char*>(std::aligned_alloc(alignment, whole));
  if (start == nullptr) throw std::bad_alloc();
  *reinterpret_cast<size_t*>(start) = size;
  const ptrdiff_t now = live += static_cast<ptrdiff_t>(size);
  if (now > peak_live) peak_live = now;
  return start + alignment;
}

void release(void* block, size_t alignment) {
  if (block == nullptr) return;
  char* start = static_cast<char*>(block) - std::max(alignment, size_t{16});
  live -= static_cast<ptrdiff_t>(*reinterpret_cast<size_t*>(start));
  std::free(start);
}

ptrdiff_t at_start = 0;

}  // namespace

AllocationWatch::AllocationWatch() {
  at_start = live;
  peak_live = live.load();
}

size_t AllocationWatch::peak() const {
  return static_cast<size_t>(peak_live - at_start);
}

}  // namespace caldera::test

// All forms: a sanitizer's own would not know of the size before the block.
using caldera::test::allocate;
using caldera::test::release;

void* operator new(size_t size) {
  return allocate(size, 16);
}
void* operator new[](size_t size) {
  return allocate(size, 16);
}
void* operator new(size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  try {
    return allocate(size, 16);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](size_t size, const std::nothrow_t& nothrow) noexcept {
  return operator new(size, nothrow);
}
void operator delete(void* block) noexcept {
  release(block, 16);
}
void operator delete[](void* block) noexcept {
  release(block, 16);
}
void operator delete(void* block, size_t) noexcept {
  release(block, 16);
}
void operator delete[](void* block, size_t) noexcept {
  release(block, 16);
}
void operator delete(void* block, const std::nothrow_t&) noexcept {
  release(block, 16);
}
void operator delete[](void* block, const std::nothrow_t&) noexcept {
  release(block, 16);
}
void operator delete(void* block, std::align_val_t alignment) noexcept {
  release(block, static_cast<size_t>(alignment));
}
void operator delete[](void* block, std::align_val_t alignment) noexcept {
  release(block, static_cast<size_t>(alignment));
}
void operator delete(void* block, size_t, std::align_val_t alignment) noexcept {
  release(block, static_cast<size_t>(alignment));
}
void operator delete[](void* block, size_t, std::align_val_t alignment) noexcept {
  release(block, static_cast<size_t>(alignment));
}
