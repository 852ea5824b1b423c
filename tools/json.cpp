// JSON, written and read by nlohmann's library; see json.h.
#include "tools/json.h"

#include <algorithm>
#include <cassert>
#include <nlohmann/json.hpp>

namespace caldera::tool {

using Library = nlohmann::ordered_json;

struct JsonConversion {
  static Library to_library(const Json& json) {
    return std::visit([](const auto& value) { return to_library(value); }, json.value_);
  }
  static Library to_library(const Json::Array& array) {
    Library result = Library::array();
    for (const Json& element : array) result.push_back(to_library(element));
    return result;
  }
  static Library to_library(const Json::Object& object) {
    Library result = Library::object();
    for (const auto& [key, value] : object) result[key] = to_library(value);
    return result;
  }
  template <typename T>
  static Library to_library(const T& scalar) {
    return scalar;
  }

  static Json from_library(const Library& json) {
    if (json.is_boolean()) return json.get<bool>();
    if (json.is_number_unsigned()) return json.get<uint64_t>();
    if (json.is_number_integer()) return json.get<int64_t>();
    if (json.is_number()) return json.get<double>();
    if (json.is_string()) return json.get<std::string>();
    Json result;
    if (json.is_array()) {
      result = Json::array();
      for (const Library& element : json) result.push_back(from_library(element));
    } else if (json.is_object()) {
      result = Json::object();
      for (const auto& [key, value] : json.items()) result[key] = from_library(value);
    }
    return result;
  }

  static bool is_pair(const Json& json) {
    const auto* array = std::get_if<Json::Array>(&json.value_);
    return array && array->size() == 2 &&
           std::holds_alternative<std::string>(array->front().value_);
  }
  static std::pair<std::string, Json> as_pair(const Json& json) {
    const auto& array = std::get<Json::Array>(json.value_);
    return {std::get<std::string>(array[0].value_), array[1]};
  }
};

Json::Json(std::initializer_list<Json> elements) {
  if (std::all_of(elements.begin(), elements.end(), JsonConversion::is_pair)) {
    Object& object = value_.emplace<Object>();
    for (const Json& element : elements) object.push_back(JsonConversion::as_pair(element));
  } else {
    value_.emplace<Array>(elements);
  }
}

Json Json::object() {
  Json json;
  json.value_.emplace<Object>();
  return json;
}

Json Json::parse(const std::string& text) {
  return JsonConversion::from_library(Library::parse(text, nullptr, false));
}

Json& Json::operator[](std::string_view key) {
  if (std::holds_alternative<std::nullptr_t>(value_)) value_.emplace<Object>();
  assert(std::holds_alternative<Object>(value_));
  auto& object = std::get<Object>(value_);
  const auto found = std::ranges::find(object, key, &Object::value_type::first);
  return found != object.end() ? found->second : object.emplace_back(key, nullptr).second;
}

void Json::push_back(Json element) {
  if (std::holds_alternative<std::nullptr_t>(value_)) value_.emplace<Array>();
  assert(std::holds_alternative<Array>(value_));
  std::get<Array>(value_).push_back(std::move(element));
}

void Json::update(const Json& object) {
  for (const auto& [key, value] : std::get<Object>(object.value_)) (*this)[key] = value;
}

std::string Json::dump(int indent) const {
  return JsonConversion::to_library(*this).dump(indent, ' ', false,
                                                Library::error_handler_t::replace);
}

}  // namespace caldera::tool
