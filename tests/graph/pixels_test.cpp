// Images of bytes: normalised, mixed and cut on the device to the bits that floats from the host
// give; and what is refused.
#include "caldera/pixels.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/session.h"

#include "graph/test_hooks.h"
#include "runtime/device_impl.h"
#include "tests/graph/random_operands.h"
#include "tests/support/device.h"

namespace caldera::test {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;

constexpr int64_t kH = 9;
constexpr int64_t kW = 7;
constexpr size_t kPlane = kH * kW;

// A copy of the input, where nothing is between the bits and who looks at them.
Graph copying_net(int64_t batch) {
  GraphBuilder b;
  b.output(b.max_pool2d("pool", b.input("x", {batch, 3, kH, kW}), {.kernel = {1, 1}}));
  return std::move(b).finish().value();
}

PixelValues some_values() {
  PixelValues values;
  for (size_t c = 0; c < 3; ++c) {
    for (size_t byte = 0; byte < 256; ++byte) {
      values[c][byte] = (static_cast<float>(byte) / 255.0f - 0.1f * static_cast<float>(c + 4)) /
                        (0.2f + 0.01f * static_cast<float>(c));
    }
  }
  return values;
}

struct Images {
  // All bytes and some blanks, every third one mixed with the next.
  Images(const Device& device, int64_t count, const PixelValues& values, bool mixed) {
    pixels = Pixels::create(device, count, kH, kW).value();
    std::vector<Floats> plain;
    uint32_t state = 7;
    for (int64_t i = 0; i < count; ++i) {
      Floats& made = plain.emplace_back(3 * kPlane);
      const std::span<uint8_t> to = pixels.image(i);
      for (size_t at = 0; at < kPlane; ++at) {
        state = state * 1664525u + 1013904223u;
        const bool blank = state >> 29 == 0;
        for (size_t c = 0; c < 3; ++c) {
          const auto byte = static_cast<uint8_t>(state >> (8 * c) & 255u);
          to[4 * at + c] = byte;
          made[c * kPlane + at] = blank ? 0 : values[c][byte];
        }
        to[4 * at + 3] = blank ? 0 : 255;
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t partner = (i + 1) % count;
      const float weight = mixed && i % 3 == 0 ? 0.3f : 1;
      if (mixed) pixels.mix(i, weight, static_cast<int32_t>(partner));
      const Floats& own = plain[static_cast<size_t>(i)];
      const Floats& other = plain[static_cast<size_t>(partner)];
      for (size_t at = 0; at < own.size(); ++at) {
        floats.push_back(weight == 1 ? own[at] : weight * own[at] + (1 - weight) * other[at]);
      }
    }
  }
  Pixels pixels;
  Floats floats;  // What they are on the host.
};

class PixelInput : public testing::TestWithParam<Precision> {
 protected:
  const std::shared_ptr<const PixelValues> values_ =
      std::make_shared<const PixelValues>(some_values());
  SessionOptions options(bool bytes) const {
    SessionOptions result{.precision = GetParam()};
    if (bytes) result.pixels = values_;
    return result;
  }
};

TEST_P(PixelInput, GivesTheBitsOfFloats) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = copying_net(5);
  Session floats = Session::create(device, graph, {}, options(false)).value();
  Session bytes = Session::create(device, graph, {}, options(true)).value();
  for (const bool mixed : {false, true}) {
    const Images images(device, 5, *values_, mixed);
    Floats expected(images.floats.size());
    Floats got(images.floats.size());
    ASSERT_TRUE(floats.run(images.floats, expected).ok());
    ASSERT_TRUE(poison_memory(bytes).ok());
    const Status ran = bytes.run(images.pixels, got);
    ASSERT_TRUE(ran.ok()) << ran.error().message;
    EXPECT_EQ(got, expected);
    if (floats.precision() == Precision::kFp32) {
      EXPECT_EQ(expected, images.floats);
    }
  }
}

TEST_P(PixelInput, MayHoldMoreImagesThanTheBatch) {
  CALDERA_REQUIRE_DEVICE(device);
  const Images images(device, 5, *values_, false);
  Session floats = Session::create(device, copying_net(3), {}, options(false)).value();
  Session bytes = Session::create(device, copying_net(3), {}, options(true)).value();
  Floats expected(3 * 3 * kPlane);
  Floats got(expected.size());
  ASSERT_TRUE(
      floats.run(Floats(images.floats.begin(), images.floats.begin() + std::ssize(got)), expected)
          .ok());
  ASSERT_TRUE(bytes.run(images.pixels, got).ok());
  EXPECT_EQ(got, expected);
}

// Mixed images whose partners lie in another run of images.
TEST_P(PixelInput, IsCutWhereTheDeviceBindsLess) {
  CALDERA_REQUIRE_DEVICE(device);
  constexpr int64_t kBatch = 256;
  const Graph graph = copying_net(kBatch);
  const Images images(device, kBatch, *values_, true);
  Capabilities limits = device.impl().capabilities();
  limits.max_storage_buffer_range = kBatch * kPlane * Pixels::kBytes;
  Session whole = Session::create(device, graph, {}, options(true)).value();
  auto made = create_session_within(limits, device, graph, {}, options(true));
  ASSERT_TRUE(made.ok()) << made.error().message;
  Session cut = *std::move(made);
  EXPECT_GT(cut.stats().dispatches, whole.stats().dispatches);
  Floats expected(images.floats.size());
  Floats got(images.floats.size());
  ASSERT_TRUE(whole.run(images.pixels, expected).ok());
  ASSERT_TRUE(cut.run(images.pixels, got).ok());
  EXPECT_EQ(got, expected);
}

INSTANTIATE_TEST_SUITE_P(Stored, PixelInput, testing::Values(Precision::kFp32, Precision::kFp16),
                         [](const auto& test) { return std::string(precision_name(test.param)); });

TEST(PixelInputRefuses, WhatDoesNotFit) {
  CALDERA_REQUIRE_DEVICE(device);
  SessionOptions options;
  options.pixels = std::make_shared<const PixelValues>(some_values());
  Session bytes = Session::create(device, copying_net(4), {}, options).value();
  Session floats = Session::create(device, copying_net(4), {}).value();
  Floats out(4 * 3 * kPlane);
  const Pixels few = Pixels::create(device, 3, kH, kW).value();
  EXPECT_THAT(bytes.run(few, out).error().message, HasSubstr("3 of 7x9"));
  const Pixels wide = Pixels::create(device, 4, kH, kW + 1).value();
  EXPECT_FALSE(bytes.run(wide, out).ok());
  EXPECT_FALSE(bytes.run(Pixels(), out).ok());
  const Pixels right = Pixels::create(device, 4, kH, kW).value();
  EXPECT_THAT(floats.run(right, out).error().message, HasSubstr("SessionOptions::pixels"));
  EXPECT_THAT(bytes.run(out, out).error().message, HasSubstr("images of bytes"));
  EXPECT_TRUE(bytes.run(right, out).ok());

  GraphBuilder b;
  b.output(b.relu("relu", b.input("x", {2, 4, 5, 5})));
  const auto four = Session::create(device, std::move(b).finish().value(), {}, options);
  ASSERT_FALSE(four.ok());
  EXPECT_THAT(four.error().message, HasSubstr("three channels"));
}

}  // namespace
}  // namespace caldera::test
