// The zip itself is libzip's affair (zip64, data descriptors, checksums). Ours is that nothing is
// read which is compressed (PyTorch stores; a bomb does not), that all records together are no more
// than the file, however they overlap, and that a storage's bytes are viewed where they lie in the
// file: libzip reads them once for their checksum, through a source that sees where it reads.
#include "models/checkpoint/torch_zip.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <unordered_map>

#include <zip.h>

#include "models/checkpoint/pickle_calls.h"
#include "models/checkpoint/text.h"

namespace caldera {

namespace {

struct ArchiveCloser {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct RecordCloser {
  void operator()(zip_file_t* record) const { zip_fclose(record); }
};

// The file as libzip reads it, and which bytes it read last.
class FileSource {
 public:
  explicit FileSource(InputFile& file) : file_(file) {}

  zip_source_t* create(zip_error_t* failure) {
    return zip_source_function_create(&FileSource::call, this, failure);
  }
  // Forgets what was read; reads that then follow one another make up one range.
  void start_range() { begin_ = end_ = kNone; }
  uint64_t range_begin() const { return begin_; }
  // Whether `size` bytes were read from range_begin() on, in their order.
  bool read_range(uint64_t size) const { return begin_ != kNone && end_ - begin_ == size; }

 private:
  static constexpr uint64_t kNone = UINT64_MAX;

  static zip_int64_t call(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) {
    return static_cast<FileSource*>(self)->answer(data, length, command);
  }

