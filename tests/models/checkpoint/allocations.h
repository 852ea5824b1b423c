// How much memory a piece of code has at its peak, by operator new of this test program.
#pragma once

#include <cstddef>

namespace caldera::test {

// What reading may take: for streams and messages, and by each byte of the file. A pickle's opcode
// of one byte makes a value of some tens of bytes.
constexpr size_t kFixedAllowance = 1 << 20;
constexpr size_t kAllowancePerByte = 128;

// Peak of the bytes allocated since it was made, less those freed. One at a time, one thread.
class AllocationWatch {
 public:
  AllocationWatch();
  size_t peak() const;
};

}  // namespace caldera::test
