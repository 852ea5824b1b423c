// Stratified splits. A class's choice depends on the seed, the class's place and its number of
// samples alone, in whole numbers, so that it is the same everywhere.
#include "caldera/split.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "models/data/random.h"

namespace caldera {
namespace {

size_t held_back(size_t count, double fraction) {
  if (fraction <= 0 || count < 2) return 0;
  const auto wanted = static_cast<size_t>(std::llround(fraction * static_cast<double>(count)));
  return std::clamp<size_t>(wanted, 1, count - 1);
}

// For each of `count` samples of a class, whether it is held back.
std::vector<bool> choose(size_t count, double fraction, uint64_t seed, uint64_t label) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  Random(seed, RandomUse::kSplit, label).shuffle(order);
  std::vector<bool> chosen(count);
  for (size_t i = 0; i < held_back(count, fraction); ++i) chosen[order[i]] = true;
  return chosen;
}

Error invalid(const std::filesystem::path& where, const std::string& what) {
  return {ErrorCode::kInvalidInput, fmt::format("{}: {}", where.string(), what)};
}

}  // namespace

Result<FolderSplit> split_folder(const ImageFolder& folder, double fraction, uint64_t seed) {
  if (!(fraction >= 0 && fraction < 1)) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("a validation split of {} is not possible: it must be at least 0 (no "
                             "validation) and below 1",
                             fraction)};
  }
  return detail::no_throw<Result<FolderSplit>>("the validation split", [&] {
    std::vector<size_t> counts(folder.classes.size());
    for (const Sample& sample : folder.samples) ++counts[static_cast<size_t>(sample.label)];
    std::vector<std::vector<bool>> chosen;
    for (size_t label = 0; label < counts.size(); ++label) {
      chosen.push_back(choose(counts[label], fraction, seed, label));
    }
    FolderSplit split{{folder.classes, {}}, {folder.classes, {}}};
    std::vector<size_t> seen(folder.classes.size());
    for (const Sample& sample : folder.samples) {
      const auto label = static_cast<size_t>(sample.label);
      ImageFolder& side = chosen[label][seen[label]++] ? split.validation : split.train;
      side.samples.push_back(sample);
    }
    return split;
  });
}

Status check_training_classes(const ImageFolder& train, const std::filesystem::path& where) {
  if (train.classes.size() >= 2) return {};
  if (train.classes.empty()) return invalid(where, "no class to learn; make a folder a class");
  return invalid(where, fmt::format("'{}' is the only class; training takes at least two, in one "
                                    "folder each",
                                    train.classes.front()));
}

Status check_validation_classes(const ImageFolder& train, const ImageFolder& validation,
                                const std::filesystem::path& where) {
  const std::vector<std::string>& wanted = train.classes;
  const std::vector<std::string>& found = validation.classes;
  const auto lacks = [](const std::vector<std::string>& classes, const std::string& name) {
    return std::find(classes.begin(), classes.end(), name) == classes.end();
  };
  for (const std::string& name : wanted) {
    if (lacks(found, name)) {
      return invalid(where, fmt::format("class '{}' of the training folder is missing here; add a "
                                        "folder of that name with images in it",
                                        name));
    }
  }
  for (const std::string& name : found) {
    if (lacks(wanted, name)) {
      return invalid(where, fmt::format("class '{}' is not in the training folder; remove it here, "
                                        "or add it there",
                                        name));
    }
  }
  if (wanted != found) {
    return invalid(where, "the classes are not in the order of the training folder's");
  }
  return {};
}

}  // namespace caldera
