// Sums over a whole batch: in runs of images, of which each is what one binding spans, and within a
// run in parts that are summed side by side. Parts of all runs are numbered through.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <numeric>

#include "graph/align.h"
#include "graph/emitter.h"

namespace caldera {

struct ImageRun {
  int64_t first = 0;  // Image.
  int64_t count = 0;
  uint32_t items = 0;       // Pixels, or rows, of its images.
  uint32_t first_part = 0;  // Of its parts.
  uint32_t parts = 0;
};

struct ImageRuns {
  std::vector<ImageRun> runs;
  uint32_t part_items = 1;  // That a part sums; the last of a run maybe fewer.

  uint32_t parts() const { return runs.back().first_part + runs.back().parts; }
};

// Runs of as many images as one binding of `most_bytes` spans of every one of `values`, so that
// each starts where a binding may; one image at least, since the plan refuses what is bound beyond
// its limit. They have about `wanted` parts in all, of at least `least` of an image's `image_items`
// each.
inline ImageRuns plan_runs(const Emitter& emitter, std::initializer_list<ValueId> values,
                           uint64_t most_bytes, uint64_t image_items, uint64_t wanted,
                           uint64_t least) {
  const int64_t batch = emitter.shape(*values.begin()).n;
  const uint64_t alignment = emitter.capabilities().binding_alignment();
  int64_t held = batch;
  int64_t multiple = 1;
  for (const ValueId value : values) {
    const uint64_t image = emitter.shape(value).image_bytes();
    held = std::min(held, static_cast<int64_t>(most_bytes / image));
    multiple = std::max(multiple, static_cast<int64_t>(alignment / std::gcd(alignment, image)));
  }
  if (held < batch) held = std::max<int64_t>(held / multiple, 1) * multiple;
  const uint64_t items = static_cast<uint64_t>(batch) * image_items;
  ImageRuns plan;
  plan.part_items = static_cast<uint32_t>(
      std::max({least, (items + wanted - 1) / std::max<uint64_t>(wanted, 1), uint64_t{1}}));
  uint32_t parts = 0;
  for (int64_t first = 0; first < batch; first += held) {
    ImageRun run{first, std::min(held, batch - first)};
    run.items = static_cast<uint32_t>(static_cast<uint64_t>(run.count) * image_items);
    run.first_part = parts;
    run.parts = (run.items + plan.part_items - 1) / plan.part_items;
    parts += run.parts;
    plan.runs.push_back(run);
  }
  return plan;
}

}  // namespace caldera
