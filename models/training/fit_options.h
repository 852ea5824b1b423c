// The options of a training: checked, and written down so that a run that is gone on from can be
// told from another.
#pragma once

#include <map>
#include <string>

#include "caldera/fit.h"

namespace caldera {

// An error that names the first option that cannot be meant.
Status check_fit_options(const FitOptions& options);

// By name (that of the program's option, where it has one), all that changes results.
using RecordedOptions = std::map<std::string, std::string>;
// Begins what is recorded as "precision" of mixed precision.
inline constexpr std::string_view kMixedPrecision = "mixed";
// The precision is what it runs in, which the device decides too.
RecordedOptions record_options(const FitOptions& options, const Model& model,
                               const FolderSplit& data);
// An error that names those that are different.
Status check_same_options(const RecordedOptions& before, const RecordedOptions& now);

}  // namespace caldera
