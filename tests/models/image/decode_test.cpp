// Decoding: every kind of file against Pillow's pixels, and files that are damaged on purpose. A
// damaged file gives one line that names it, or an image of the size it claims; never a crash.
#include <algorithm>
#include <random>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/image.h"

#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Bytes = std::vector<uint8_t>;

void expect_one_line(const Error& error, const std::string& name) {
  EXPECT_THAT(error.message, StartsWith(name + ": "));
  EXPECT_THAT(error.message, Not(HasSubstr("\n")));
}

std::string failure_of(const Bytes& bytes) {
  const auto image = decode_image(bytes, "some.file");
  if (image.ok()) return "no failure";
  expect_one_line(image.error(), "some.file");
  return image.error().message;
}

void put_little(Bytes& bytes, size_t at, int64_t value, int count) {
  for (int i = 0; i < count; ++i, value >>= 8) bytes[at + i] = static_cast<uint8_t>(value & 0xff);
}

// A 24-bit BMP of one colour.
Bytes make_bmp(int32_t width, int32_t height, size_t rows) {
  const size_t stride = (size_t{3} * static_cast<size_t>(width) + 3) / 4 * 4;
  Bytes bytes(54 + stride * rows, 77);
  std::fill_n(bytes.begin(), 54, uint8_t{0});
  bytes[0] = 'B';
  bytes[1] = 'M';
  put_little(bytes, 10, 54, 4);
  put_little(bytes, 14, 40, 4);
  put_little(bytes, 18, width, 4);
  put_little(bytes, 22, height, 4);
  put_little(bytes, 26, 1, 2);
  put_little(bytes, 28, 24, 2);
  return bytes;
}

// One of each kind, for the damage tests. Without Python, what can be made here.
using Samples = std::vector<std::pair<std::string, Bytes>>;
const Samples& samples() {
  static const Samples all = [] {
    Samples out{{"made.png", test::encode_png(test::make_image(19, 11))},
                {"made.bmp", make_bmp(9, 7, 7)}};
    const test::ScratchDir scratch;
    if (!test::have_python() ||
        !test::run_script("make_reference.py", {"formats", scratch.path()})) {
      return out;
    }
    for (const char* name :
         {"png-P.png", "png-LA.png", "png-2-16-interlaced.png", "bmp-P.bmp", "bmp-RGBA.bmp",
          "jpeg-rgb-2.jpg", "jpeg-rgb-0-progressive.jpg", "jpeg-cmyk-plain.jpg", "jpeg-grey.jpg"}) {
      out.emplace_back(name, test::read_bytes(scratch / name));
    }
    return out;
  }();
  return all;
}

TEST(Decode, EqualsPillowOnEveryKindOfFile) {
  CALDERA_REQUIRE_PYTHON()
  const test::ScratchDir scratch;
  ASSERT_TRUE(test::run_script("make_reference.py", {"formats", scratch.path()}));
  const std::vector<std::string> cases = test::read_cases(scratch.path());
  ASSERT_GT(cases.size(), 40u);
  for (const std::string& line : cases) {
    SCOPED_TRACE(line);
    std::istringstream fields(line);
    std::string name;
    double mean = 0;
    int most = 0;
    fields >> name >> mean >> most;
    const auto image = read_image(scratch / name);
    ASSERT_TRUE(image.ok()) << image.error().message;
    const Image wanted = test::read_ppm(scratch / (name + ".ppm"));
    ASSERT_TRUE(test::same_size(*image, wanted));
    const test::Difference apart = test::difference(*image, wanted);
    EXPECT_LE(apart.mean, mean);
    EXPECT_LE(apart.most, most);
  }
}

TEST(Decode, ReadsAPngExactly) {
  const Image image = test::make_image(37, 23);
  const auto read = decode_image(test::encode_png(image), "made.png");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->pixels, image.pixels);
}

TEST(Decode, SaysWhatAnotherFileIs) {
  EXPECT_THAT(failure_of({}), HasSubstr("an empty file"));
  EXPECT_THAT(failure_of({'G', 'I', 'F', '8', '9', 'a'}), HasSubstr("a GIF image"));
  EXPECT_THAT(failure_of({'R', 'I', 'F', 'F', 0, 0, 0, 0, 'W', 'E', 'B', 'P'}),
              HasSubstr("a WebP image"));
  EXPECT_THAT(failure_of(Bytes(100, 0)), HasSubstr("not an image"));
}

TEST(Decode, NamesAFileThatIsNotThere) {
  const auto image = read_image("/nowhere/cat.jpg");
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.error().code, ErrorCode::kIo);
  expect_one_line(image.error(), "/nowhere/cat.jpg");
  EXPECT_THAT(image.error().message, HasSubstr("No such file"));
}

TEST(Decode, NamesAFolder) {
  const test::ScratchDir scratch;
  const auto image = read_image(scratch.path());
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.error().code, ErrorCode::kIo);
  expect_one_line(image.error(), scratch.path().string());
}

