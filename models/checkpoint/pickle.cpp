// The pickle machine. Opcodes as in CPython's Lib/pickletools.py. Everything that grows is bounded
// by the file's own bytes (an opcode of one byte makes at most one value) and by fixed limits.
#include "models/checkpoint/pickle.h"

#include <bit>
#include <charconv>
#include <unordered_map>

#include "models/checkpoint/pickle_calls.h"
#include "models/checkpoint/text.h"

namespace caldera {

namespace {

constexpr size_t kMaxOpcodes = size_t{1} << 24;
constexpr size_t kMaxValues = size_t{1} << 22;
constexpr size_t kMaxLine = 4096;
constexpr uint64_t kMaxText = uint64_t{1} << 28;

Error cut_short() {
  return pickle_error("its pickle is cut short");
}

class Machine {
 public:
  explicit Machine(ByteReader& reader) : reader_(reader), budget_(reader.remaining()) {
    document_.values.resize(3);
    document_.values[kFalse] = false;
    document_.values[kTrue] = true;
  }

  Result<PickleDocument> run() {
    for (size_t count = 0; count < kMaxOpcodes; ++count) {
      uint8_t opcode = 0;
      if (!reader_.read_byte(opcode)) return cut_short();
      if (opcode == '.') {
        CALDERA_TRY_ASSIGN(document_.root, pop());
        CALDERA_TRY(check_acyclic(document_));
        return std::move(document_);
      }
      CALDERA_TRY(step(opcode));
      if (document_.values.size() > kMaxValues) break;
    }
    return pickle_error("its pickle holds more values than any tensor file does");
  }

 private:
  // Shared by all uses, so that a run of one-byte opcodes makes no values.
  static constexpr ValueId kNone = 0, kFalse = 1, kTrue = 2;

  // One opcode. In groups, so that each function stays small; kUnknown passes on to the next.
  Status step(uint8_t opcode) {
    for (const auto group : {&Machine::scalars, &Machine::texts, &Machine::containers,
                             &Machine::stack_and_memo, &Machine::calls}) {
      Result<bool> known = (this->*group)(opcode);
      if (!known.ok()) return std::move(known).error();
      if (*known) return {};
    }
    return pickle_error("its pickle holds an opcode, \\x" + hex(opcode) +
                        ", that no tensor file has");
  }

  static std::string hex(uint8_t byte) {
    constexpr char kDigits[] = "0123456789abcdef";
    return {kDigits[byte >> 4], kDigits[byte & 15]};
  }

  Result<bool> scalars(uint8_t opcode) {
    uint64_t bits = 0;
    switch (opcode) {
      case 'N':
        return push_id(kNone);
      case 0x88:
        return push_id(kTrue);
      case 0x89:
        return push_id(kFalse);
      case 'K':  // BININT1
      case 'M':  // BININT2
      case 'J':  // BININT
        if (!reader_.read_uint(opcode == 'K' ? 1 : opcode == 'M' ? 2 : 4, bits)) return cut_short();
        return push(opcode == 'J' ? static_cast<int64_t>(static_cast<int32_t>(bits))
                                  : static_cast<int64_t>(bits));
      case 'G': {  // BINFLOAT, big-endian.
        uint64_t value = 0;
        for (int i = 0; i < 8; ++i) {
          if (!reader_.read_uint(1, bits)) return cut_short();
          value = value << 8 | bits;
        }
        return push(std::bit_cast<double>(value));
      }
      case 'I':    // INT, and booleans before protocol 2
      case 'L':    // LONG
      case 'F': {  // FLOAT
        std::string line;
        if (!reader_.read_line(kMaxLine, line)) return cut_short();
        if (opcode == 'F') return push(PickleOpaque{});  // Nobody asks for one.
        if (opcode == 'I' && line == "00") return push_id(kFalse);
        if (opcode == 'I' && line == "01") return push_id(kTrue);
        if (line.ends_with('L')) line.pop_back();
        int64_t value = 0;
        const auto [end, status] = std::from_chars(line.data(), line.data() + line.size(), value);
        if (end != line.data() + line.size() || line.empty()) {
          return pickle_error("its pickle holds a number that is none");
        }
        if (status != std::errc()) return push(PickleOpaque{});
        return push(value);
      }
      case 0x8a:  // LONG1
      case 0x8b:  // LONG4
        return read_long(opcode == 0x8a ? 1 : 4);
      default:
        return false;
    }
  }

