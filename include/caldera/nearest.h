// What a mistyped word was likely meant to be, for commands, options and architectures alike.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace caldera {

// The candidate fewest edits away, at most `within`: beyond, a guess misleads. Empty where none is.
std::string nearest(std::string_view given, const std::vector<std::string>& candidates,
                    size_t within = 2);

}  // namespace caldera
