// Layouts from PKWARE's APPNOTE.TXT 6.3, sections 4.3.7 to 4.3.16 and 4.5.3.
#include "models/checkpoint/zip_writer.h"

#include <algorithm>
#include <array>

namespace caldera {

namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint16_t kZip64Extra = 0x0001;
constexpr uint16_t kPaddingExtra = 0x4246;  // "FB", as torch.save marks its padding.
constexpr uint16_t kUtf8Names = 0x0800;
constexpr uint16_t kDosDate = (1 << 5) | 1;  // 1 January 1980: the same tensors, the same bytes.

// Little-endian fields, one after another.
class Fields {
 public:
  Fields& u16(uint64_t value) { return put(value, 2); }
  Fields& u32(uint64_t value) { return put(value, 4); }
  Fields& u64(uint64_t value) { return put(value, 8); }
  Fields& text(std::string_view value) {
    text_ += value;
    return *this;
  }
  const std::string& str() const { return text_; }

 private:
  Fields& put(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text_ += static_cast<char>(value >> (8 * i));
    return *this;
  }
  std::string text_;
};

constexpr std::array<std::array<uint32_t, 256>, 8> make_crc_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1 ? 0xedb88320u : 0) ^ (value >> 1);
    tables[0][i] = value;
  }
  for (size_t t = 1; t < 8; ++t) {
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t before = tables[t - 1][i];
      tables[t][i] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr auto kCrcTables = make_crc_tables();

}  // namespace

// Eight bytes at a time ("slicing-by-8": Kounavis and Berry, ISCC 2005).
uint32_t crc32(std::span<const std::byte> bytes) {
  uint32_t crc = 0xffffffff;
  const auto at = [&](size_t i) { return static_cast<uint32_t>(bytes[i]); };
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    const uint32_t low = crc ^ (at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24);
    crc = kCrcTables[7][low & 0xff] ^ kCrcTables[6][low >> 8 & 0xff] ^
          kCrcTables[5][low >> 16 & 0xff] ^ kCrcTables[4][low >> 24] ^ kCrcTables[3][at(4)] ^
          kCrcTables[2][at(5)] ^ kCrcTables[1][at(6)] ^ kCrcTables[0][at(7)];
  }
  for (const std::byte byte : bytes) {
    crc = (crc >> 8) ^ kCrcTables[0][(crc ^ static_cast<uint32_t>(byte)) & 0xff];
  }
  return ~crc;
}

Status ZipWriter::add(const std::string& name, std::span<const std::byte> data) {
  const Record record{name, file_.position(), data.size(), crc32(data)};
  const bool zip64 = record.size >= zip64_from_;
  Fields extra;
  if (zip64) extra.u16(kZip64Extra).u16(16).u64(record.size).u64(record.size);
  // The header is 30 bytes, and a padding's own header 4.
  const uint64_t start = record.offset + 30 + name.size() + extra.str().size() + 4;
  const uint64_t padding = (kAlignment - start % kAlignment) % kAlignment;
  extra.u16(kPaddingExtra).u16(padding).text(std::string(padding, 'Z'));

  Fields header;
  header.text("PK\3\4").u16(zip64 ? 45 : 20).u16(kUtf8Names).u16(0).u16(0).u16(kDosDate);
  header.u32(record.crc).u32(zip64 ? 0xffffffff : record.size);
  header.u32(zip64 ? 0xffffffff : record.size);
  header.u16(name.size()).u16(extra.str().size()).text(name).text(extra.str());
  CALDERA_TRY(file_.write(header.str()));
  CALDERA_TRY(file_.write(data));
  records_.push_back(record);
  return {};
}

Status ZipWriter::finish() {
  const uint64_t start = file_.position();
  for (const Record& record : records_) {
    const bool large = record.size >= zip64_from_;
    const bool far = record.offset >= zip64_from_;
    Fields fields;
    if (large) fields.u64(record.size).u64(record.size);
    if (far) fields.u64(record.offset);
    Fields extra;
    if (large || far) extra.u16(kZip64Extra).u16(fields.str().size()).text(fields.str());

    Fields entry;
    entry.text("PK\1\2").u16(large || far ? 45 : 20).u16(large || far ? 45 : 20);
    entry.u16(kUtf8Names).u16(0).u16(0).u16(kDosDate).u32(record.crc);
    entry.u32(large ? 0xffffffff : record.size).u32(large ? 0xffffffff : record.size);
    entry.u16(record.name.size()).u16(extra.str().size()).u16(0).u16(0).u16(0).u32(0);
    entry.u32(far ? 0xffffffff : record.offset).text(record.name).text(extra.str());
    CALDERA_TRY(file_.write(entry.str()));
  }
  const uint64_t end = file_.position();
  const uint64_t count = records_.size();
  Fields trailer;
  if (count >= 0xffff || end >= zip64_from_) {
    trailer.text("PK\6\6").u64(44).u16(45).u16(45).u32(0).u32(0).u64(count).u64(count);
    trailer.u64(end - start).u64(start);
    trailer.text("PK\6\7").u32(0).u64(end).u32(1);
  }
  const uint64_t short_count = std::min<uint64_t>(count, 0xffff);
  trailer.text("PK\5\6").u16(0).u16(0).u16(short_count).u16(short_count);
  trailer.u32(end - start >= zip64_from_ ? 0xffffffff : end - start);
  trailer.u32(start >= zip64_from_ ? 0xffffffff : start).u16(0);
  return file_.write(trailer.str());
}

}  // namespace caldera
