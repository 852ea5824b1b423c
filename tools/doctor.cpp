// `caldera doctor`: what of Vulkan is found, what is missing, and what to install for it.
#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <unistd.h>

#include "caldera/device.h"

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/report.h"
#include "tools/survey.h"

namespace caldera::tool {

namespace {

struct Args {
  bool json = false;
};

// What each distribution calls the parts.
struct Packages {
  std::string_view family;  // As in os-release.
  std::string_view install;
  std::string_view loader;
  std::string_view mesa;
  std::string_view nvidia;
  std::string_view validation;
};

constexpr std::array kPackages{
    Packages{"ubuntu", "sudo apt install", "libvulkan1", "mesa-vulkan-drivers",
             "libnvidia-gl-<version of your driver>", "vulkan-validationlayers"},
    Packages{"debian", "sudo apt install", "libvulkan1", "mesa-vulkan-drivers", "nvidia-vulkan-icd",
             "vulkan-validationlayers"},
    Packages{"fedora", "sudo dnf install", "vulkan-loader", "mesa-vulkan-drivers",
             "xorg-x11-drv-nvidia", "vulkan-validation-layers"},
    Packages{"arch", "sudo pacman -S", "vulkan-icd-loader",
             "vulkan-radeon vulkan-intel vulkan-swrast", "nvidia-utils",
             "vulkan-validation-layers"},
};

const Packages* packages_of(const Survey& survey) {
  for (const std::string& family : survey.family) {
    for (const Packages& packages : kPackages) {
      if (packages.family == family) return &packages;
    }
  }
  return nullptr;
}

std::string install_line(const Survey& survey, std::string_view Packages::*part) {
  if (const Packages* packages = packages_of(survey)) {
    return fmt::format("{} {}", packages->install, packages->*part);
  }
  std::string line;
  for (const Packages& packages : kPackages) {
    line += fmt::format("{}{} ({})", line.empty() ? "" : ", or ", packages.*part, packages.family);
  }
  return "install " + line;
}

bool has(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

struct Findings {
  Survey survey;
  Result<std::vector<DeviceInfo>> devices = std::vector<DeviceInfo>{};
  bool usable = false;
  bool usable_gpu = false;
  std::vector<std::string> advice;
};

bool nvidia_node(const NodeFacts& node) {
  return node.path.filename().string().starts_with("nvidia");
}

void advise_on_nodes(const Survey& survey, std::vector<std::string>& advice) {
  for (const NodeFacts& node : survey.nodes) {
    if (node.accessible) continue;
    advice.push_back(
        fmt::format("{} may not be opened by you: join its group, `sudo usermod -aG {} "
                    "$USER`, and log in again",
                    node.path.string(), node.group));
  }
}

// GPUs that the kernel shows but Vulkan does not.
void advise_on_gpus(const Findings& findings, std::vector<std::string>& advice) {
  const Survey& survey = findings.survey;
  const bool nvidia = has(survey.kernel_drivers, "nvidia") ||
                      std::any_of(survey.nodes.begin(), survey.nodes.end(), nvidia_node);
  const bool nvidia_icd =
      std::any_of(survey.drivers.begin(), survey.drivers.end(), [](const ManifestFacts& driver) {
        return driver.error.empty() && driver.library.find("nvidia") != std::string::npos;
      });
  const bool nodes = !survey.nodes.empty();
  if (nvidia && !nvidia_icd) {
    advice.push_back(fmt::format(
        "an NVIDIA GPU is there, but not its Vulkan driver: {}; in a container, start it with "
        "`--gpus all -e NVIDIA_DRIVER_CAPABILITIES=all`",
        install_line(survey, &Packages::nvidia)));
  }
  if (has(survey.kernel_drivers, "nouveau")) {
    advice.push_back(
        fmt::format("the kernel runs its own driver for an NVIDIA GPU; NVIDIA's may "
                    "be faster: {}",
                    install_line(survey, &Packages::nvidia)));
  }
  if (!nodes && !survey.kernel_drivers.empty()) {
    advice.push_back(
        "a display adapter is there, but no device file to reach it: in a container, add `--device "
        "/dev/dri`; else check that the kernel's driver is loaded");
  }
}

std::vector<std::string> advice_on(const Findings& findings) {
  const Survey& survey = findings.survey;
  std::vector<std::string> advice;
  for (const auto& [name, value] : survey.environment) {
    if (findings.usable || name == "CALDERA_DEVICE" || !name.starts_with("VK_")) continue;
    advice.push_back(fmt::format("{} is set, and decides which drivers are seen: unset it", name));
  }
  if (survey.loader.path.empty()) {
    advice.push_back("the Vulkan loader is missing: " + install_line(survey, &Packages::loader));
  }
  const bool driver = std::any_of(survey.drivers.begin(), survey.drivers.end(),
                                  [](const ManifestFacts& d) { return d.error.empty(); });
  if (!driver) {
    advice.push_back(fmt::format(
        "{}: {} (drivers for AMD, Intel and the CPU)",
        survey.drivers.empty() ? "no Vulkan driver is installed" : "no Vulkan driver can be loaded",
        install_line(survey, &Packages::mesa)));
  }
  if (!findings.usable_gpu) {
    advise_on_gpus(findings, advice);
    advise_on_nodes(survey, advice);
  }
  if (!findings.usable && driver && findings.devices.ok() && findings.devices->empty()) {
    advice.push_back(fmt::format("the drivers show no device; one for the CPU always does: {}",
                                 install_line(survey, &Packages::mesa)));
  }
  return advice;
}

Json to_json(const Findings& findings) {
  const Survey& survey = findings.survey;
  Json drivers = Json::array();
  for (const ManifestFacts& driver : survey.drivers) {
    drivers.push_back({{"manifest", driver.path.string()},
                       {"library", driver.library},
                       {"api_version", driver.api_version},
                       {"loads", driver.error.empty()},
                       {"error", driver.error}});
  }
  Json devices = Json::array();
  if (findings.devices.ok()) {
    for (const DeviceInfo& device : *findings.devices) {
      devices.push_back({{"index", device.index},
                         {"name", device.name},
                         {"type", device_type_name(device.type)},
                         {"usable", device.unusable.empty()},
                         {"unusable", device.unusable}});
    }
  }
  Json nodes = Json::array();
  for (const NodeFacts& node : survey.nodes) {
    nodes.push_back(
        {{"path", node.path.string()}, {"accessible", node.accessible}, {"group", node.group}});
  }
  Json environment = Json::object();
  for (const auto& [name, value] : survey.environment) environment[name] = value;
  return {{"usable", findings.usable},
          {"distribution", survey.distribution},
          {"loader",
           {{"path", survey.loader.path},
            {"version", survey.loader.version},
            {"error", survey.loader.error}}},
          {"drivers", drivers},
          {"devices", devices},
          {"devices_error", findings.devices.ok() ? "" : findings.devices.error().message},
          {"validation_layer",
           {{"installed", survey.validation.installed}, {"version", survey.validation.version}}},
          {"device_files", nodes},
          {"kernel_drivers", survey.kernel_drivers},
          {"environment", environment},
          {"cache", cache_dir().string()},
          {"advice", findings.advice}};
}

// The first row of a group bears its title.
void add_rows(Table& table, const std::string& title, const std::vector<std::string>& rows,
              const std::string& none) {
  for (size_t i = 0; i < rows.size(); ++i) table.add({i == 0 ? title : "", rows[i]});
  if (rows.empty()) table.add({title, none});
}

void print_findings(const Findings& findings) {
  const Survey& survey = findings.survey;
  Table table({{""}, {""}});
  table.add({"system", survey.distribution.empty() ? "unknown" : survey.distribution});
  table.add({"loader", survey.loader.path.empty() ? "missing: " + survey.loader.error
                                                  : fmt::format("{}, Vulkan {}", survey.loader.path,
                                                                survey.loader.version)});
  std::vector<std::string> rows;
  for (const ManifestFacts& driver : survey.drivers) {
    rows.push_back(driver.error.empty()
                       ? fmt::format("{}, Vulkan {}", driver.path.string(), driver.api_version)
                       : fmt::format("{}: {}{}{}", driver.path.string(), driver.library,
                                     driver.library.empty() ? "" : ": ", driver.error));
  }
  add_rows(table, "drivers", rows, "none");
  rows.clear();
  if (findings.devices.ok()) {
    for (const DeviceInfo& device : *findings.devices) {
      rows.push_back(fmt::format("{}: {}, {}{}", device.index, device.name,
                                 device_type_name(device.type),
                                 device.unusable.empty() ? "" : ", unusable: " + device.unusable));
    }
  }
  add_rows(table, "devices", rows,
           findings.devices.ok() ? "none" : findings.devices.error().message);
  rows.clear();
  for (const NodeFacts& node : survey.nodes) {
    rows.push_back(node.path.string() +
                   (node.accessible ? "" : ", closed to you (group " + node.group + ")"));
  }
  add_rows(table, "device files", rows, "none (a GPU needs one, a driver for the CPU does not)");
  if (!survey.kernel_drivers.empty()) {
    table.add({"kernel", fmt::format("{}", fmt::join(survey.kernel_drivers, ", "))});
  }
  table.add({"validation", survey.validation.installed
                               ? "layer " + survey.validation.version
                               : "not installed; only --validation needs it: " +
                                     install_line(survey, &Packages::validation)});
  rows.clear();
  for (const auto& [name, value] : survey.environment) rows.push_back(name + "=" + value);
  if (!rows.empty()) add_rows(table, "environment", rows, "");
  table.add(
      {"cache", cache_dir().empty() ? "none: set HOME or XDG_CACHE_HOME" : cache_dir().string()});
  table.print();
  fmt::print("\n");
  for (const std::string& advice : findings.advice) fmt::print("- {}\n", advice);
  if (findings.usable) {
    fmt::print("Caldera can run here{}.\n",
               findings.usable_gpu ? "" : ", on the CPU alone: no GPU is usable");
  } else {
    fmt::print("Caldera cannot run here.\n");
  }
}

Result<int> run_doctor(const Args& args) {
  Findings findings;
  findings.survey = survey_system();
  findings.devices = list_devices();
  if (findings.devices.ok()) {
    for (const DeviceInfo& device : *findings.devices) {
      if (!device.unusable.empty()) continue;
      findings.usable = true;
      findings.usable_gpu |= device.type != DeviceType::kCpu;
    }
  }
  findings.advice = advice_on(findings);
  if (args.json) {
    print_json(to_json(findings));
  } else {
    print_findings(findings);
  }
  return findings.usable ? kExitDone : kExitFailed;
}

}  // namespace

void add_doctor(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "doctor",
      "Say what of Vulkan this machine has, what is missing, and what to install. Exit status 1\n"
      "where no device is usable.");
  add_json_option(*command, args->json);
  command->footer("Example:\n  caldera doctor");
  on_chosen(*command, action, args, run_doctor);
}

}  // namespace caldera::tool
