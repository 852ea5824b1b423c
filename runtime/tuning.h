// What was measured of kernels on one device: which one is fastest for a problem, and which are
// wrong; both are names to this layer. Kept on disk by device, driver, Caldera's version and its
// shaders; what the host alone decides of a kernel has no part in that.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "caldera/result.h"

namespace caldera {

class Tuning {
 public:
  struct Choice {
    std::string kernel;
    double seconds = 0;
  };

  // Nothing, where there is no such file, or one of another version, or a damaged one.
  static Tuning read(const std::filesystem::path& path);
  Status write(const std::filesystem::path& path) const;

  // The fastest kernel for a problem; empty where none was measured.
  std::string_view choice(const std::string& problem) const;
  // Whether a kernel gave wrong results for a problem.
  bool refused(const std::string& problem, std::string_view kernel) const;

  void choose(const std::string& problem, Choice choice);
  void refuse(const std::string& problem, std::string kernel);
  // Takes the other's choices and refusals over these.
  void merge(const Tuning& other);

 private:
  std::map<std::string, Choice> choices_;                 // By problem.
  std::map<std::string, std::set<std::string>> refused_;  // Kernels by problem.
};

// What is known of one open device: what was measured through it, and what the file holds, which
// other processes write too. Thread-safe.
class TuningStore {
 public:
  // `file`: empty where nothing is kept beyond the process.
  explicit TuningStore(std::filesystem::path file) : file_(std::move(file)) {}

  Tuning read() const;
  // What was found counts at once, and is written over what the file holds by then. A failure says
  // that it will not outlast the process.
  Status add(const Tuning& found);

 private:
  std::filesystem::path file_;
  mutable std::mutex mutex_;
  Tuning measured_;
};

}  // namespace caldera
