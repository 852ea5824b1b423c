// The commands and options of the program, as each file of a command declares them. What parses
// them, CLI11, stands behind this in options.cpp, main.cpp, help.cpp and completion.cpp alone,
// since each file that reads its header is compiled for seconds.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace caldera::tool {

// What a value has to be.
struct Check {
  std::shared_ptr<const CLI::Validator> validator;
};
// For int, int64_t and double.
template <typename T>
Check in_range(T low, T high);
Check above_zero();  // A number.
Check one_of(const std::vector<std::string>& names);

// Each function returns the option itself.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  // What stands for the value in the help.
  Option* type_name(const std::string& name);
  Option* description(const std::string& text);
  Option* default_str(const std::string& text);
  Option* envname(const std::string& variable);
  Option* required();
  Option* check(const Check& check);
  // The function says what is wrong with a value, or nothing.
  Option* check(std::string (*wrong)(const std::string&));
  Option* needs(Option* other);
  Option* excludes(Option* other);
  // For a vector: what stands between values, and whether they may be words of their own.
  Option* delimiter(char character);
  Option* allow_extra_args(bool allowed);

 private:
  CLI::Option* option_;
};

class Command {
 public:
  explicit Command(CLI::App* command) : command_(command) {}

  // `value` has to live for as long as the parser; what it may be, options.cpp lists.
  template <typename T>
  Option* add_option(const std::string& name, T& value, const std::string& description);
  Option* add_option_function(const std::string& name,
                              const std::function<void(const std::string&)>& take,
                              const std::string& description);
  Option* add_flag(const std::string& name, bool& value, const std::string& description);
  // One that was added.
  Option* get_option(const std::string& name);
  void footer(const std::string& text);
  void callback(std::function<void()> function);
  // What was typed, so that a shell does it again: "caldera finetune net.pth 'my photos'".
  std::string line() const;

 private:
  Option* keep(CLI::Option* option) { return &options_.emplace_back(option); }

  CLI::App* command_;
  std::deque<Option> options_;  // Whose places do not change.
};

class Commands {
 public:
  explicit Commands(CLI::App& parser) : parser_(&parser) {}

  Command* add_subcommand(const std::string& name, const std::string& description);
  CLI::App& parser() { return *parser_; }

 private:
  CLI::App* parser_;
  std::deque<Command> commands_;
};

}  // namespace caldera::tool
