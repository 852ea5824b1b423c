// Runs the built program as a user does: arguments in, exit code and both outputs out.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/paths.h"

namespace caldera::test {

struct Outcome {
  int code = -1;    // Exit status; 128 + n where signal n ended it.
  std::string out;  // Standard output.
  std::string err;  // Standard error.
};

// The program under test while it runs, for tests that end it.
class Running {
 public:
  explicit Running(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment = {});
  ~Running();  // Kills it, unless wait() was called.
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  bool lives() const;
  void send(int signal_number) const;
  Outcome wait();

 private:
  ScratchDir scratch_;
  int pid_ = -1;
};

// The program under test with `arguments`; `environment` ("NAME=value") comes over the test's own.
// It starts by what on_driver.sh says, so that it sees the same driver as the test.
Outcome run_program(const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment = {});

// The same where no Vulkan driver is installed.
Outcome run_without_driver(const std::vector<std::string>& arguments);

// An outcome of 2, nothing on standard output, and one line on standard error, which is returned.
std::string expect_refused(const Outcome& outcome);

// The one JSON object on standard output; exit status 0.
nlohmann::json expect_json(const Outcome& outcome);

std::vector<std::string> keys(const nlohmann::json& object);

}  // namespace caldera::test
