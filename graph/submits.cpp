// Greedy: a submit takes what follows until its budget is full.
#include "graph/submits.h"

#include <algorithm>
#include <cmath>

#include "graph/align.h"

namespace caldera {

namespace {

constexpr double kWorkAByte = 4;

// Rows of workgroups, folded from the columns so that there are `wanted` of them where that can be.
std::array<uint32_t, 3> fold(std::array<uint32_t, 3> workgroups, uint64_t wanted,
                             uint32_t max_rows) {
  auto& [columns, rows, depth] = workgroups;
  const uint64_t total = uint64_t{columns} * rows;
  const uint64_t parts = std::min({wanted, total, uint64_t{max_rows} / 2});
  if (parts > rows) {
    columns = static_cast<uint32_t>(total / parts);
    rows = static_cast<uint32_t>(ceil_div(total, columns));
  }
  return workgroups;
}

}  // namespace

double work_of(const Dispatch& dispatch) {
  return static_cast<double>(dispatch.multiply_adds) +
         kWorkAByte * static_cast<double>(dispatch.bytes());
}

std::vector<Portion> cut_into_submits(std::span<const Dispatch> dispatches, double work_a_submit,
                                      uint32_t max_rows) {
  std::vector<Portion> portions;
  double held = 0;  // Of the submit being filled.
  for (uint32_t i = 0; i < dispatches.size(); ++i) {
    const double work = work_of(dispatches[i]);
    const auto wanted =
        static_cast<uint64_t>(std::clamp(std::ceil(work / work_a_submit), 1.0, 1e9));
    const auto [columns, rows, depth] = fold(dispatches[i].workgroups, wanted, max_rows);
    const auto parts = static_cast<uint32_t>(std::min<uint64_t>(wanted, rows));
    for (uint32_t part = 0; part < parts; ++part) {
      const double part_work = work / parts;
      const bool opens = held > 0 && held + part_work > work_a_submit;
      if (opens) held = 0;
      held += part_work;
      const auto first = static_cast<uint32_t>(uint64_t{rows} * part / parts);
      const auto end = static_cast<uint32_t>(uint64_t{rows} * (part + 1) / parts);
      portions.push_back({i, {columns, end - first, depth}, first, opens});
    }
  }
  return portions;
}

}  // namespace caldera
