// The file is JSON, so that a person can read what was measured.
#include "runtime/tuning.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "runtime/fnv1a.h"
#include "runtime/shader.h"
#include "runtime/whole_file.h"

namespace caldera {

namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;

// What was measured is of these kernels alone: the version and, for builds between two versions, a
// digest of all shaders.
std::string kernels_key() {
  uint64_t digest = fnv1a({});
  for (uint16_t id = 0; id < kShaders; ++id) {
    digest = fnv1a(std::as_bytes(shader_spirv(static_cast<ShaderId>(id))), digest);
  }
  return fmt::format("{} {:016x}", CALDERA_VERSION, digest);
}

}  // namespace

Tuning Tuning::read(const std::filesystem::path& path) {
  Tuning tuning;
  std::ifstream file(path);
  const Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("format", Json()) != kFormat ||
      json.value("version", Json()) != kernels_key()) {
    return tuning;
  }
  const Json choices = json.value("choices", Json::object());
  for (const auto& [problem, choice] : choices.items()) {
    if (!choice.is_object()) continue;
    const Json kernel = choice.value("kernel", Json());
    const Json seconds = choice.value("seconds", Json());
    if (!kernel.is_string() || !seconds.is_number()) continue;
    tuning.choices_[problem] = {kernel.get<std::string>(), seconds.get<double>()};
  }
  const Json refused = json.value("refused", Json::object());
  for (const auto& [problem, kernels] : refused.items()) {
    for (const Json& kernel : kernels) {
      if (kernel.is_string()) tuning.refused_[problem].insert(kernel.get<std::string>());
    }
  }
  return tuning;
}

Status Tuning::write(const std::filesystem::path& path) const {
  Json choices = Json::object();
  for (const auto& [problem, choice] : choices_) {
    choices[problem] = {{"kernel", choice.kernel}, {"seconds", choice.seconds}};
  }
  const Json json = {{"format", kFormat},
                     {"version", kernels_key()},
                     {"choices", std::move(choices)},
                     {"refused", refused_}};
  return write_whole_file(path, json.dump(1) + "\n", "the tuning file");
}

std::string_view Tuning::choice(const std::string& problem) const {
  const auto found = choices_.find(problem);
  return found == choices_.end() ? std::string_view() : found->second.kernel;
}

bool Tuning::refused(const std::string& problem, std::string_view kernel) const {
  const auto found = refused_.find(problem);
  return found != refused_.end() && found->second.contains(std::string(kernel));
}

void Tuning::choose(const std::string& problem, Choice choice) {
  choices_[problem] = std::move(choice);
}

void Tuning::refuse(const std::string& problem, std::string kernel) {
  refused_[problem].insert(std::move(kernel));
}

void Tuning::merge(const Tuning& other) {
  for (const auto& [problem, choice] : other.choices_) choices_[problem] = choice;
  for (const auto& [problem, kernels] : other.refused_) {
    refused_[problem].insert(kernels.begin(), kernels.end());
  }
}

Tuning TuningStore::read() const {
  const std::lock_guard lock(mutex_);
  Tuning known = file_.empty() ? Tuning() : Tuning::read(file_);
  known.merge(measured_);
  return known;
}

Status TuningStore::add(const Tuning& found) {
  const std::lock_guard lock(mutex_);
  measured_.merge(found);
  if (file_.empty()) return {};
  Tuning known = Tuning::read(file_);
  known.merge(measured_);
  return known.write(file_);
}

}  // namespace caldera
