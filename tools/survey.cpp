// Looks where the Vulkan loader looks (LoaderInterfaceArchitecture.md of Vulkan-Loader), so that
// what it finds or misses can be told by name.
#include "tools/survey.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include <dlfcn.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vulkan/vulkan_core.h>

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::string version_text(uint32_t version) {
  return fmt::format("{}.{}.{}", VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version),
                     VK_API_VERSION_PATCH(version));
}

// Stays loaded: drivers and layers do not all survive being unloaded.
void* open_loader(LoaderFacts& facts) {
  void* library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* reason = dlerror();
    facts.error = reason ? reason : "libvulkan.so.1 cannot be loaded";
    return nullptr;
  }
  Dl_info info{};
  void* symbol = dlsym(library, "vkGetInstanceProcAddr");
  facts.path =
      symbol && dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : "libvulkan.so.1";
  facts.version = "1.0";
  if (const auto enumerate = reinterpret_cast<PFN_vkEnumerateInstanceVersion>(
          dlsym(library, "vkEnumerateInstanceVersion"))) {
    uint32_t version = 0;
    if (enumerate(&version) == VK_SUCCESS) facts.version = version_text(version);
  }
  return library;
}

LayerFacts find_validation(void* loader) {
  LayerFacts facts;
  const auto enumerate = reinterpret_cast<PFN_vkEnumerateInstanceLayerProperties>(
      dlsym(loader, "vkEnumerateInstanceLayerProperties"));
  uint32_t count = 0;
  if (!enumerate || enumerate(&count, nullptr) != VK_SUCCESS) return facts;
  std::vector<VkLayerProperties> layers(count);
  if (enumerate(&count, layers.data()) < VK_SUCCESS) return facts;
  for (const VkLayerProperties& layer : layers) {
    if (std::strcmp(layer.layerName, "VK_LAYER_KHRONOS_validation") != 0) continue;
    facts.installed = true;
    facts.version = version_text(layer.specVersion);
  }
  return facts;
}

// Folders of manifests, in the loader's order, and files where variables name them.
std::vector<fs::path> manifest_places() {
  std::vector<fs::path> places;
  for (const char* name : {"VK_DRIVER_FILES", "VK_ICD_FILENAMES"}) {
    for (const std::string& path : split(variable(name), ':')) places.emplace_back(path);
    if (!places.empty()) return places;  // In place of all others.
  }
  for (const std::string& path : split(variable("VK_ADD_DRIVER_FILES"), ':')) {
    places.emplace_back(path);
  }
  const std::string home = variable("HOME");
  const auto add = [&](const std::string& roots, const std::string& fallback) {
    for (const std::string& root : split(roots.empty() ? fallback : roots, ':')) {
      places.push_back(fs::path(root) / "vulkan" / "icd.d");
    }
  };
  add(variable("XDG_CONFIG_HOME"), home.empty() ? "" : home + "/.config");
  add(variable("XDG_CONFIG_DIRS"), "/etc/xdg");
  add("/etc", "");
  add(variable("XDG_DATA_HOME"), home.empty() ? "" : home + "/.local/share");
  add(variable("XDG_DATA_DIRS"), "/usr/local/share:/usr/share");
  return places;
}

std::vector<fs::path> manifest_files() {
  std::vector<fs::path> files;
  for (const fs::path& place : manifest_places()) {
    std::error_code error;
    if (!fs::is_directory(place, error)) {
      // A missing folder is usual; a missing file was asked for by name.
      if (place.extension() == ".json") files.push_back(place);
      continue;
    }
    std::vector<fs::path> here;
    for (fs::directory_iterator it(place, error), end; !error && it != end; it.increment(error)) {
      if (it->path().extension() == ".json") here.push_back(it->path());
    }
    std::sort(here.begin(), here.end());
    files.insert(files.end(), here.begin(), here.end());
  }
  std::set<fs::path> seen;
  std::erase_if(files, [&](const fs::path& path) { return !seen.insert(path).second; });
  return files;
}

// What dlerror says, less the library's name at its start.
std::string load_error(const std::string& library) {
  const char* reason = dlerror();
  std::string text = reason ? reason : "cannot be loaded";
  if (text.starts_with(library + ": ")) text.erase(0, library.size() + 2);
  return text;
}

