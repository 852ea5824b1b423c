// The help's layout: what a command does, usage with plain argument names, options with what they
// take, an example.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

namespace caldera::tool {

std::shared_ptr<CLI::FormatterBase> make_help_formatter();

// "NAME" of an option that takes one, without its validators.
std::string value_name(const CLI::Option& option);

// The first sentence of a description, without its full stop.
std::string summary(const std::string& description);

}  // namespace caldera::tool
