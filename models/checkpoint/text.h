// Text out of untrusted files: made fit for one line of a message, and checked to be UTF-8 before
// it becomes a name.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace caldera {

// `text` with control characters and bytes that are no UTF-8 as \xNN, and "..." for what is beyond
// `limit` bytes.
std::string printable(std::string_view text, size_t limit = 120);
// The same between single quotes.
std::string in_quotes(std::string_view text);

// Whether all of `text` is well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);

}  // namespace caldera