  zip_int64_t answer(void* data, zip_uint64_t length, zip_source_cmd_t command) {
    switch (command) {
      case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(
            ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
            ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
      case ZIP_SOURCE_OPEN:
        at_ = 0;
        return 0;
      case ZIP_SOURCE_READ:
        return read(static_cast<std::byte*>(data), length);
      case ZIP_SOURCE_SEEK: {
        const auto offset =
            zip_source_seek_compute_offset(at_, file_.size(), data, length, &error_);
        if (offset < 0) return -1;
        at_ = static_cast<uint64_t>(offset);
        return 0;
      }
      case ZIP_SOURCE_TELL:
        return static_cast<zip_int64_t>(at_);
      case ZIP_SOURCE_STAT: {
        auto* stat = static_cast<zip_stat_t*>(data);
        zip_stat_init(stat);
        stat->size = file_.size();
        stat->valid |= ZIP_STAT_SIZE;
        return sizeof(*stat);
      }
      case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&error_, data, length);
      case ZIP_SOURCE_CLOSE:
      case ZIP_SOURCE_FREE:
        return 0;
      default:
        zip_error_set(&error_, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
  }

  zip_int64_t read(std::byte* to, zip_uint64_t length) {
    const uint64_t count = std::min<uint64_t>(length, file_.size() - std::min(at_, file_.size()));
    if (!file_.read(at_, {to, static_cast<size_t>(count)})) {
      zip_error_set(&error_, ZIP_ER_READ, 0);
      return -1;
    }
    if (at_ != end_) begin_ = at_;
    at_ += count;
    end_ = at_;
    return static_cast<zip_int64_t>(count);
  }

  InputFile& file_;
  uint64_t at_ = 0;
  uint64_t begin_ = kNone;
  uint64_t end_ = kNone;
  zip_error_t error_{};
};

class Archive {
 public:
  static Result<Archive> open(InputFile& file) {
    Archive archive(file);
    zip_error_t failure;
    zip_error_init(&failure);
    zip_source_t* source = archive.source_->create(&failure);
    archive.zip_.reset(source ? zip_open_from_source(source, ZIP_RDONLY, &failure) : nullptr);
    if (!archive.zip_) {
      const std::string what = zip_error_strerror(&failure);
      if (source) zip_source_free(source);
      zip_error_fini(&failure);
      return pickle_error("begins as a zip file but is damaged or cut short (" + what + ")");
    }
    zip_error_fini(&failure);
    archive.bytes_left_ = file.size();
    const zip_int64_t count = zip_get_num_entries(archive.zip_.get(), 0);
    for (zip_int64_t i = 0; i < count; ++i) {
      const char* name =
          zip_get_name(archive.zip_.get(), static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
      if (name == nullptr) return pickle_error("has a record without a name");
      if (!archive.records_.emplace(name, i).second) {
        return pickle_error("has two records named " + in_quotes(name));
      }
    }
    return archive;
  }

  const std::map<std::string, zip_int64_t, std::less<>>& records() const { return records_; }
  bool has(const std::string& name) const { return records_.contains(name); }

  // A record in memory of its own.
  Result<NewBytes> read(const std::string& name) {
    CALDERA_TRY_ASSIGN(const Record record, find(name));
    return copy(record);
  }

  // A record where it lies in the file, if it is aligned there; else in memory of its own.
  Result<SharedBytes> view(const std::string& name, size_t alignment) {
    CALDERA_TRY_ASSIGN(const Record record, find(name));
    source_->start_range();
    std::array<std::byte, 16384> part;
    CALDERA_TRY(load(record, [&](uint64_t done) {
      return std::span(part).first(std::min<uint64_t>(part.size(), record.size - done));
    }));
    // Always so of what is stored; but how libzip reads is its own affair.
    if (source_->read_range(record.size)) {
      return file_->view(source_->range_begin(), record.size, alignment);
    }
    CALDERA_TRY_ASSIGN(const NewBytes block, copy(record));
    return SharedBytes(block);
  }

 private:
  struct Record {
    std::string name;
    zip_uint64_t index;
    uint64_t size;
    bool has_checksum;
  };

  explicit Archive(InputFile& file) : file_(&file), source_(std::make_unique<FileSource>(file)) {}

  static Error record_error(const std::string& name, const std::string& what) {
    return pickle_error("record " + in_quotes(name) + " " + what);
  }

  // A record that may be read; its size is taken off what the file has room for.
  Result<Record> find(const std::string& name) {
    const auto error = [&](const std::string& what) { return record_error(name, what); };
    const auto found = records_.find(name);
    if (found == records_.end()) return error("is not there");
    const auto index = static_cast<zip_uint64_t>(found->second);
    zip_stat_t stat;
    if (zip_stat_index(zip_.get(), index, 0, &stat) != 0) return error("cannot be found");
    constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if ((stat.valid & kNeeded) != kNeeded) return error("has no size");
    if (stat.comp_method != ZIP_CM_STORE) {
      return error("is compressed, which torch.save never does; refusing to unpack it");
    }
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) && stat.encryption_method != ZIP_EM_NONE) {
      return error("is encrypted");
    }
    if (stat.size != stat.comp_size) return error("has two sizes");
    if (stat.size > bytes_left_) return error("is larger than the file has room for");
    bytes_left_ -= stat.size;
    // PyTorch can be told to write none (torch.serialization.set_crc32_options).
    return Record{name, index, stat.size, (stat.valid & ZIP_STAT_CRC) && stat.crc != 0};
  }

  Result<NewBytes> copy(const Record& record) {
    NewBytes block = allocate_shared_bytes(static_cast<size_t>(record.size));
    CALDERA_TRY(load(record, [&](uint64_t done) { return block.bytes.subspan(done); }));
    return block;
  }

  // Reads all of a record into what `room(bytes done)` gives.
  template <typename Room>
  Status load(const Record& record, Room room) {
    const auto error = [&](const std::string& what) { return record_error(record.name, what); };
    const std::unique_ptr<zip_file_t, RecordCloser> opened(
        zip_fopen_index(zip_.get(), record.index, 0));
    if (!opened) return error("is damaged: " + std::string(zip_strerror(zip_.get())));
    for (uint64_t done = 0; done < record.size;) {
      const std::span<std::byte> rest = room(done);
      const zip_int64_t got = zip_fread(opened.get(), rest.data(), rest.size());
      if (got <= 0) return error("is damaged or cut short");
      done += static_cast<uint64_t>(got);
    }
    // Reading on past the end is what makes libzip compare the checksum.
    std::byte beyond;
    if (zip_fread(opened.get(), &beyond, 1) != 0 && record.has_checksum) {
      return error("is damaged: its checksum is not that of its data");
    }
    return {};
  }

  InputFile* file_;
  std::unique_ptr<FileSource> source_;  // Outlives zip_, which reads through it.
  std::unique_ptr<zip_t, ArchiveCloser> zip_;
  std::map<std::string, zip_int64_t, std::less<>> records_;
  uint64_t bytes_left_ = 0;  // Of the file, for records yet to be read.
};

class ZipStorages : public StorageSource {
 public:
  ZipStorages(Archive& archive, std::string root, bool big_endian)
      : archive_(archive), root_(std::move(root)), big_endian_(big_endian) {}

