// `caldera models`: the architectures that can be built by name.
#include <fmt/format.h>

#include "caldera/architecture.h"

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/report.h"

namespace caldera::tool {

namespace {

struct Args {
  bool json = false;
};

Result<int> run_models(const Args& args) {
  Json list = Json::array();
  using enum Table::Align;
  Table table({{"name"}, {"input"}, {"parameters", kRight}, {"multiply-adds", kRight}, {""}});
  for (const ArchitectureEntry& entry : list_architectures()) {
    CALDERA_TRY_ASSIGN(const Architecture architecture, find_architecture(entry.name));
    CALDERA_TRY_ASSIGN(const Graph graph, build_graph(architecture, 1));
    const int64_t parameters = parameter_count(graph);
    const int64_t work = multiply_adds(graph);
    const Size2d input = architecture.input;
    list.push_back({{"name", entry.name},
                    {"description", entry.description},
                    {"input", {architecture.input_channels, input.h, input.w}},
                    {"classes", architecture.classes},
                    {"parameters", parameters},
                    {"multiply_adds", work}});
    table.add({entry.name, fmt::format("{}x{}", input.w, input.h),
               human_count(static_cast<double>(parameters)), human_count(static_cast<double>(work)),
               entry.description});
  }
  if (args.json) {
    print_json({{"models", list}});
  } else {
    table.print();
  }
  return kExitDone;
}

}  // namespace

void add_models(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "models",
      "List the architectures. Parameters follow a name after a colon: resnet34:shortcut=c,\n"
      "cifar_resnet20:classes=100.");
  add_json_option(*command, args->json);
  command->footer("Example:\n  caldera models --json");
  on_chosen(*command, action, args, run_models);
}

}  // namespace caldera::tool
