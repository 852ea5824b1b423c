// Draws a small labelled image set, for tools/quickstart.sh to train on without a download: discs,
// squares, triangles and crosses of 32x32 in a folder a class. The same seed, the same pictures.
//
//   make_shapes DIR SEED COUNT          COUNT a class: of many colours and sizes, turned, under
//   noise make_shapes DIR SEED COUNT --plain  white on black, upright, in the middle
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <random>
#include <string>

#include "tools/png.h"

namespace {

namespace fs = std::filesystem;

constexpr int32_t kSide = 32;
constexpr int kSamples = 4;  // Of a pixel, along each axis: edges are smooth.
constexpr std::array<const char*, 4> kShapes{"cross", "disc", "square", "triangle"};

// The standard says what the engine gives, but not what its distributions do.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  double between(double low, double high) {
    return low + (high - low) * static_cast<double>(engine_() >> 11) * 0x1p-53;
  }

 private:
  std::mt19937_64 engine_;
};

// Whether a point is inside; shapes have a radius of 1, about.
bool inside(size_t shape, double x, double y) {
  switch (shape) {
    case 0:
      return std::min(std::abs(x), std::abs(y)) < 0.3 && std::max(std::abs(x), std::abs(y)) < 1;
    case 1:
      return x * x + y * y < 0.9;
    case 2:
      return std::max(std::abs(x), std::abs(y)) < 0.8;
    default:
      return y < 0.65 && std::abs(x) * 1.75 < y + 1;
  }
}

struct Look {
  double x = kSide / 2.0, y = kSide / 2.0;
  double radius = kSide * 0.3;
  double turn = 0;
  std::array<double, 3> ground{0, 0, 0}, color{255, 255, 255};
  std::array<double, 3> slope{0, 0, 0};  // Of the ground, from left to right.
  double noise = 0;
};

Look random_look(Dice& dice) {
  Look look;
  look.radius = kSide * dice.between(0.2, 0.38);
  look.x = kSide / 2.0 + dice.between(-5, 5);
  look.y = kSide / 2.0 + dice.between(-5, 5);
  look.turn = dice.between(-0.5, 0.5);
  for (size_t c = 0; c < 3; ++c) {  // The shape is the lighter one, in each colour.
    look.ground[c] = dice.between(10, 120);
    look.color[c] = look.ground[c] + dice.between(50, 130);
    look.slope[c] = dice.between(-25, 25);
  }
  look.noise = dice.between(5, 30);
  return look;
}

caldera::Image draw(size_t shape, const Look& look, Dice& dice) {
  caldera::Image image{kSide, kSide, {}};
  const double cosine = std::cos(look.turn) / look.radius;
  const double sine = std::sin(look.turn) / look.radius;
  for (int32_t row = 0; row < kSide; ++row) {
    for (int32_t column = 0; column < kSide; ++column) {
      int covered = 0;
      for (int sample = 0; sample < kSamples * kSamples; ++sample) {
        const double dx = column + (sample % kSamples + 0.5) / kSamples - look.x;
        const double dy = row + (sample / kSamples + 0.5) / kSamples - look.y;
        covered += inside(shape, dx * cosine + dy * sine, dy * cosine - dx * sine);
      }
      const double share = covered / static_cast<double>(kSamples * kSamples);
      const double along = 2.0 * column / kSide - 1;
      for (size_t c = 0; c < 3; ++c) {
        const double ground = look.ground[c] + along * look.slope[c];
        const double value =
            ground + share * (look.color[c] - ground) + dice.between(-look.noise, look.noise);
        image.pixels.push_back(static_cast<uint8_t>(std::clamp(value, 0.0, 255.0)));
      }
    }
  }
  return image;
}

bool number(const char* text, uint64_t& value) {
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, value);
  return error == std::errc() && rest == end;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seed = 0, count = 0;
  const bool plain = argc == 5 && std::strcmp(argv[4], "--plain") == 0;
  if (argc < 4 || (argc > 4 && !plain) || !number(argv[2], seed) || !number(argv[3], count)) {
    std::fputs("usage: make_shapes DIR SEED COUNT [--plain]\n", stderr);
    return 2;
  }
  Dice dice(seed);
  for (size_t shape = 0; shape < kShapes.size(); ++shape) {
    const fs::path folder = fs::path(argv[1]) / kShapes[shape];
    std::error_code error;
    fs::create_directories(folder, error);
    for (uint64_t i = 0; i < count; ++i) {
      std::array<char, 16> name{};
      std::snprintf(name.data(), name.size(), "%04u.png", static_cast<unsigned>(i));
      Look look = random_look(dice);
      if (plain) look = {.radius = look.radius};
      std::ofstream file(folder / name.data(), std::ios::binary);
      file << caldera::tool::encode_png(draw(shape, look, dice)) << std::flush;
      if (!file) {
        std::fprintf(stderr, "make_shapes: %s cannot be written\n", (folder / name.data()).c_str());
        return 1;
      }
    }
  }
  return 0;
}