ManifestFacts read_manifest(const fs::path& path) {
  ManifestFacts facts{.path = path, .library = "", .api_version = "", .error = ""};
  std::ifstream file(path);
  if (!file) {
    facts.error = "cannot be read";
    return facts;
  }
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, false);
  const auto icd = json.is_object() ? json.find("ICD") : json.end();
  if (!json.is_object() || icd == json.end() || !icd->is_object()) {
    facts.error = "is not an ICD file";
    return facts;
  }
  const auto text = [&](const char* key) {
    const auto found = icd->find(key);
    return found != icd->end() && found->is_string() ? found->get<std::string>() : "";
  };
  facts.library = text("library_path");
  facts.api_version = text("api_version");
  if (facts.library.empty()) {
    facts.error = "names no library";
    return facts;
  }
  // A relative path with a slash is relative to the manifest; a bare name is searched for.
  std::string library = facts.library;
  if (library.front() != '/' && library.find('/') != std::string::npos) {
    library = (path.parent_path() / library).lexically_normal().string();
  }
  if (void* handle = dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL); !handle) {
    facts.error = load_error(library);
  }
  return facts;
}

NodeFacts look_at(const fs::path& path) {
  NodeFacts node{.path = path, .accessible = access(path.c_str(), R_OK | W_OK) == 0, .group = ""};
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) {
    const group* owner = getgrgid(status.st_gid);
    node.group = owner ? owner->gr_name : std::to_string(status.st_gid);
  }
  return node;
}

std::vector<NodeFacts> find_nodes() {
  std::vector<fs::path> paths;
  const auto add = [&](const fs::path& folder, const std::string& start) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (name.starts_with(start)) paths.push_back(it->path());
    }
  };
  add("/dev/dri", "renderD");
  add("/dev", "nvidia0");
  add("/dev", "nvidiactl");
  add("/dev", "dxg");  // Windows' subsystem for Linux.
  std::sort(paths.begin(), paths.end());
  std::vector<NodeFacts> nodes;
  for (const fs::path& path : paths) nodes.push_back(look_at(path));
  return nodes;
}

// The kernel's drivers of PCI devices of the display class, 0x03.
std::vector<std::string> find_kernel_drivers() {
  std::set<std::string> drivers;
  std::error_code error;
  for (fs::directory_iterator it("/sys/bus/pci/devices", error), end; !error && it != end;
       it.increment(error)) {
    std::string device_class;
    std::ifstream(it->path() / "class") >> device_class;
    if (!device_class.starts_with("0x03")) continue;
    std::error_code none;
    const fs::path driver = fs::read_symlink(it->path() / "driver", none);
    drivers.insert(none ? "none" : driver.filename().string());
  }
  return {drivers.begin(), drivers.end()};
}

void read_distribution(Survey& survey) {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = line.substr(0, equals);
    std::string value = line.substr(equals + 1);
    std::erase(value, '"');
    if (key == "PRETTY_NAME") survey.distribution = value;
    if (key != "ID" && key != "ID_LIKE") continue;
    for (const std::string& name : split(value, ' ')) survey.family.push_back(name);
  }
}

}  // namespace

Survey survey_system() {
  Survey survey;
  if (void* loader = open_loader(survey.loader)) survey.validation = find_validation(loader);
  for (const fs::path& path : manifest_files()) survey.drivers.push_back(read_manifest(path));
  survey.nodes = find_nodes();
  survey.kernel_drivers = find_kernel_drivers();
  for (const char* name : {"CALDERA_DEVICE", "VK_DRIVER_FILES", "VK_ICD_FILENAMES",
                           "VK_ADD_DRIVER_FILES", "VK_LOADER_DRIVERS_SELECT",
                           "VK_LOADER_DRIVERS_DISABLE", "VK_INSTANCE_LAYERS", "VK_LAYER_PATH"}) {
    if (std::string value = variable(name); !value.empty()) {
      survey.environment.emplace_back(name, std::move(value));
    }
  }
  read_distribution(survey);
  return survey;
}

}  // namespace caldera::tool
