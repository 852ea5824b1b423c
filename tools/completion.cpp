// `caldera completion SHELL`: a script made from the parser's own commands and options, so that it
// knows whatever the program knows.
#include <CLI/CLI.hpp>
#include <algorithm>

#include <fmt/format.h>

#include "caldera/architecture.h"
#include "caldera/autodiff.h"
#include "caldera/image.h"

#include "tools/command.h"
#include "tools/help.h"

namespace caldera::tool {

namespace {

struct CompletedOption {
  std::vector<std::string> names;  // With their dashes.
  std::string description;
  bool takes_value = false;
  bool repeats = false;
  std::vector<std::string> values;  // Empty: files.
};

struct CompletedCommand {
  std::string name;
  std::string description;
  std::vector<CompletedOption> options;
  std::vector<std::string> values;  // Of its positionals; empty: files.
};

const std::vector<std::string> kShells{"bash", "zsh", "fish"};

// What the parser checks it for, which it tells as "NAME:{fp32,mixed}"; and names that are checked
// later.
std::vector<std::string> values_of(const CLI::Option& option) {
  std::vector<std::string> names;
  if (option.check_lname("preprocess")) return preprocess_names();
  if (option.check_lname("arch")) {
    for (const ArchitectureEntry& entry : list_architectures()) names.push_back(entry.name);
  }
  const std::string type = option.get_type_name();
  if (const size_t begin = type.find(":{"); begin != std::string::npos && type.ends_with('}'))
    names = CLI::detail::split(type.substr(begin + 2, type.size() - begin - 3), ',');
  return names;
}

std::vector<CompletedOption> options_of(const CLI::App& app) {
  std::vector<CompletedOption> options;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->nonpositional()) continue;
    CompletedOption completed{.names = {}, .description = option->get_description(), .values = {}};
    for (const std::string& name : option->get_snames()) completed.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) completed.names.push_back("--" + name);
    completed.values = values_of(*option);
    completed.takes_value = option->get_items_expected_max() > 0;
    completed.repeats = option->get_expected_max() > 1;
    options.push_back(std::move(completed));
  }
  return options;
}

std::vector<CompletedCommand> commands_of(const CLI::App& app) {
  std::vector<CompletedCommand> commands;
  for (const CLI::App* command : app.get_subcommands({})) {
    const bool shells = command->get_name() == "completion";
    commands.push_back({command->get_name(), summary(command->get_description()),
                        options_of(*command), shells ? kShells : std::vector<std::string>{}});
  }
  return commands;
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

// For a single-quoted string of bash, zsh and fish.
std::string quoted(std::string text) {
  for (size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) {
    text.replace(at, 1, "'\\''");
  }
  return "'" + text + "'";
}

std::string bash_script(const std::vector<CompletedCommand>& commands) {
  std::vector<std::string> names;
  std::string options;
  std::string values;
  for (const CompletedCommand& command : commands) {
    names.push_back(command.name);
    std::vector<std::string> words;
    for (const CompletedOption& option : command.options) {
      words.insert(words.end(), option.names.begin(), option.names.end());
      if (!option.takes_value) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : option.names) patterns.push_back(command.name + ":" + name);
      const std::string choices = option.values.empty()
                                      ? "compopt -o default"
                                      : fmt::format("COMPREPLY=($(compgen -W {} -- \"$word\"))",
                                                    quoted(joined(option.values)));
      values += fmt::format("    {}) {}; return ;;\n", fmt::join(patterns, " | "), choices);
    }
    options += fmt::format("    {}) options={} values={} ;;\n", command.name, quoted(joined(words)),
                           quoted(joined(command.values)));
  }
  return fmt::format(R"(# bash completion for caldera, made by `caldera completion bash`.
_caldera() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
  local options values
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '{} --help --version' -- "$word"))
    return
  fi
  case "$command:$before" in
{}  esac
  case "$command" in
{}    *) return ;;
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) COMPREPLY=($(compgen -W "$values" -- "$word")) ;;
  esac
  if ((${{#COMPREPLY[@]}} == 0)); then compopt -o default; fi
}}
complete -F _caldera caldera
)",
                     joined(names), values, options);
}

// In zsh's "name[description]:value:action", brackets and colons need a backslash.
std::string zsh_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string zsh_script(const std::vector<CompletedCommand>& commands) {
  std::string names;
  std::string cases;
  for (const CompletedCommand& command : commands) {
    names += "    " + quoted(zsh_text(command.name) + ":" + command.description) + "\n";
    cases += fmt::format("    {})\n      _arguments -s", command.name);
    for (const CompletedOption& option : command.options) {
      for (const std::string& name : option.names) {
        std::string spec =
            fmt::format("{}{}[{}]", option.repeats ? "*" : "", name, zsh_text(option.description));
        if (option.takes_value) {
          spec += option.values.empty() ? ":value:_files"
                                        : fmt::format(":value:({})", joined(option.values));
        }
        cases += " \\\n        " + quoted(spec);
      }
    }
    cases += " \\\n        " +
             quoted(command.values.empty() ? "*:file:_files"
                                           : fmt::format("*:value:({})", joined(command.values))) +
             "\n      ;;\n";
  }
  return fmt::format(R"(#compdef caldera
# zsh completion for caldera, made by `caldera completion zsh`.
_caldera() {{
  local -a commands
  commands=(
{}  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
{}  esac
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _caldera "$@"; else compdef _caldera caldera; fi
)",
                     names, cases);
}

std::string fish_script(const std::vector<CompletedCommand>& commands) {
  std::string script =
      "# fish completion for caldera, made by `caldera completion fish`.\n"
      "complete -c caldera -n __fish_use_subcommand -l help -d 'Show this help'\n"
      "complete -c caldera -n __fish_use_subcommand -l version -d 'Show the version'\n";
  for (const CompletedCommand& command : commands) {
    script += fmt::format("complete -c caldera -n __fish_use_subcommand -f -a {} -d {}\n",
                          command.name, quoted(command.description));
    const std::string here = quoted("__fish_seen_subcommand_from " + command.name);
    for (const CompletedOption& option : command.options) {
      script += fmt::format("complete -c caldera -n {}", here);
      for (const std::string& name : option.names) {
        const bool is_long = name.starts_with("--");
        script += fmt::format(" -{} {}", is_long ? 'l' : 's', name.substr(is_long ? 2 : 1));
      }
      if (option.takes_value) script += " -r";
      if (!option.values.empty()) script += " -f -a " + quoted(joined(option.values));
      script += " -d " + quoted(option.description) + "\n";
    }
    if (!command.values.empty()) {
      script +=
          fmt::format("complete -c caldera -n {} -f -a {}\n", here, quoted(joined(command.values)));
    }
  }
  return script;
}

}  // namespace

void add_completion(Commands& app, Action& action) {
  auto shell = std::make_shared<std::string>();
  Command* command =
      app.add_subcommand("completion", "Print a shell's completion script: bash, zsh or fish.");
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(one_of(kShells));
  command->footer(
      "Example:\n"
      "  source <(caldera completion bash)\n"
      "  caldera completion fish > ~/.config/fish/completions/caldera.fish");
  command->callback([&app, &action, shell] {
    action = [&app, shell]() -> Result<int> {
      const std::vector<CompletedCommand> commands = commands_of(app.parser());
      fmt::print("{}", *shell == "bash"  ? bash_script(commands)
                       : *shell == "zsh" ? zsh_script(commands)
                                         : fish_script(commands));
      return kExitDone;
    };
  });
}

}  // namespace caldera::tool
