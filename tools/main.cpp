// The `caldera` program: chooses a subcommand, runs it, and turns its outcome into an exit code.
// 0 is done, 1 failed, 2 bad usage or input; whatever is wrong is one line on standard error.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <numeric>

#include <fmt/format.h>

#include "tools/command.h"
#include "tools/help.h"
#include "tools/report.h"

namespace caldera::tool {
namespace {

// Single-letter insertions, deletions and replacements between two words.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

int unknown_command(const CLI::App& app, std::string_view given) {
  std::string nearest;
  size_t distance = 3;
  for (const CLI::App* command : app.get_subcommands({})) {
    const size_t d = edit_distance(given, command->get_name());
    if (d >= distance) continue;
    distance = d;
    nearest = command->get_name();
  }
  return print_error(usage_error(
      nearest.empty()
          ? fmt::format("no command '{}'; `caldera --help` lists them", given)
          : fmt::format("no command '{}'; did you mean `caldera {}`?", given, nearest)));
}

// What the parser found wrong, and where to read on.
int usage_exit(const CLI::App& app, const CLI::ParseError& error) {
  std::string help = "caldera";
  for (const CLI::App* command : app.get_subcommands()) help += " " + command->get_name();
  return print_error(usage_error(fmt::format("{}; see `{} --help`", error.what(), help)));
}

void set_up(CLI::App& app, Action& action) {
  app.formatter(make_help_formatter());
  app.set_help_flag("-h,--help", "Show this help");
  app.set_version_flag("--version", "caldera " CALDERA_VERSION, "Show the version");
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done, 1 failed, 2 bad usage or input.\n\n"
      "Example:\n"
      "  caldera classify resnet50.pth cat.jpg --labels imagenet.txt");
  add_devices(app, action);
  add_doctor(app, action);
  add_models(app, action);
  add_inspect(app, action);
  add_convert(app, action);
  add_classify(app, action);
  add_eval(app, action);
  add_run(app, action);
  add_verify(app, action);
  add_completion(app, action);
}

int run(int argc, char** argv) {
  CLI::App app("Residual networks on any Vulkan GPU.", "caldera");
  Action action;
  set_up(app, action);
  if (argc < 2) {
    return print_error(usage_error("name a command; `caldera --help` lists them"));
  }
  const auto commands = app.get_subcommands({});
  const bool known =
      argv[1][0] == '-' || std::any_of(commands.begin(), commands.end(),
                                       [&](const CLI::App* c) { return c->get_name() == argv[1]; });
  if (!known) return unknown_command(app, argv[1]);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    fmt::print("{}", chosen.empty() ? app.help() : chosen.front()->help());
    return kExitDone;
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return usage_exit(app, error);
  }
  const Result<int> outcome = action();
  return outcome.ok() ? *outcome : print_error(outcome.error());
}

}  // namespace
}  // namespace caldera::tool

int main(int argc, char** argv) {
  using namespace caldera::tool;
  int code = kExitFailed;
  try {
    code = run(argc, argv);
  } catch (const std::bad_alloc&) {
    print_note("out of host memory; try a smaller --batch");
  } catch (const std::exception& error) {
    print_note(error.what());
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    print_note("standard output cannot be written; is the disk full or the pipe closed?");
    return std::max(code, kExitFailed);
  }
  return code;
}
