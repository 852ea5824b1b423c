// The order of samples in an epoch.
#include <numeric>

#include "caldera/batch_loader.h"

#include "models/data/random.h"

namespace caldera {

std::vector<int64_t> epoch_order(int64_t samples, bool shuffle, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(samples));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (shuffle) Random(seed, RandomUse::kOrder, static_cast<uint64_t>(epoch)).shuffle(order);
  return order;
}

int64_t batches_an_epoch(int64_t samples, int64_t batch, bool drop_last) {
  return (drop_last ? samples : samples + batch - 1) / batch;
}

}  // namespace caldera
