// The help's layout: usage with plain argument names, options with what they take, an example.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

namespace caldera::tool {

std::shared_ptr<CLI::FormatterBase> make_help_formatter();

// "NAME" of an option that takes one, without its validators.
std::string value_name(const CLI::Option& option);

}  // namespace caldera::tool
