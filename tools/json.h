// JSON as commands print it: a value that is filled and written, keys in the order in which they
// came. The library that knows how a number or a string is spelled stands behind json.cpp alone,
// since each file that reads its header is compiled for seconds.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace caldera::tool {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json(std::nullptr_t = nullptr) {}    // NOLINT: implicit, as the rest
  Json(bool value) : value_(value) {}  // NOLINT
  Json(std::signed_integral auto value) : value_(int64_t{value}) {}     // NOLINT
  Json(std::unsigned_integral auto value) : value_(uint64_t{value}) {}  // NOLINT
  Json(std::floating_point auto value) : value_(double{value}) {}       // NOLINT
  Json(std::string value) : value_(std::move(value)) {}                 // NOLINT
  Json(std::string_view value) : value_(std::string(value)) {}          // NOLINT
  Json(const char* value) : value_(std::string(value)) {}               // NOLINT
  template <typename T>
  Json(const std::vector<T>& values) : value_(Array(values.begin(), values.end())) {}  // NOLINT
  // An object where every element is a pair of a string and a value, else an array.
  Json(std::initializer_list<Json> elements);

  static Json array() { return Json(Array()); }
  static Json object();
  // Null of what is not JSON.
  static Json parse(const std::string& text);

  // For an object, or for null, which becomes one: the key's value, null where it is new.
  Json& operator[](std::string_view key);
  // For an array, or for null, which becomes one.
  void push_back(Json element);
  // Sets each key of another object.
  void update(const Json& object);

  // On one line, or indented by that many spaces a level. Bytes that are not UTF-8, as file names
  // may have, are replaced.
  std::string dump(int indent = -1) const;

 private:
  friend struct JsonConversion;
  std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

}  // namespace caldera::tool
