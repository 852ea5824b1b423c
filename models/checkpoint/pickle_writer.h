// The opcodes of pickle protocol 2 that torch.save's files are made of, and torch's names in them:
// only what torch.load(weights_only=True) accepts.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "caldera/tensor.h"

namespace caldera {

class PickleWriter {
 public:
  PickleWriter() { text_ = "\x80\x02"; }

  void opcode(char code) { text_ += code; }

  void string(std::string_view value) {
    text_ += 'X';
    little_endian(value.size(), 4);
    text_ += value;
  }

  void integer(int64_t value) {
    if (value >= 0 && value < 0x100) {
      text_ += 'K';
      little_endian(static_cast<uint64_t>(value), 1);
    } else if (value >= 0 && value < 0x10000) {
      text_ += 'M';
      little_endian(static_cast<uint64_t>(value), 2);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
      text_ += 'J';
      little_endian(static_cast<uint64_t>(value), 4);
    } else {
      text_ += "\x8a\x08";  // LONG1 of 8 bytes.
      little_endian(static_cast<uint64_t>(value), 8);
    }
  }

  void integers(const Shape& values) {
    if (values.empty()) return opcode(')');
    opcode('(');
    for (const int64_t value : values) integer(value);
    opcode('t');
  }

  // The first use of a slot of the memo writes by `write`; later ones refer to it.
  template <typename Write>
  void once(uint8_t slot, Write write) {
    if (!memo_[slot]) write();
    text_ += memo_[slot] ? 'h' : 'q';
    little_endian(slot, 1);
    memo_[slot] = true;
  }

  void global(uint8_t slot, std::string_view module, std::string_view name) {
    once(slot, [&] {
      text_ += 'c';
      text_ += module;
      text_ += '\n';
      text_ += name;
      text_ += '\n';
    });
  }

  void real(double value) {
    text_ += 'G';
    const auto bits = std::bit_cast<uint64_t>(value);
    for (int i = 8; i-- > 0;) text_ += static_cast<char>(bits >> (8 * i));
  }

  void boolean(bool value) { opcode(value ? '\x88' : '\x89'); }
  void none() { opcode('N'); }

  // collections.OrderedDict()
  void empty_ordered_dict();
  // A tensor whose elements are the archive's record "data/STORAGE".
  void tensor(const Tensor& tensor, int64_t storage);

  const std::string& text() const { return text_; }

 private:
  void little_endian(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text_ += static_cast<char>(value >> (8 * i));
  }

  std::string text_;
  std::array<bool, 256> memo_{};
};

}  // namespace caldera