// The pixels of every kind end with the file, so that a shorter one must be refused.
TEST(Decode, RefusesAFileTruncatedAnywhere) {
  for (const auto& [name, bytes] : samples()) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(decode_image(bytes, name).ok());
    // A BMP's last row may lack its padding.
    const size_t whole = bytes.size() - (name.ends_with(".bmp") ? 3 : 0);
    const size_t step = std::max<size_t>(1, bytes.size() / 500);
    for (size_t length = 0; length < whole; length += step) {
      const auto image = decode_image(std::span(bytes).first(length), name);
      ASSERT_FALSE(image.ok()) << length << " of " << bytes.size() << " bytes";
      expect_one_line(image.error(), name);
    }
  }
}

TEST(Decode, SurvivesFlippedBits) {
  std::mt19937 random(7);
  for (const auto& [name, bytes] : samples()) {
    SCOPED_TRACE(name);
    for (int round = 0; round < 400; ++round) {
      Bytes damaged = bytes;
      // Half of the flips in the header, where they do the most.
      const size_t range = round % 2 ? bytes.size() : std::min<size_t>(bytes.size(), 700);
      for (int flip = 0; flip <= round % 4; ++flip) {
        damaged[random() % range] ^= static_cast<uint8_t>(1u << random() % 8);
      }
      const auto image = decode_image(damaged, name);
      if (image.ok()) {
        EXPECT_EQ(image->pixels.size(), size_t{3} * image->width * image->height);
      } else {
        expect_one_line(image.error(), name);
      }
    }
  }
}

TEST(Decode, SurvivesSpansOfOneValue) {
  std::mt19937 random(8);
  for (const auto& [name, bytes] : samples()) {
    SCOPED_TRACE(name);
    for (int round = 0; round < 200; ++round) {
      Bytes damaged = bytes;
      const size_t start = random() % bytes.size();
      const size_t length = std::min<size_t>(random() % 64, bytes.size() - start);
      std::fill_n(damaged.begin() + static_cast<ptrdiff_t>(start), length,
                  static_cast<uint8_t>(round % 2 ? 0xff : 0));
      const auto image = decode_image(damaged, name);
      if (!image.ok()) expect_one_line(image.error(), name);
    }
  }
}

TEST(Decode, IsTheSameEveryTimeOnADamagedFile) {
  for (const auto& [name, bytes] : samples()) {
    Bytes damaged = bytes;
    std::fill_n(damaged.begin() + static_cast<ptrdiff_t>(bytes.size() * 3 / 4), 8, uint8_t{0x5a});
    const auto first = decode_image(damaged, name);
    const auto second = decode_image(damaged, name);
    ASSERT_EQ(first.ok(), second.ok()) << name;
    if (first.ok()) {
      EXPECT_EQ(first->pixels, second->pixels) << name;
    }
  }
}

TEST(DecodePng, RefusesAWrongChecksum) {
  Bytes bytes = test::encode_png(test::make_image(8, 8));
  bytes[60] ^= 1;  // Within IDAT.
  EXPECT_THAT(failure_of(bytes), HasSubstr("checksum"));
}

TEST(DecodePng, RefusesASizeThatTheFileCannotHold) {
  const Bytes bytes = test::encode_png_header(16000, 16000);
  EXPECT_THAT(failure_of(bytes), HasSubstr("cannot hold 16000 x 16000"));
}

TEST(DecodePng, RefusesMorePixelsThanTheLimit) {
  EXPECT_THAT(failure_of(test::encode_png_header(1 << 15, 1 << 14)), HasSubstr("limit of 2^28"));
  EXPECT_NE(failure_of(test::encode_png_header(INT32_MAX, INT32_MAX)), "no failure");
  EXPECT_NE(failure_of(test::encode_png_header(0, 5)), "no failure");
}

TEST(DecodeBmp, RefusesHugeDimensions) {
  EXPECT_THAT(failure_of(make_bmp(30000, 30000, 2)), HasSubstr("truncated"));
  EXPECT_THAT(failure_of(make_bmp(9, INT32_MIN, 2)), HasSubstr("truncated"));
  EXPECT_THAT(failure_of(make_bmp(INT32_MAX, INT32_MAX, 0)), HasSubstr("truncated"));
  EXPECT_THAT(failure_of(make_bmp(0, 9, 2)), HasSubstr("not positive"));
}

TEST(DecodeBmp, ReadsOneThatIsStoredFromTheTop) {
  const auto image = decode_image(make_bmp(5, -3, 3), "top.bmp");
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image->height, 3);
  EXPECT_EQ(image->pixels, Bytes(45, 77));
}

// Older versions of the decoder write beyond their tables here.
TEST(DecodeJpeg, RefusesAHuffmanTableOfTooManyCodes) {
  Bytes bytes{0xff, 0xd8, 0xff, 0xc4};
  const size_t values = 16 * 255;
  const size_t length = 2 + 17 + values;
  bytes.push_back(static_cast<uint8_t>(length >> 8));
  bytes.push_back(static_cast<uint8_t>(length & 0xff));
  bytes.push_back(0x10);
  bytes.insert(bytes.end(), 16, 255);
  bytes.insert(bytes.end(), values, 1);
  bytes.insert(bytes.end(), {0xff, 0xd9});
  EXPECT_THAT(failure_of(bytes), HasSubstr("Huffman"));
}

}  // namespace
}  // namespace caldera
