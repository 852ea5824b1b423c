// Notes on tuning; see tuning_notes.h.
#include "tools/tuning_notes.h"

#include <fmt/format.h>

#include "tools/report.h"

namespace caldera::tool {

void note_tuning(const TuneReport& report) {
  for (const LayerTuning& layer : report.layers) {
    for (const KernelTrial& trial : layer.trials) {
      if (trial.refusal.empty() || trial.error == 0) continue;
      print_note(fmt::format("{} is wrong on this driver for {} ({}): error {:.1e}; it is not used",
                             trial.kernel, layer.layer, layer.problem, trial.error));
    }
  }
  if (!report.unsaved.empty()) {
    print_note(fmt::format("what was measured counts for this run alone: {}", report.unsaved));
  }
}

}  // namespace caldera::tool
