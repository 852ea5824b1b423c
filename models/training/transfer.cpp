// Choosing parameters by name, and replacing heads; see transfer.h.
#include "caldera/transfer.h"

#include <algorithm>

#include <fmt/format.h>

#include "caldera/nearest.h"

namespace caldera {

namespace {

Error invalid(std::string message) {
  return {ErrorCode::kInvalidInput, std::move(message)};
}

// Of the whole text, "*" standing for any characters.
bool matches_whole(std::string_view text, std::string_view pattern) {
  // Where the last "*" stood, and how much of the text it has taken: only that one is tried anew.
  size_t star = std::string_view::npos, taken = 0;
  size_t t = 0, p = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++t;
      ++p;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

std::string head_of(const Graph& graph) {
  return graph.nodes.back().name;
}

std::vector<std::string> parameters_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const Value& value : graph.values) {
    if (value.role == ValueRole::kParameter) names.push_back(value.name);
  }
  return names;
}

// An error where no parameter matches; it names what may have been meant.
Status check_pattern(const std::vector<std::string>& names, const std::string& pattern) {
  if (std::any_of(names.begin(), names.end(),
                  [&](const std::string& name) { return matches_pattern(name, pattern); }))
    return {};
  std::vector<std::string> candidates = names;
  for (const std::string& name : names) {
    for (size_t dot = 0; (dot = name.find('.', dot)) != std::string::npos; ++dot)
      candidates.push_back(name.substr(0, dot));
  }
  const std::string meant = nearest(pattern, candidates);
  return invalid(fmt::format("no parameter is named '{}'{}", pattern,
                             meant.empty() ? "; `caldera inspect` lists them"
                                           : fmt::format("; did you mean '{}'?", meant)));
}

}  // namespace

bool matches_pattern(std::string_view name, std::string_view pattern) {
  if (matches_whole(name, pattern)) return true;
  for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    if (matches_whole(name.substr(0, dot), pattern)) return true;
  }
  return false;
}

Result<std::vector<std::string>> choose_parameters(const Graph& graph,
                                                   const ParameterChoice& choice) {
  std::vector<std::string> names = parameters_of(graph);
  const std::vector<std::string> all = names;
  if (choice.train_only != "all") {
    std::vector<std::string> modules;
    for (size_t from = 0; from <= choice.train_only.size();) {
      const size_t plus = std::min(choice.train_only.find('+', from), choice.train_only.size());
      const std::string module = choice.train_only.substr(from, plus - from);
      modules.push_back(module == "head" ? head_of(graph) : module);
      CALDERA_TRY(check_pattern(all, modules.back()));
      from = plus + 1;
    }
    std::erase_if(names, [&](const std::string& name) {
      return std::none_of(modules.begin(), modules.end(),
                          [&](const std::string& m) { return matches_pattern(name, m); });
    });
  }
  for (const std::string& given : choice.freeze) {
    const std::string pattern = given == "head" ? head_of(graph) : given;
    CALDERA_TRY(check_pattern(all, pattern));
    std::erase_if(names, [&](const std::string& name) { return matches_pattern(name, pattern); });
  }
  if (names.empty()) return invalid("every parameter is frozen: nothing is left to train");
  return names;
}

Result<Retargeted> retarget(const Model& model, const std::vector<std::string>& labels,
                            uint64_t seed) {
  Architecture architecture = model.architecture();
  Weights weights = model.weights();
  for (const NamedTensor& named : model.checkpoint().tensors) {
    if (named.name.ends_with("num_batches_tracked")) weights.emplace(named.name, named.tensor);
  }
  const auto classes = static_cast<int64_t>(labels.size());
  const bool new_head = architecture.classes != classes;
  if (new_head) {
    architecture.classes = classes;
    CALDERA_TRY_ASSIGN(const Graph graph, build_graph(architecture, 1));
    const Weights fresh = initial_weights(graph, seed);
    const Node& head = graph.nodes.back();
    for (size_t i = 1; i < head.inputs.size(); ++i) {
      const std::string& name = graph.value(head.inputs[i]).name;
      const auto found = fresh.find(name);
      if (found == fresh.end()) {
        return Error{ErrorCode::kUnsupported,
                     fmt::format("{}: its last node, {}, is no classifier that could be replaced",
                                 architecture.name, head.name)};
      }
      weights.insert_or_assign(name, found->second);
    }
  }
  CALDERA_TRY_ASSIGN(Model target,
                     Model::from_weights(architecture, model.preprocess(), labels, weights));
  return Retargeted{std::move(target), new_head};
}

void adopt_class_order(ImageFolder& folder, const std::vector<std::string>& labels) {
  if (labels == folder.classes || labels.size() != folder.classes.size()) return;
  std::vector<int32_t> place;
  for (const std::string& name : folder.classes) {
    const auto found = std::find(labels.begin(), labels.end(), name);
    if (found == labels.end()) return;
    place.push_back(static_cast<int32_t>(found - labels.begin()));
  }
  for (Sample& sample : folder.samples) sample.label = place[static_cast<size_t>(sample.label)];
  folder.classes = labels;
}

}  // namespace caldera
