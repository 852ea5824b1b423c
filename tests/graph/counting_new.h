// Counts every operator new of the program that links counting_new.cpp.
#pragma once

#include <cstdint>

namespace caldera::test {

// Since the program began, on all threads.
uint64_t allocations();

}  // namespace caldera::test
