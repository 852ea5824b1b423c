// Reads Python pickles (protocols 0 to 5) into plain values, by a small stack machine that executes
// nothing: names come from the allow-list in pickle_globals.h, calls build values, all else is
// refused. Values live in one arena and refer to each other by index, so that a memo may share
// them, and neither depth nor a cycle can exhaust the stack when they are walked or dropped.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "caldera/result.h"

#include "models/checkpoint/byte_reader.h"
#include "models/checkpoint/pickle_globals.h"

namespace caldera {

using ValueId = uint32_t;

struct PickleNone {};
// What is well-formed but of no use in a checkpoint: a NumPy scalar, a torch.device.
struct PickleOpaque {};
struct PickleBytes {
  std::string bytes;
};
// An integer beyond int64: two's complement, little-endian.
struct PickleBigInt {
  std::string bytes;
};
struct PickleTuple {
  std::vector<ValueId> items;
};
struct PickleList {
  std::vector<ValueId> items;
};
struct PickleSet {
  std::vector<ValueId> items;
};
// In the order of writing; a key may stand twice.
struct PickleDict {
  std::vector<std::pair<ValueId, ValueId>> items;
};

// A named run of elements outside the pickle.
struct StorageRef {
  const Global* type = nullptr;
  ValueId key = 0;    // A string.
  int64_t count = 0;  // Elements. Of the legacy format's views: of the storage viewed.
  bool is_view = false;
  int64_t view_offset = 0, view_count = 0;
};
struct TensorRef {
  ValueId storage = 0;
  const Global* dtype = nullptr;        // Null: the storage's own.
  int64_t offset = 0;                   // Elements.
  std::vector<int64_t> sizes, strides;  // As many of each; unchecked beyond that.
};

using PickleValue =
    std::variant<PickleNone, bool, int64_t, double, std::string, PickleBytes, PickleBigInt,
                 PickleTuple, PickleList, PickleSet, PickleDict, const Global*, PickleOpaque,
                 std::unique_ptr<StorageRef>, std::unique_ptr<TensorRef>>;

struct PickleDocument {
  std::deque<PickleValue> values;
  ValueId root = 0;

  const PickleValue& operator[](ValueId id) const { return values[id]; }
  // The value where it is a T, else null.
  template <typename T>
  const T* get(ValueId id) const {
    return std::get_if<T>(&values[id]);
  }
};

// Reads one pickle, to its STOP. An error's message has no file name; it is to follow one.
// No container of the document contains itself.
Result<PickleDocument> read_pickle(ByteReader& reader);

}  // namespace caldera
