// Where tests find real data, and scratch folders of their own.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "tests/support/require.h"

namespace caldera::test {

// The folder of checkpoints and images: CALDERA_DATA, else ../shared/data beside the checkout.
// Empty where there is none.
std::optional<std::filesystem::path> data_dir();

// A fresh folder, removed at the end of its scope.
class ScratchDir {
 public:
  ScratchDir();
  ~ScratchDir();
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace caldera::test

// Skips the test where the real data is not at hand.
#define CALDERA_REQUIRE_DATA(variable)                                      \
  const auto variable##_optional = ::caldera::test::data_dir();             \
  if (!variable##_optional)                                                 \
    CALDERA_SKIP_UNLESS_REQUIRED("no data: set CALDERA_DATA to its folder") \
  const std::filesystem::path variable = *variable##_optional
