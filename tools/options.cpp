// Commands and options by CLI11; see options.h.
#include "tools/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

namespace caldera::tool {

template <typename T>
Check in_range(T low, T high) {
  return {std::make_shared<const CLI::Validator>(CLI::Range(low, high))};
}
template Check in_range(int, int);
template Check in_range(int64_t, int64_t);
template Check in_range(double, double);

Check above_zero() {
  // CLI11's own names the whole range of a double.
  const auto wrong = [](const std::string& text) {
    double value = 0;
    return CLI::detail::lexical_cast(text, value) && value > 0
               ? std::string()
               : fmt::format("{} is no number above 0", text);
  };
  return {std::make_shared<const CLI::Validator>(wrong, "")};
}

Check one_of(const std::vector<std::string>& names) {
  return {std::make_shared<const CLI::Validator>(CLI::IsMember(names))};
}

Option* Option::type_name(const std::string& name) {
  option_->type_name(name);
  return this;
}
Option* Option::description(const std::string& text) {
  option_->description(text);
  return this;
}
Option* Option::default_str(const std::string& text) {
  option_->default_str(text);
  return this;
}
Option* Option::envname(const std::string& variable) {
  option_->envname(variable);
  return this;
}
Option* Option::required() {
  option_->required();
  return this;
}
Option* Option::check(const Check& check) {
  option_->check(*check.validator);
  return this;
}
Option* Option::check(std::string (*wrong)(const std::string&)) {
  option_->check(wrong);
  return this;
}
Option* Option::needs(Option* other) {
  option_->needs(other->option_);
  return this;
}
Option* Option::excludes(Option* other) {
  option_->excludes(other->option_);
  return this;
}
Option* Option::delimiter(char character) {
  option_->delimiter(character);
  return this;
}
Option* Option::allow_extra_args(bool allowed) {
  option_->allow_extra_args(allowed);
  return this;
}

template <typename T>
Option* Command::add_option(const std::string& name, T& value, const std::string& description) {
  return keep(command_->add_option(name, value, description));
}
template Option* Command::add_option(const std::string&, std::string&, const std::string&);
template Option* Command::add_option(const std::string&, int32_t&, const std::string&);
template Option* Command::add_option(const std::string&, int64_t&, const std::string&);
template Option* Command::add_option(const std::string&, uint64_t&, const std::string&);
template Option* Command::add_option(const std::string&, float&, const std::string&);
template Option* Command::add_option(const std::string&, double&, const std::string&);
template Option* Command::add_option(const std::string&, std::optional<double>&,
                                     const std::string&);
template Option* Command::add_option(const std::string&, std::optional<std::string>&,
                                     const std::string&);
template Option* Command::add_option(const std::string&, std::vector<int32_t>&, const std::string&);
template Option* Command::add_option(const std::string&, std::vector<double>&, const std::string&);
template Option* Command::add_option(const std::string&, std::vector<std::string>&,
                                     const std::string&);

Option* Command::add_option_function(const std::string& name,
                                     const std::function<void(const std::string&)>& take,
                                     const std::string& description) {
  return keep(command_->add_option_function<std::string>(name, take, description));
}

Option* Command::add_flag(const std::string& name, bool& value, const std::string& description) {
  return keep(command_->add_flag(name, value, description));
}

Option* Command::get_option(const std::string& name) {
  return keep(command_->get_option(name));
}

void Command::footer(const std::string& text) {
  command_->footer(text);
}

void Command::callback(std::function<void()> function) {
  command_->callback(std::move(function));
}

std::string Command::line() const {
  std::string line = "caldera " + command_->get_name();
  const auto add = [&](const std::string& word) {
    const bool plain =
        !word.empty() && word.find_first_of(" \t\n'\"\\$&|;<>()*?[]{}#~`!") == std::string::npos;
    line += plain ? " " + word : " '" + CLI::detail::find_and_replace(word, "'", "'\\''") + "'";
  };
  // An option is there once for each time that it was typed, and has the values of them all.
  std::vector<const CLI::Option*> seen;
  for (const CLI::Option* option : command_->parse_order()) {
    if (std::find(seen.begin(), seen.end(), option) != seen.end()) continue;
    seen.push_back(option);
    const bool flag = option->get_expected_max() == 0;
    if (flag) add(option->get_name());
    for (const std::string& value : option->results()) {
      if (flag) break;
      if (!option->get_positional()) add(option->get_name());
      add(value);
    }
  }
  return line;
}

Command* Commands::add_subcommand(const std::string& name, const std::string& description) {
  return &commands_.emplace_back(parser_->add_subcommand(name, description));
}

}  // namespace caldera::tool
