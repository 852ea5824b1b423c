// From a file's bytes to RGB. The file is untrusted: its structure is checked (formats.h), its
// size is compared with the limit and with the number of bytes that are there, and only then is
// it decoded. EXIF orientation is not applied, as Pillow's open().convert("RGB") does not.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <new>
#include <system_error>

#include <fmt/format.h>

#include "caldera/image.h"

#include "models/image/formats.h"
#include "models/image/stb.h"

namespace caldera {
namespace {

using image_format::Format;

constexpr int64_t kMaxPixels = int64_t{1} << 28;
constexpr size_t kMaxFileBytes = size_t{1} << 30;

Error invalid(std::string_view name, const std::string& what) {
  return {ErrorCode::kInvalidInput, fmt::format("{}: {}", name, what)};
}

Error out_of_memory(std::string_view name) {
  return {ErrorCode::kOutOfMemory,
          fmt::format("{}: not enough memory to decode this image; make it smaller", name)};
}

// stb_image takes four components without an Adobe segment for YCCK; libjpeg, which writes such
// files, means CMYK. A segment that says so is put behind the start marker.
std::vector<uint8_t> with_adobe_cmyk(std::span<const uint8_t> bytes) {
  constexpr std::array<uint8_t, 16> kSegment{0xff, 0xee, 0,   14, 'A', 'd', 'o', 'b',
                                             'e',  0,    100, 0,  0,   0,   0,   0};
  constexpr ptrdiff_t kStart = 2;
  std::vector<uint8_t> out;
  out.reserve(bytes.size() + kSegment.size());
  out.insert(out.end(), bytes.begin(), bytes.begin() + kStart);
  out.insert(out.end(), kSegment.begin(), kSegment.end());
  out.insert(out.end(), bytes.begin() + kStart, bytes.end());
  return out;
}

// Single allocations of the decoder: two bytes a coefficient or four channels of two, of an image
// padded to whole blocks; and PNG's inflated data, whose buffer grows by doubling.
size_t allocation_limit(int64_t width, int64_t height, size_t file_bytes) {
  return 16 * static_cast<size_t>((width + 32) * (height + 32)) + 2 * file_bytes +
         (size_t{1} << 20);
}

Result<Image> decode(std::span<const uint8_t> bytes, std::string_view name) {
  const Format format = image_format::detect(bytes);
  const std::string kind = image_format::describe(bytes);
  if (format == Format::kUnknown) {
    return invalid(name, fmt::format("this is {}; a JPEG, PNG or BMP file is wanted", kind));
  }
  if (bytes.size() > kMaxFileBytes) return invalid(name, "the file is over 1 GiB");
  const auto [problem, width, height, plain_cmyk] = image_format::check(bytes, format);
  if (!problem.empty()) {
    return invalid(name, fmt::format("damaged {} ({}); get a whole copy of it", kind, problem));
  }
  // 32-bit sizes: the first comparison keeps the product within 64 bits.
  if (width > kMaxPixels || width * height > kMaxPixels) {
    return invalid(name, fmt::format("{} x {} pixels are over the limit of 2^28; make it smaller",
                                     width, height));
  }
  const int64_t pixels = width * height;
  if (pixels / image_format::max_pixels_per_byte(format) > static_cast<int64_t>(bytes.size())) {
    return invalid(name,
                   fmt::format("damaged {} ({} bytes cannot hold {} x {} pixels); get a whole copy "
                               "of it",
                               kind, bytes.size(), width, height));
  }

  std::vector<uint8_t> amended;
  if (plain_cmyk) bytes = amended = with_adobe_cmyk(bytes);
  const stb::Pixels decoded = stb::decode(bytes, allocation_limit(width, height, bytes.size()));
  if (!decoded.rgb) {
    if (stb::out_of_memory()) return out_of_memory(name);
    return invalid(
        name, fmt::format("damaged or unusual {} ({}); save it anew as an 8-bit JPEG or PNG", kind,
                          stb::failure()));
  }
  if (decoded.width != width || decoded.height != height) {
    return invalid(name,
                   fmt::format("damaged {} (it has two sizes); get a whole copy of it", kind));
  }
  const uint8_t* rgb = decoded.rgb.get();
  return Image{decoded.width, decoded.height, std::vector<uint8_t>(rgb, rgb + 3 * pixels)};
}

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// A plain read to the end, so that pipes work too.
Result<std::vector<uint8_t>> read_file(const std::filesystem::path& path) {
  const auto failed = [&](const char* what, int error) {
    return Error{ErrorCode::kIo, fmt::format("{}: cannot {}: {}", path.string(), what,
                                             std::generic_category().message(error))};
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.string().c_str(), "rb"));
  if (!file) return failed("open", errno);
  std::error_code ignored;
  const auto expected = std::filesystem::file_size(path, ignored);
  std::vector<uint8_t> bytes;
  size_t used = 0;
  // One byte more than expected, so that a file as long as it says is read in one go.
  bytes.resize(ignored ? 0 : std::min<size_t>(expected + 1, kMaxFileBytes + 1));
  for (;;) {
    if (used == bytes.size())
      bytes.resize(std::min(2 * used + (size_t{1} << 16), kMaxFileBytes + 1));
    const size_t got = std::fread(bytes.data() + used, 1, bytes.size() - used, file.get());
    used += got;
    if (used < bytes.size() && std::ferror(file.get())) return failed("read", errno);
    if (used > kMaxFileBytes) return invalid(path.string(), "the file is over 1 GiB");
    if (used < bytes.size()) break;
  }
  bytes.resize(used);
  return bytes;
}

}  // namespace

Result<Image> decode_image(std::span<const uint8_t> file_bytes, std::string_view name) {
  try {
    return decode(file_bytes, name);
  } catch (const std::bad_alloc&) {
    return out_of_memory(name);
  }
}

Result<Image> read_image(const std::filesystem::path& path) {
  try {
    CALDERA_TRY_ASSIGN(const std::vector<uint8_t> bytes, read_file(path));
    return decode(bytes, path.string());
  } catch (const std::bad_alloc&) {
    return out_of_memory(path.string());
  }
}

}  // namespace caldera