  Result<bool> read_long(size_t width) {
    uint64_t length = 0;
    std::string bytes;
    if (!reader_.read_uint(width, length)) return cut_short();
    if (length > kMaxLine) return pickle_error("its pickle holds a number of absurd length");
    if (!reader_.read_string(length, bytes)) return cut_short();
    if (length > 8) return push(PickleBigInt{std::move(bytes)});
    uint64_t value = length > 0 && (bytes.back() & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return push(static_cast<int64_t>(value));
  }

  Result<bool> texts(uint8_t opcode) {
    switch (opcode) {
      case 0x8c:  // SHORT_BINUNICODE
      case 'X':   // BINUNICODE
      case 0x8d:  // BINUNICODE8
        return read_text(opcode == 0x8c ? 1 : opcode == 'X' ? 4 : 8, true);
      case 'U':  // SHORT_BINSTRING: Python 2's str
      case 'T':  // BINSTRING
        return read_text(opcode == 'U' ? 1 : 4, true);
      case 'C':   // SHORT_BINBYTES
      case 'B':   // BINBYTES
      case 0x8e:  // BINBYTES8
      case 0x96:  // BYTEARRAY8
        return read_text(opcode == 'C' ? 1 : opcode == 'B' ? 4 : 8, false);
      case 'V':    // UNICODE
      case 'S': {  // STRING, quoted
        std::string line;
        if (!reader_.read_line(kMaxLine, line)) return cut_short();
        // With escapes it is no name of a tensor, and nobody asks for it.
        if (line.find('\\') != std::string::npos) return push(PickleOpaque{});
        if (opcode == 'V') return push(std::move(line));
        if (line.size() < 2 || line.front() != line.back() ||
            (line.front() != '\'' && line.front() != '"')) {
          return pickle_error("its pickle holds a string without quotes");
        }
        return push(line.substr(1, line.size() - 2));
      }
      default:
        return false;
    }
  }

  Result<bool> read_text(size_t width, bool is_text) {
    uint64_t length = 0;
    std::string text;
    if (!reader_.read_uint(width, length)) return cut_short();
    if (length > kMaxText) return pickle_error("its pickle holds a string of absurd length");
    if (!reader_.read_string(length, text)) return cut_short();
    if (is_text) return push(std::move(text));
    return push(PickleBytes{std::move(text)});
  }

  Result<bool> containers(uint8_t opcode) {
    switch (opcode) {
      case '(':  // MARK
        marks_.push_back(stack_.size());
        return true;
      case ')':
        return push(PickleTuple{});
      case ']':
        return push(PickleList{});
      case '}':
        return push(PickleDict{});
      case 0x8f:
        return push(PickleSet{});
      case 0x85:  // TUPLE1 to TUPLE3
      case 0x86:
      case 0x87: {
        const size_t count = opcode - 0x84u;
        if (stack_.size() - floor() < count) return underflow();
        std::vector<ValueId> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
        stack_.resize(stack_.size() - count);
        return push(PickleTuple{std::move(items)});
      }
      case 't':
      case 'l':
      case 'd':
      case 0x91: {  // FROZENSET
        CALDERA_TRY_ASSIGN(auto items, pop_to_mark());
        if (opcode == 't') return push(PickleTuple{std::move(items)});
        if (opcode == 'l') return push(PickleList{std::move(items)});
        if (opcode == 0x91) return push(PickleSet{std::move(items)});
        PickleDict dict;
        CALDERA_TRY(append_pairs(dict, items));
        return push(std::move(dict));
      }
      case 'a':    // APPEND
      case 's': {  // SETITEM
        const size_t count = opcode == 'a' ? 1 : 2;
        if (stack_.size() - floor() < count + 1) return underflow();
        std::vector<ValueId> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
        stack_.resize(stack_.size() - count);
        return extend(opcode == 'a' ? 'e' : 'u', items);
      }
      case 'e':     // APPENDS
      case 'u':     // SETITEMS
      case 0x90: {  // ADDITEMS
        CALDERA_TRY_ASSIGN(auto items, pop_to_mark());
        return extend(opcode, items);
      }
      default:
        return false;
    }
  }

  // Adds to the container on top of the stack.
  Result<bool> extend(uint8_t opcode, const std::vector<ValueId>& items) {
    if (stack_.size() == floor()) return underflow();
    PickleValue& top = document_.values[stack_.back()];
    if (opcode == 'u') {
      if (auto* dict = std::get_if<PickleDict>(&top)) {
        CALDERA_TRY(append_pairs(*dict, items));
        return true;
      }
    } else if (auto* list = std::get_if<PickleList>(&top); list && opcode == 'e') {
      list->items.insert(list->items.end(), items.begin(), items.end());
      return true;
    } else if (auto* set = std::get_if<PickleSet>(&top); set && opcode == 0x90) {
      set->items.insert(set->items.end(), items.begin(), items.end());
      return true;
    }
    if (std::holds_alternative<PickleOpaque>(top)) return true;
    return pickle_error("its pickle adds items to what is no container");
  }

  static Status append_pairs(PickleDict& dict, const std::vector<ValueId>& items) {
    if (items.size() % 2 != 0) return pickle_error("its pickle holds a key without a value");
    for (size_t i = 0; i < items.size(); i += 2) dict.items.emplace_back(items[i], items[i + 1]);
    return {};
  }

  Result<bool> stack_and_memo(uint8_t opcode) {
    uint64_t index = 0;
    switch (opcode) {
      case 0x80:  // PROTO
        if (!reader_.read_uint(1, index)) return cut_short();
        if (index > 5) return pickle_error("its pickle is of a protocol beyond 5");
        return true;
      case 0x95:  // FRAME: a hint for readers of streams.
        if (!reader_.read_uint(8, index)) return cut_short();
        return true;
      case '0': {  // POP, which takes a mark too.
        if (!marks_.empty() && marks_.back() == stack_.size()) {
          marks_.pop_back();
          return true;
        }
        CALDERA_TRY(pop());
        return true;
      }
      case '1':  // POP_MARK
        CALDERA_TRY(pop_to_mark());
        return true;
      case '2':  // DUP
        if (stack_.size() == floor()) return underflow();
        return push_id(stack_.back());
      case 'q':   // BINPUT
      case 'r':   // LONG_BINPUT
      case 0x94:  // MEMOIZE
        if (stack_.size() == floor()) return underflow();
        if (opcode == 0x94) {
          index = memo_.size();
        } else if (!reader_.read_uint(opcode == 'q' ? 1 : 4, index)) {
          return cut_short();
        }
        memo_[index] = stack_.back();
        return true;
      case 'h':  // BINGET
      case 'j':  // LONG_BINGET
        if (!reader_.read_uint(opcode == 'h' ? 1 : 4, index)) return cut_short();
        return get(index);
      case 'p':    // PUT
      case 'g': {  // GET
        std::string line;
        if (!reader_.read_line(kMaxLine, line)) return cut_short();
        const auto [end, status] = std::from_chars(line.data(), line.data() + line.size(), index);
        if (status != std::errc() || end != line.data() + line.size()) {
          return pickle_error("its pickle holds a number that is none");
        }
        if (opcode == 'g') return get(index);
        if (stack_.size() == floor()) return underflow();
        memo_[index] = stack_.back();
        return true;
      }
      default:
        return false;
    }
  }

  Result<bool> get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) return pickle_error("its pickle refers to a value that it has not");
    return push_id(found->second);
  }

