// Whole trainings of a tiny net, as tests run and compare them.
#pragma once

#include <gtest/gtest.h>

#include "caldera/fit.h"

#include "tests/models/fit/photos.h"
#include "tests/support/device.h"

namespace caldera::test {

FitOptions quick_fit();

// All that may change a bit: two trainers, both kinds of moments, everything random.
FitOptions fit_of_everything();

// What an observer was told.
struct Records {
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;

  // For as long as the records stay where they are.
  FitObserver observer() {
    FitObserver observer;
    observer.on_step = [this](const StepRecord& step) { steps.push_back(step); };
    observer.on_epoch = [this](const EpochRecord& epoch) { epochs.push_back(epoch); };
    return observer;
  }
};

class FitTest : public ::testing::Test {
 protected:
  // Ten images a class, of which three are held back: batches of 4, 4, 4, 4, 4 and 1.
  FitTest() : data_(photos(scratch_ / "photos", 10)) {}

  Result<FitResult> train(const FitOptions& options, const FitObserver& observer = {}) {
    return fit(*device(), photo_model(), data_, options, observer);
  }
  FitResult trained(const FitOptions& options, const FitObserver& observer = {});
  // A new one, where `options` is to write its checkpoints.
  void write_checkpoints(FitOptions& options, const std::string& name) const;
  // Of one epoch, in the folder `name`; to be gone on from.
  FitOptions leave(FitOptions options, const std::string& name);
  // Why it does not train; empty where it does.
  std::string refusal(const FitOptions& options);
  // Why it does not go on from a copy of options.resume that was changed by hand.
  std::string damaged_refusal(FitOptions options, const std::string& what, const std::string& with);

  // Stopped after each of `steps`, then gone on with: to the bits of `whole`.
  void expect_goes_on(FitOptions options, const std::vector<int64_t>& steps,
                      const FitResult& whole);

  ScratchDir scratch_;
  FolderSplit data_;
};

// A checkpoint's JSON, changed by hand: the first `what`.
void change_metadata(const std::filesystem::path& path, const std::string& what,
                     const std::string& with);

// To the bit: weights, moments, counters, and what the epochs told.
void expect_same(const Weights& a, const Weights& b);
void expect_same(const FitResult& a, const FitResult& b);

}  // namespace caldera::test