  Result<SharedBytes> read(const PickleDocument& document, const StorageRef& storage) override {
    const std::string& key = *document.get<std::string>(storage.key);
    const size_t element = storage.type->element.size;
    auto found = read_.find(key);
    if (found == read_.end()) {
      CALDERA_TRY_ASSIGN(SharedBytes bytes, bytes_of(root_ + "data/" + key, *storage.type));
      found = read_.emplace(key, Storage{std::move(bytes), element}).first;
    }
    if (big_endian_ && found->second.element != element) {
      return pickle_error("storage " + in_quotes(key) + " is big-endian, and of two types");
    }
    const SharedBytes& bytes = found->second.bytes;
    if (static_cast<uint64_t>(storage.count) > bytes.bytes.size() / element) {
      return pickle_error("storage " + in_quotes(key) + " is shorter than it should be");
    }
    return bytes;
  }

 private:
  struct Storage {
    SharedBytes bytes;
    size_t element;
  };

  Result<SharedBytes> bytes_of(const std::string& record, const Global& type) {
    if (!big_endian_) return archive_.view(record, type.element.size);
    CALDERA_TRY_ASSIGN(const NewBytes bytes, archive_.read(record));
    swap_bytes(bytes.bytes, type);
    return SharedBytes(bytes);
  }

  static void swap_bytes(std::span<std::byte> bytes, const Global& type) {
    const size_t size = type.element.size;
    for (size_t i = 0; i + size <= bytes.size(); i += size) {
      std::reverse(bytes.begin() + static_cast<ptrdiff_t>(i),
                   bytes.begin() + static_cast<ptrdiff_t>(i + size));
    }
  }

  Archive& archive_;
  std::string root_;
  bool big_endian_;
  std::unordered_map<std::string, Storage> read_;
};

// The folder of data.pkl, with its slash. Its name is that of the file that was saved first.
Result<std::string> find_root(const Archive& archive) {
  constexpr std::string_view kPickle = "data.pkl";
  std::string root;
  for (const auto& [name, index] : archive.records()) {
    if (!name.ends_with(kPickle)) continue;
    const std::string folder = name.substr(0, name.size() - kPickle.size());
    if (folder.empty() || folder.find('/') != folder.size() - 1) continue;
    if (!root.empty())
      return pickle_error("holds two checkpoints, " + in_quotes(root) + " and " +
                          in_quotes(folder));
    root = folder;
  }
  if (root.empty()) return pickle_error("is a zip file, but none that torch.save wrote");
  if (archive.has(root + "constants.pkl")) {
    return pickle_error("is a TorchScript program; save the model's state_dict() instead");
  }
  return root;
}

Result<StateDict> read_archive(InputFile& file) {
  CALDERA_TRY_ASSIGN(Archive archive, Archive::open(file));
  CALDERA_TRY_ASSIGN(const std::string root, find_root(archive));
  bool big_endian = false;
  if (archive.has(root + "byteorder")) {
    CALDERA_TRY_ASSIGN(const NewBytes text, archive.read(root + "byteorder"));
    const std::string_view order(reinterpret_cast<const char*>(text.bytes.data()),
                                 text.bytes.size());
    big_endian = order == "big";
    if (!big_endian && order != "little") {
      return pickle_error("has a byte order, " + in_quotes(order) + ", that is not known");
    }
  }
  CALDERA_TRY_ASSIGN(const NewBytes pickle, archive.read(root + "data.pkl"));
  ByteReader reader(pickle.bytes);
  CALDERA_TRY_ASSIGN(const PickleDocument document, read_pickle(reader));
  ZipStorages storages(archive, root, big_endian);
  return read_state_dict(document, storages, file.size());
}

}  // namespace

Result<StateDict> read_torch_zip(InputFile& file) {
  auto result = read_archive(file);
  if (!result.ok()) return file.error(result.error().message, result.error().code);
  return result;
}

}  // namespace caldera
