// Sums over a whole batch: in runs of images, of which each is what one binding spans, and within a
// run in parts that are summed side by side. Parts of all runs are numbered through.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <limits>
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

// How many images of every one of `values` one binding of `most_bytes` spans, so that each run of
// them starts where a binding may: all where they fit, at most `most_images`, 0 where fewer fit
// than lie between two such places. A kernel for which that is 0 is not supported, and of the last
// one the plan says so.
inline int64_t images_a_binding(const Capabilities& capabilities,
                                std::initializer_list<ImageShape> values, uint64_t most_bytes,
                                int64_t most_images = std::numeric_limits<int64_t>::max()) {
  const int64_t batch = values.begin()->n;
  const uint64_t alignment = capabilities.binding_alignment();
  int64_t held = std::min(batch, most_images);
  int64_t multiple = 1;
  for (const ImageShape& value : values) {
    const uint64_t image = value.image_bytes();
    held = std::min(held, static_cast<int64_t>(most_bytes / image));
    multiple = std::max(multiple, static_cast<int64_t>(alignment / std::gcd(alignment, image)));
  }
  return held == batch ? batch : held / multiple * multiple;
}

// Runs of that many images. They have about `wanted` parts in all, of whole multiples of
// `multiple` of an image's `image_items`.
inline ImageRuns plan_runs(const Emitter& emitter, std::initializer_list<ImageShape> values,
                           uint64_t most_bytes, uint64_t image_items, uint64_t wanted,
                           uint64_t multiple) {
  const int64_t batch = values.begin()->n;
  const int64_t fitting = images_a_binding(emitter.capabilities(), values, most_bytes);
  const int64_t held = fitting > 0 ? fitting : batch;
  const uint64_t items = static_cast<uint64_t>(batch) * image_items;
  const uint64_t a_part = ceil_div(items, std::max<uint64_t>(wanted, 1));
  ImageRuns plan;
  plan.part_items = static_cast<uint32_t>(round_up(a_part, multiple));
  uint32_t parts = 0;
  for (int64_t first = 0; first < batch; first += held) {
    ImageRun run{first, std::min(held, batch - first)};
    run.items = static_cast<uint32_t>(static_cast<uint64_t>(run.count) * image_items);
    run.first_part = parts;
    run.parts = static_cast<uint32_t>(ceil_div(run.items, plan.part_items));
    parts += run.parts;
    plan.runs.push_back(run);
  }
  return plan;
}

}  // namespace caldera
