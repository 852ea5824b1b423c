// Scalars by step as TensorBoard reads them: an event file is a row of TFRecords, each a length, a
// protocol buffer and checksums of both. Six fields are written, so they are written by hand.
// TensorBoard reads on while the file grows, and leaves out a last record that is torn.
// Source: tensorflow/core/util/event.proto, framework/summary.proto, lib/io/record_writer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "caldera/result.h"

namespace caldera::tool {

class EventFile {
 public:
  struct Scalar {
    std::string tag;  // "loss/training": what stands before the slash groups charts.
    double value = 0;
  };

  // Begins a file in `folder`, and removes one that an earlier EventFile left there.
  Status create(const std::filesystem::path& folder);
  void add(int64_t step, const std::vector<Scalar>& scalars);
  // Writes what was added.
  Status flush();

 private:
  void record(const std::string& event);

  std::filesystem::path path_;
  std::ofstream file_;
  std::string pending_;
};

}  // namespace caldera::tool
