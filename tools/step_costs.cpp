// A table of plans; see step_costs.h.
#include "tools/step_costs.h"

#include <fmt/format.h>

#include "tools/step_time.h"

namespace caldera::tool {

namespace {

// "12.3 G" of the first, "+31.0%" of what takes more.
std::string beside(double value, double first, const std::string& text) {
  return value == first ? text : fmt::format("{:+.1f}%", 100 * (value / first - 1));
}

uint64_t memory_of(const StepCost& cost) {
  return cost.arena_bytes + cost.states_bytes + cost.weights_bytes;
}

}  // namespace

Result<std::vector<StepCost>> plan_training(const Device& device, const Model& model, int64_t batch,
                                            const SessionOptions& session) {
  CALDERA_TRY_ASSIGN(const Graph graph, model.graph(batch));
  TrainerOptions options;
  options.spec.optimizer.momentum = 0.9f;
  options.session = session;
  return plan_steps(device, graph, model.weights(), options);
}

Result<std::vector<StepCost>> plan_training(const Device& device, const Model& model, int64_t batch,
                                            int64_t images, const FitOptions& options) {
  CALDERA_TRY_ASSIGN(const Graph graph, model.graph(batch));
  CALDERA_TRY_ASSIGN(const TrainerOptions trainer, trainer_options(graph, options));
  const int64_t last = images % batch;
  const bool apart = options.spec.batch_norm == BatchNormMode::kTrain && !options.drop_last;
  if (last == 0 || !apart) return plan_steps(device, graph, model.weights(), trainer);
  CALDERA_TRY_ASSIGN(const Graph rest, model.graph(last));
  return plan_steps(device, graph, model.weights(), trainer, &rest);
}

void print_step_costs(const std::vector<StepCost>& costs) {
  using enum Table::Align;
  Table table({{"checkpointing"},
               {"activations", kRight},
               {"in all", kRight},
               {"multiply-adds", kRight},
               {"bytes moved", kRight},
               {"fits", kRight}});
  for (const StepCost& cost : costs) {
    const auto work = static_cast<double>(cost.multiply_adds);
    const auto moved = static_cast<double>(cost.moved_bytes);
    table.add({std::string(checkpointing_name(cost.checkpointing)), human_bytes(cost.arena_bytes),
               human_bytes(memory_of(cost)),
               beside(work, static_cast<double>(costs.front().multiply_adds), human_count(work)),
               beside(moved, static_cast<double>(costs.front().moved_bytes),
                      human_bytes(cost.moved_bytes)),
               cost.fits ? "yes" : "no"});
  }
  table.print();
  fmt::print("\n");
}

Json step_costs_json(const std::vector<StepCost>& costs) {
  Json json = Json::array();
  for (const StepCost& cost : costs) {
    json.push_back({{"checkpointing", checkpointing_name(cost.checkpointing)},
                    {"arena_bytes", cost.arena_bytes},
                    {"states_bytes", cost.states_bytes},
                    {"weights_bytes", cost.weights_bytes},
                    {"multiply_adds", cost.multiply_adds},
                    {"moved_bytes", cost.moved_bytes},
                    {"fits", cost.fits}});
  }
  return json;
}

std::string memory_text(const SessionStats& stats, Checkpointing checkpointing) {
  return fmt::format(
      "{} of activations (checkpointing {}), {} of parameters, gradients and moments",
      human_bytes(stats.arena_bytes), checkpointing_name(checkpointing),
      human_bytes(stats.states_bytes + stats.weights_bytes));
}

}  // namespace caldera::tool
