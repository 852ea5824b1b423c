// Mixup's weights and partners, and the mix of the images. The targets' is make_targets.
#include <cassert>
#include <cstddef>

#include "caldera/augment.h"

#include "models/data/random.h"

namespace caldera {

Mixup make_mixup(int64_t count, double alpha, MixupWeight weight, uint64_t seed, int64_t epoch,
                 int64_t batch) {
  assert(count > 0 && alpha > 0);
  Random random(seed, RandomUse::kMixup, static_cast<uint64_t>(epoch),
                static_cast<uint64_t>(batch));
  Mixup mixup;
  const bool shared = weight == MixupWeight::kOnePerBatch;
  const auto first = static_cast<float>(random.beta(alpha, alpha));
  for (int64_t i = 0; i < count; ++i) {
    mixup.weight.push_back(shared || i == 0 ? first
                                            : static_cast<float>(random.beta(alpha, alpha)));
    mixup.partner.push_back(static_cast<int32_t>(i));
  }
  random.shuffle(mixup.partner);
  return mixup;
}

void apply_mixup(const Mixup& mixup, std::span<float> images) {
  const size_t count = mixup.weight.size();
  assert(count > 0 && mixup.partner.size() == count && images.size() % count == 0);
  const size_t size = images.size() / count;
  const std::vector<float> plain(images.begin(), images.end());
  for (size_t i = 0; i < count; ++i) {
    const float own = mixup.weight[i];
    const float other = 1 - own;
    const float* a = plain.data() + i * size;
    const float* b = plain.data() + static_cast<size_t>(mixup.partner[i]) * size;
    float* out = images.data() + i * size;
    for (size_t k = 0; k < size; ++k) out[k] = own * a[k] + other * b[k];
  }
}

}  // namespace caldera
