// A labelled folder made ready for training: split into what is learnt from and what is held back,
// and checked.
#pragma once

#include <cstdint>
#include <filesystem>

#include "caldera/dataset.h"
#include "caldera/result.h"

namespace caldera {

struct FolderSplit {
  ImageFolder train;
  ImageFolder validation;  // Has the same classes; no sample where the fraction is 0.
};

// Holds back round(fraction * n) of each class's n samples, chosen by the seed: at least one on
// each side where there are two or more, and never the only one. Both sides keep the folder's
// order. The same seed gives the same split on every machine. An error unless 0 <= fraction < 1.
Result<FolderSplit> split_folder(const ImageFolder& folder, double fraction, uint64_t seed);

// An error where there are fewer than two classes to tell apart. `where` is for the message.
Status check_training_classes(const ImageFolder& train, const std::filesystem::path& where);

// An error that names the first class that only one of them has: labels are places in the list of
// classes, and would mean different things. `where` is the validation folder.
Status check_validation_classes(const ImageFolder& train, const ImageFolder& validation,
                                const std::filesystem::path& where);

}  // namespace caldera
