// `caldera devices`: what can be named by --device, best first.
#include <fmt/format.h>

#include "caldera/device.h"

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/report.h"

namespace caldera::tool {

namespace {

struct Args {
  bool json = false;
};

Json to_json(const DeviceInfo& device) {
  return {{"index", device.index},
          {"name", device.name},
          {"type", device_type_name(device.type)},
          {"uuid", device.uuid},
          {"driver", device.driver_name},
          {"driver_info", device.driver_info},
          {"api_version", device.api_version},
          {"memory_bytes", device.memory_bytes},
          {"memory_available", device.memory_available},
          {"subgroup_size", device.subgroup_size},
          {"max_workgroup_invocations", device.max_workgroup_invocations},
          {"max_storage_buffer_range", device.max_storage_buffer_range},
          {"fp16", device.fp16},
          {"cooperative_matrix", device.cooperative_matrix},
          {"usable", device.unusable.empty()},
          {"unusable", device.unusable}};
}

Result<int> run_devices(const Args& args) {
  CALDERA_TRY_ASSIGN(const std::vector<DeviceInfo> devices, list_devices());
  if (args.json) {
    Json list = Json::array();
    for (const DeviceInfo& device : devices) list.push_back(to_json(device));
    print_json({{"devices", list}});
    return kExitDone;
  }
  if (devices.empty()) {
    return Error{ErrorCode::kNoDevice, "no Vulkan device; `caldera doctor` says what to install"};
  }
  using enum Table::Align;
  Table table({{"#", kRight},
               {"name"},
               {"type"},
               {"Vulkan"},
               {"driver"},
               {"memory", kRight},
               {"fp16"},
               {"matrices"},
               {"uuid"}});
  for (const DeviceInfo& d : devices) {
    table.add({fmt::format("{}", d.index), d.name, std::string(device_type_name(d.type)),
               d.api_version,
               d.driver_info.empty() ? d.driver_name : d.driver_name + ", " + d.driver_info,
               human_bytes(d.memory_bytes), d.fp16 ? "yes" : "no",
               d.cooperative_matrix ? "yes" : "no", d.uuid});
  }
  table.print();
  for (const DeviceInfo& d : devices) {
    if (!d.unusable.empty()) fmt::print("{} cannot be used: {}\n", d.index, d.unusable);
  }
  return kExitDone;
}

}  // namespace

void add_devices(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "devices",
      "List the Vulkan devices, best first: the first one is taken unless --device or\n"
      "CALDERA_DEVICE names another by its number, a part of its name, or its UUID.");
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera devices\n"
      "  CALDERA_DEVICE=llvmpipe caldera run resnet18");
  on_chosen(*command, action, args, run_devices);
}

}  // namespace caldera::tool
