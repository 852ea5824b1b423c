// Tiny labelled photographs for tests of training: easy to tell apart, and made in milliseconds.
#pragma once

#include "caldera/model.h"
#include "caldera/split.h"

#include "tests/support/paths.h"

namespace caldera::test {

// `count` images of 10x10 in each of the folders "blue", "green" and "red" below `folder`: the
// class's colour under noise.
void write_photos(const std::filesystem::path& folder, int count);

// The same, read back, with a third of them held back.
FolderSplit photos(const std::filesystem::path& folder, int count);

// A CIFAR ResNet-20 for 8x8 and those classes, of random weights.
Model photo_model();

// The same net with a batch-norm that multiplies what comes back to a layer of zeros: beyond halves
// while the loss scale is large.
Model of_large_gradients(const Model& model);

}  // namespace caldera::test