  Result<bool> calls(uint8_t opcode) {
    switch (opcode) {
      case 'c': {  // GLOBAL
        std::string module, name;
        if (!reader_.read_line(kMaxLine, module) || !reader_.read_line(kMaxLine, name)) {
          return cut_short();
        }
        return push_global(module, name);
      }
      case 'i': {  // INST: a class and a call in one; only what is refused used it.
        std::string module, name;
        if (!reader_.read_line(kMaxLine, module) || !reader_.read_line(kMaxLine, name)) {
          return cut_short();
        }
        return refused_global(module, name);
      }
      case 0x93: {  // STACK_GLOBAL
        CALDERA_TRY_ASSIGN(const ValueId name, pop());
        CALDERA_TRY_ASSIGN(const ValueId module, pop());
        const auto* name_text = document_.get<std::string>(name);
        const auto* module_text = document_.get<std::string>(module);
        if (!name_text || !module_text) return pickle_error("its pickle asks for what has no name");
        return push_global(*module_text, *name_text);
      }
      case 'R':     // REDUCE
      case 0x81: {  // NEWOBJ
        CALDERA_TRY_ASSIGN(const ValueId arguments, pop());
        CALDERA_TRY_ASSIGN(const ValueId function, pop());
        CALDERA_TRY_ASSIGN(PickleValue value, call_global(document_, function, arguments, budget_));
        return push(std::move(value));
      }
      case 'b': {  // BUILD: the state of a dict (_metadata) or of an opaque value. Left out.
        CALDERA_TRY(pop());
        if (stack_.size() == floor()) return underflow();
        const PickleValue& top = document_[stack_.back()];
        if (!std::holds_alternative<PickleDict>(top) &&
            !std::holds_alternative<PickleOpaque>(top)) {
          return pickle_error("its pickle sets the state of what has none");
        }
        return true;
      }
      case 'Q': {  // BINPERSID
        CALDERA_TRY_ASSIGN(const ValueId id, pop());
        CALDERA_TRY_ASSIGN(PickleValue value, resolve_persistent_id(document_, id, budget_));
        return push(std::move(value));
      }
      default:
        return false;
    }
  }

  Result<bool> push_global(const std::string& module, const std::string& name) {
    const Global* global = find_global(module, name);
    if (global == nullptr) return refused_global(module, name);
    return push(global);
  }

  template <typename T>
  Result<bool> push(T&& value) {
    document_.values.emplace_back(std::forward<T>(value));
    return push_id(static_cast<ValueId>(document_.values.size() - 1));
  }

  Result<bool> push_id(ValueId id) {
    stack_.push_back(id);
    return true;
  }

  // What is below the last mark is out of reach.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  static Error underflow() { return pickle_error("its pickle takes more values than it has"); }

  Result<ValueId> pop() {
    if (stack_.size() == floor()) return underflow();
    const ValueId id = stack_.back();
    stack_.pop_back();
    return id;
  }

  Result<std::vector<ValueId>> pop_to_mark() {
    if (marks_.empty()) return underflow();
    std::vector<ValueId> items(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()),
                               stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  ByteReader& reader_;
  CopyBudget budget_;
  PickleDocument document_;
  std::vector<ValueId> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, ValueId> memo_;
};

}  // namespace

Result<PickleDocument> read_pickle(ByteReader& reader) {
  return Machine(reader).run();
}

}  // namespace caldera
