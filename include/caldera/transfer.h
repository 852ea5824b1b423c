// From a model to one that can be trained on other classes: which parameters are trained, and a
// new head where the number of classes differs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/dataset.h"
#include "caldera/graph.h"
#include "caldera/model.h"
#include "caldera/result.h"

namespace caldera {

// Whether a parameter's name is meant: "*" stands for any characters, and a module's name for all
// in it ("layer1" for "layer1.0.conv1.weight").
bool matches_pattern(std::string_view name, std::string_view pattern);

struct ParameterChoice {
  // "all", or modules joined by "+": "head" is the classifier, so "layer4+head".
  std::string train_only = "all";
  std::vector<std::string> freeze;  // Patterns, of what is left out of those.
};

// The parameters of `graph` that are trained, in its order. An error for a name that none bears,
// and where none is left.
Result<std::vector<std::string>> choose_parameters(const Graph& graph,
                                                   const ParameterChoice& choice);

struct Retargeted {
  Model model;
  bool new_head = false;
};

// `model` with these labels. Where their number is another, its last layer is replaced by one of He
// et al.'s normal weights (initial_weights()), by the seed.
Result<Retargeted> retarget(const Model& model, const std::vector<std::string>& labels,
                            uint64_t seed);

// Labels that have the folder's classes in another order are the model's: the samples then count by
// those. Otherwise nothing changes.
void adopt_class_order(ImageFolder& folder, const std::vector<std::string>& labels);

}  // namespace caldera
