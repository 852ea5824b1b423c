// Writes zip files of stored records whose data is aligned to 64 bytes, as torch.save does, so that
// a reader can map them. libzip chooses offsets on its own, hence this small writer; zip64 where
// sizes, offsets or counts need it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/result.h"

#include "models/checkpoint/atomic_file.h"

namespace caldera {

// CRC-32 of ISO 3309, as zip has it.
uint32_t crc32(std::span<const std::byte> bytes);

class ZipWriter {
 public:
  // Sizes and offsets from `zip64_from` on are written as zip64; lower than needed only in tests.
  explicit ZipWriter(AtomicFile& file, uint64_t zip64_from = 0xffffffff)
      : file_(file), zip64_from_(zip64_from) {}

  Status add(const std::string& name, std::span<const std::byte> data);
  Status add(const std::string& name, std::string_view text) {
    return add(name, std::as_bytes(std::span(text)));
  }
  // Writes the directory. Nothing may be added after.
  Status finish();

 private:
  struct Record {
    std::string name;
    uint64_t offset, size;
    uint32_t crc;
  };

  AtomicFile& file_;
  uint64_t zip64_from_;
  std::vector<Record> records_;
};

}  // namespace caldera
