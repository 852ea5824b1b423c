// The `caldera` program: chooses a subcommand, runs it, and turns its outcome into an exit code.
// 0 is done, 1 failed, 2 bad usage or input; whatever is wrong is one line on standard error.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>

#include <fmt/format.h>

#include "caldera/nearest.h"

#include "tools/command.h"
#include "tools/help.h"
#include "tools/report.h"

namespace caldera::tool {
namespace {

// An error for the first word that is neither a command nor one of its options. The parser would
// tell the second as a surplus argument.
Status check_words(const CLI::App& app, int argc, char** argv) {
  if (argc < 2) return usage_error("name a command; `caldera --help` lists them");
  if (argv[1][0] == '-') return {};
  const CLI::App* chosen = nullptr;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) {
    names.push_back(command->get_name());
    if (names.back() == argv[1]) chosen = command;
  }
  if (!chosen) {
    const std::string meant = nearest(argv[1], names);
    if (meant.empty()) {
      return usage_error(fmt::format("no command '{}'; `caldera --help` lists them", argv[1]));
    }
    return usage_error(fmt::format("no command '{}'; did you mean `caldera {}`?", argv[1], meant));
  }
  for (int i = 2; i < argc && std::string_view(argv[i]) != "--"; ++i) {
    std::string option = argv[i];
    if (!option.starts_with("--")) continue;
    option.resize(std::min(option.find('='), option.size()));
    if (chosen->get_option_no_throw(option)) continue;
    std::vector<std::string> options;
    for (const CLI::Option* known : chosen->get_options()) {
      for (const std::string& name : known->get_lnames()) options.push_back("--" + name);
    }
    const std::string meant = nearest(option, options);
    return usage_error(fmt::format("{} has no option {}; {}", chosen->get_name(), option,
                                   meant.empty()
                                       ? fmt::format("see `caldera {} --help`", chosen->get_name())
                                       : fmt::format("did you mean {}?", meant)));
  }
  return {};
}

// What the parser found wrong, and where to read on.
int usage_exit(const CLI::App& app, const CLI::ParseError& error) {
  std::string help = "caldera";
  for (const CLI::App* command : app.get_subcommands()) help += " " + command->get_name();
  std::string what = error.what();
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
    // "--repeat: 1 required INT missing", in other words.
    const bool surplus = what.find("At Most") != std::string::npos;
    what = what.substr(0, what.find(':')) + (surplus ? " may be given once" : " wants a value");
  }
  return print_error(usage_error(fmt::format("{}; see `{} --help`", what, help)));
}

void set_up(CLI::App& app, Commands& commands, Action& action) {
  app.formatter(make_help_formatter());
  app.set_help_flag("-h,--help", "Show this help");
  app.set_version_flag("--version", "caldera " CALDERA_VERSION, "Show the version");
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done, 1 failed, 2 bad usage or input, 130 training stopped by Ctrl-C.\n\n"
      "Example:\n"
      "  caldera classify resnet50.pth cat.jpg --labels imagenet.txt");
  add_devices(commands, action);
  add_doctor(commands, action);
  add_models(commands, action);
  add_inspect(commands, action);
  add_convert(commands, action);
  add_classify(commands, action);
  add_eval(commands, action);
  add_run(commands, action);
  add_finetune(commands, action);
  add_train(commands, action);
  add_bench(commands, action);
  add_profile(commands, action);
  add_tune(commands, action);
  add_verify(commands, action);
  add_completion(commands, action);
}

int run(int argc, char** argv) {
  CLI::App app("Residual networks on any Vulkan GPU.", "caldera");
  Commands commands(app);
  Action action;
  set_up(app, commands, action);
  if (const Status words = check_words(app, argc, argv); !words.ok()) {
    return print_error(words.error());
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    fmt::print("{}", chosen.empty() ? app.help() : chosen.front()->help("caldera"));
    return kExitDone;
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return usage_exit(app, error);
  }
  try {
    const Result<int> outcome = action();
    return outcome.ok() ? *outcome : print_error(outcome.error());
  } catch (const std::bad_alloc&) {
    const bool batched = app.get_subcommands().front()->get_option_no_throw("--batch") != nullptr;
    print_note(batched ? "out of host memory; try a smaller --batch"
                       : "out of host memory; close other programs, or use a smaller file");
    return kExitFailed;
  }
}

}  // namespace
}  // namespace caldera::tool

int main(int argc, char** argv) {
  using namespace caldera::tool;
  int code = kExitFailed;
  try {
    code = run(argc, argv);
  } catch (const std::exception& error) {
    print_note(error.what());
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    print_note("standard output cannot be written; is the disk full or the pipe closed?");
    return std::max(code, kExitFailed);
  }
  return code;
}
