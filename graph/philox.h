// Philox4x32-10, a random number generator without a state: a counter and a key give four words
// (Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011). So any
// element's number can be drawn by itself, on the host as in shaders, and a seed repeats a run.
#pragma once

#include <array>
#include <cstdint>

namespace caldera {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

// Not data's SplitMix64 (models/data/random.h): that is of 64-bit words, which a shader may lack.
constexpr std::array<uint32_t, 4> philox4x32_10(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// Dropout's number in [0, 1) for one element of a dense activation, [N, C, H, W] or [N, F].
constexpr float dropout_uniform(uint32_t seed, uint32_t step, uint32_t stream, uint64_t element) {
  const auto words =
      philox4x32_10({static_cast<uint32_t>(element / 4), step, stream, 0}, {seed, 0x5eed});
  return static_cast<float>(words[element % 4] >> 8) * 0x1p-24f;
}

}  // namespace caldera
