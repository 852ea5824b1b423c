// A handler of nlohmann's SAX events. It stops at the first event that has no place in a header,
// so that what is built is bounded by what a header may hold.
#include "models/checkpoint/safetensors_header.h"

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "models/checkpoint/text.h"

namespace caldera {

namespace {

constexpr size_t kMaxRank = 64;
constexpr std::string_view kMetadata = "__metadata__";

class Handler : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeader header;
  std::string problem;

  bool start_object(size_t) override {
    if (level_ == kOutside) return go(kTop);
    if (level_ == kTop && key_ == kMetadata) return go(kInMetadata);
    if (level_ == kTop) {
      header.entries.push_back({});
      entry().name = key_;
      fields_seen_ = 0;
      return go(kInEntry);
    }
    return misplaced();
  }

  bool end_object() override {
    if (level_ == kInEntry) {
      if (fields_seen_ != (kDType | kShape | kOffsets)) {
        return fail("tensor " + in_quotes(entry().name) +
                    " lacks its dtype, shape or data_offsets");
      }
      return go(kTop);
    }
    return go(level_ == kInMetadata ? kTop : kOutside);
  }

  bool key(std::string& text) override {
    key_ = text;
    if (level_ == kTop && !names_.insert(text).second) {
      return fail("tensor " + in_quotes(text) + " is there twice");
    }
    if (level_ == kInMetadata && header.metadata.contains(text)) {
      return fail("metadata " + in_quotes(text) + " is there twice");
    }
    if (level_ == kInEntry) {
      const Field field = text == "dtype"          ? kDType
                          : text == "shape"        ? kShape
                          : text == "data_offsets" ? kOffsets
                                                   : kNoField;
      if (field == kNoField || (fields_seen_ & field)) {
        return fail("tensor " + in_quotes(entry().name) + " has an odd field " + in_quotes(text));
      }
      fields_seen_ |= field;
    }
    return true;
  }

  bool string(std::string& text) override {
    if (level_ == kInMetadata) {
      header.metadata.emplace(key_, text);
      return true;
    }
    if (level_ == kInEntry && key_ == "dtype") {
      entry().dtype = text;
      return true;
    }
    return misplaced();
  }

  bool start_array(size_t) override {
    if (level_ != kInEntry || key_ == "dtype") return misplaced();
    numbers_.clear();
    return go(kInArray);
  }

  bool end_array() override {
    if (key_ == "shape") {
      entry().shape.assign(numbers_.begin(), numbers_.end());
    } else {
      if (numbers_.size() != 2) return misplaced();
      entry().begin = numbers_[0];
      entry().end = numbers_[1];
    }
    return go(kInEntry);
  }

  bool number_unsigned(uint64_t value) override {
    if (level_ != kInArray || numbers_.size() == kMaxRank || value > INT64_MAX) return misplaced();
    numbers_.push_back(value);
    return true;
  }

  bool null() override { return misplaced(); }
  bool boolean(bool) override { return misplaced(); }
  bool number_integer(int64_t) override { return misplaced(); }
  bool number_float(double, const std::string&) override { return misplaced(); }
  bool binary(nlohmann::json::binary_t&) override { return misplaced(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return fail("its header is no JSON, from byte " + std::to_string(position) + " on");
  }

 private:
  enum Level : uint8_t { kOutside, kTop, kInMetadata, kInEntry, kInArray };
  enum Field : unsigned { kNoField = 0, kDType = 1, kShape = 2, kOffsets = 4 };

  SafetensorsEntry& entry() { return header.entries.back(); }

  bool go(Level level) {
    level_ = level;
    return true;
  }
  bool fail(std::string what) {
    if (problem.empty()) problem = std::move(what);
    return false;
  }
  bool misplaced() {
    return fail(level_ == kOutside || level_ == kTop
                    ? "its header is not one of safetensors"
                    : "its header has a value out of place at " +
                          in_quotes(level_ == kInMetadata ? kMetadata : entry().name));
  }

  Level level_ = kOutside;
  std::string key_;
  unsigned fields_seen_ = 0;
  std::vector<uint64_t> numbers_;
  std::unordered_set<std::string> names_;
};

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::string_view json) {
  Handler handler;
  if (!nlohmann::json::sax_parse(json, &handler)) {
    return Error{ErrorCode::kInvalidInput, handler.problem};
  }
  return std::move(handler.header);
}

}  // namespace caldera
