// Names of checkpointings, and what their plans would take; graph/autodiff/recompute.cpp makes the
// graphs.
#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "caldera/trainer.h"

#include "graph/plan.h"
#include "graph/session_impl.h"
#include "runtime/device_impl.h"

namespace caldera {

namespace {

constexpr std::array<std::string_view, 3> kNames{"none", "cheap", "blocks"};

}  // namespace

std::string_view checkpointing_name(Checkpointing checkpointing) {
  return kNames[static_cast<size_t>(checkpointing)];
}

std::vector<std::string> checkpointing_names() {
  return {kNames.begin(), kNames.end()};
}

Result<Checkpointing> find_checkpointing(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<Checkpointing>(found - kNames.begin());
  return Error{ErrorCode::kInvalidInput,
               fmt::format("no checkpointing '{}'; there are {}", name, fmt::join(kNames, ", "))};
}

Result<std::vector<StepCost>> plan_steps(const Device& device, const Graph& forward,
                                         const Weights& weights, const TrainerOptions& options,
                                         const Graph* last) {
  using Costs = Result<std::vector<StepCost>>;
  return detail::no_throw<Costs>("the plans of a step", [&]() -> Costs {
    const Tuning tuning = device.impl().tuning().read();
    TrainingSpec spec = options.spec;
    const auto plan_of = [&](const Graph& graph) -> Result<Plan> {
      CALDERA_TRY_ASSIGN(TrainingGraph training, make_training_graph(graph, spec));
      return make_plan(device.impl().capabilities(), device.info().name, std::move(training.graph),
                       weights, options.session, tuning);
    };
    std::vector<StepCost> costs;
    for (size_t i = 0; i < kNames.size(); ++i) {
      spec.checkpointing = static_cast<Checkpointing>(i);
      CALDERA_TRY_ASSIGN(const Plan plan, plan_of(forward));
      MemoryNeeds needs = needs_of(plan);
      StepCost cost{.checkpointing = spec.checkpointing,
                    .arena_bytes = plan.memory.bytes,
                    .states_bytes = plan.states.bytes,
                    .weights_bytes = plan.weights_bytes};
      if (last) {
        CALDERA_TRY_ASSIGN(const Plan beside, plan_of(*last));
        // As SessionImpl::create() has it.
        const uint64_t arena = fits(beside.memory, plan.memory.blocks) ? 0 : beside.memory.bytes;
        cost.arena_bytes += arena;
        cost.weights_bytes += beside.weights_bytes;
        needs.more = arena + beside.weights_bytes;
      }
      cost.fits = check_memory(device, plan, needs).ok();
      for (const Dispatch& dispatch : plan.dispatches) {
        cost.multiply_adds += dispatch.multiply_adds;
        cost.moved_bytes += dispatch.bytes();
      }
      costs.push_back(cost);
    }
    return costs;
  });
}

}  // namespace caldera
