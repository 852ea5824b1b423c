// Images and cases that the Python scripts of this folder write, read back for comparison.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "caldera/image.h"

#include "tests/support/require.h"

namespace caldera::test {

// Whether a Python with PyTorch and torchvision was found when this was built.
bool have_python();
// Runs a script of this folder; false where it fails (its errors go to standard error).
bool run_script(const std::string& name, const std::vector<std::string>& arguments);

std::vector<uint8_t> read_bytes(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, const std::vector<uint8_t>& bytes);
std::vector<float> read_floats(const std::filesystem::path& path);
Image read_ppm(const std::filesystem::path& path);
// The lines of cases.txt in `folder`.
std::vector<std::string> read_cases(const std::filesystem::path& folder);

struct Difference {
  double mean = 0;
  int most = 0;
};
// Precondition: equal sizes.
Difference difference(const Image& a, const Image& b);
bool same_size(const Image& a, const Image& b);

// An image whose every pixel is different enough to tell a shift by one.
Image make_image(int32_t width, int32_t height);
// An uncompressed PNG of it: a valid file made without any library.
std::vector<uint8_t> encode_png(const Image& image);
// A PNG that claims this size and holds no row.
std::vector<uint8_t> encode_png_header(int32_t width, int32_t height);

}  // namespace caldera::test

// Skips the test where there is no Python with PyTorch and torchvision.
#define CALDERA_REQUIRE_PYTHON()       \
  if (!::caldera::test::have_python()) \
  CALDERA_SKIP_UNLESS_REQUIRED("built without Python and torchvision")
