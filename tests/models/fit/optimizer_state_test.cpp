// An optimizer's state as PyTorch loads it.
#include "caldera/optimizer_state.h"

#include <numeric>

#include <gtest/gtest.h>

#include "caldera/autodiff.h"

#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

// Of a linear layer of 3 inputs and 2 outputs: numbers counted up, by which each is known.
OptimizerState state_of(OptimizerKind kind, bool decay_vectors) {
  OptimizerState state{.decay_vectors = decay_vectors,
                       .learning_rate = 0.25,
                       .updates = 12,
                       .parameters = {"fc.weight", "fc.bias"},
                       .moments = {}};
  state.attrs.kind = kind;
  state.attrs.weight_decay = 0.01f;
  state.attrs.ema_decay = 0.5f;
  if (kind == OptimizerKind::kSgd) {
    state.attrs.momentum = 0.875f;
    state.attrs.nesterov = true;
  }
  float first = 0;
  for (const std::string_view moment : optimizer_states(state.attrs)) {
    std::vector<float> weight(6), bias(2);
    std::iota(weight.begin(), weight.end(), first + 1);
    std::iota(bias.begin(), bias.end(), first + 7);
    state.moments[state_name("fc.weight", moment)] = Tensor::from_floats({2, 3}, weight);
    state.moments[state_name("fc.bias", moment)] = Tensor::from_floats({2}, bias);
    first += 100;
  }
  return state;
}

TEST(OptimizerState, LoadsInPyTorch) {
  CALDERA_REQUIRE_PYTHON();
  const test::ScratchDir scratch;
  const std::string path = scratch / "optimizer.pth";
  for (const auto& [kind, name] :
       {std::pair{OptimizerKind::kSgd, "sgd"}, std::pair{OptimizerKind::kAdam, "adam"},
        std::pair{OptimizerKind::kAdamW, "adamw"}}) {
    for (const bool decay_vectors : {true, false}) {
      SCOPED_TRACE(name);
      ASSERT_TRUE(write_pytorch_optimizer(path, state_of(kind, decay_vectors)).ok());
      EXPECT_TRUE(test::run_script("check_optimizer.py", {path, name}));
    }
  }
}

}  // namespace
}  // namespace caldera
