// Random numbers that are a pure function of a key: a seed, what they are for, and up to two
// counters (an epoch and a sample, say). Any thread can draw those of any sample, in any order, and
// a run that is resumed draws what the whole run would have. The standard library's distributions
// differ between libraries; whole numbers and uniform ones from here are the same bits everywhere.
// The generator is SplitMix64 used as a counter (Steele et al., "Fast Splittable Pseudorandom
// Number Generators", 2014).
#pragma once

#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

namespace caldera {

// What numbers are for, so that no two uses share theirs.
enum class RandomUse : uint64_t { kSplit = 1, kOrder, kAugment, kMixup };

// Not dropout's Philox (graph/philox.h): that is of 32-bit words, for shaders.
class Random {
 public:
  Random(uint64_t seed, RandomUse use, uint64_t first = 0, uint64_t second = 0)
      : state_(
            mix(mix(mix(mix(seed + kStep) + static_cast<uint64_t>(use) * kStep) + first * kStep) +
                second * kStep)) {}

  uint64_t next() { return mix(state_ += kStep); }

  // Below `bound`, each value equally likely: draws beyond the last whole multiple are thrown away.
  uint64_t below(uint64_t bound) {
    assert(bound > 0);
    const uint64_t uneven = (0 - bound) % bound;  // 2^64 modulo bound.
    for (;;) {
      const uint64_t draw = next();
      if (draw >= uneven) return draw % bound;
    }
  }

  // In [0, 1), in steps of 2^-53.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  bool chance(double probability) { return uniform() < probability; }

  // Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

  // The logarithm of a gamma variate, which for a small shape may itself be below all doubles.
  // Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000, section 6 for
  // shapes below 1.
  double log_gamma_variate(double shape) {
    assert(shape > 0);
    if (shape < 1) {
      const double grown = log_gamma_variate(shape + 1);
      return grown + std::log(1 - uniform()) / shape;
    }
    const double d = shape - 1.0 / 3;
    const double c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = normal();
      const double root = 1 + c * x;
      if (root <= 0) continue;
      const double v = root * root * root;
      if (std::log(1 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) {
        return std::log(d) + std::log(v);
      }
    }
  }

  // X / (X + Y) of two gamma variates.
  double beta(double a, double b) {
    const double x = log_gamma_variate(a);
    const double y = log_gamma_variate(b);
    return 1 / (1 + std::exp(y - x));
  }

  // Fisher and Yates.
  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;

  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};

}  // namespace caldera
