// The nearest word; see nearest.h.
#include "caldera/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace caldera {

namespace {

// Single-letter insertions, deletions and replacements between two words.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(std::string_view given, const std::vector<std::string>& candidates,
                    size_t within) {
  std::string best;
  size_t distance = within + 1;
  for (const std::string& candidate : candidates) {
    const size_t d = edit_distance(given, candidate);
    if (d >= distance) continue;
    distance = d;
    best = candidate;
  }
  return best;
}

}  // namespace caldera
