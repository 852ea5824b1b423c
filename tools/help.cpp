// CLI11's formatter, less what it says twice: validators, types and REQUIRED marks.
#include "tools/help.h"

#include <algorithm>

namespace caldera::tool {

namespace {

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(26); }

  std::string make_description(const CLI::App* app) const override {
    return app->get_description() + "\n\n";
  }

  std::string make_subcommand(const CLI::App* command) const override {
    std::string name = "  " + command->get_name();
    name.resize(std::max(name.size() + 1, get_column_width()), ' ');
    return name + summary(command->get_description()) + "\n";
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string value = value_name(*option);
    return value.empty() ? "" : " " + value;
  }

  std::string make_option_usage(const CLI::Option* option) const override {
    const bool many = option->get_expected_max() > 1;
    const std::string name = make_option_name(option, true) + (many ? "..." : "");
    return option->get_default_str().empty() ? name : "[" + name + "]";
  }
};

}  // namespace

std::string value_name(const CLI::Option& option) {
  if (option.get_positional() || option.get_items_expected_max() == 0) return "";
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

std::string summary(const std::string& description) {
  std::string text = description;
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (const size_t stop = text.find_first_of(":."); stop != std::string::npos) text.resize(stop);
  return text;
}

std::shared_ptr<CLI::FormatterBase> make_help_formatter() {
  return std::make_shared<HelpFormatter>();
}

}  // namespace caldera::tool
