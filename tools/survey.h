// What of Vulkan this machine has: the loader, drivers' manifests, layers, device nodes and the
// kernel's graphics drivers. Facts alone; `caldera doctor` draws the conclusions. For Linux.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace caldera::tool {

struct LoaderFacts {
  std::string path;     // Empty where it is not found.
  std::string version;  // "1.4.309": the highest Vulkan that it can hand through.
  std::string error;    // Why it could not be loaded.
};

// An ICD file: how a Vulkan driver makes itself known.
struct ManifestFacts {
  std::filesystem::path path;
  std::string library;
  std::string api_version;
  std::string error;  // Why its driver cannot be loaded; empty where it can.
};

struct LayerFacts {
  bool installed = false;
  std::string version;
};

// A device file that a GPU's driver opens.
struct NodeFacts {
  std::filesystem::path path;
  bool accessible = false;
  std::string group;  // Whose members may open it.
};

struct Survey {
  LoaderFacts loader;
  std::vector<ManifestFacts> drivers;
  LayerFacts validation;
  std::vector<NodeFacts> nodes;
  std::vector<std::string> kernel_drivers;  // Of display adapters: "amdgpu", "nvidia", "i915".
  // Set variables that change what the loader sees.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string distribution;         // "Debian GNU/Linux 12 (bookworm)"
  std::vector<std::string> family;  // ID and ID_LIKE of os-release: "ubuntu", "debian".
};

Survey survey_system();

}  // namespace caldera::tool
