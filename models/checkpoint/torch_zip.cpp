// The zip itself is libzip's affair (zip64, data descriptors, checksums). Ours is that nothing is
// read which is compressed (PyTorch stores; a bomb does not), and that all records together are no
// more than the file, however they overlap.
#include "models/checkpoint/torch_zip.h"

#include <algorithm>
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

class Archive {
 public:
  static Result<Archive> open(InputFile& file) {
    Archive archive;
    zip_error_t failure;
    zip_error_init(&failure);
    zip_source_t* source = zip_source_file_create(file.path().c_str(), 0, -1, &failure);
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

  Result<SharedBytes> read(const std::string& name) {
    const auto error = [&](const std::string& what) {
      return pickle_error("record " + in_quotes(name) + " " + what);
    };
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

    const std::unique_ptr<zip_file_t, RecordCloser> record(zip_fopen_index(zip_.get(), index, 0));
    if (!record) return error("is damaged: " + std::string(zip_strerror(zip_.get())));
    SharedBytes block = allocate_shared_bytes(static_cast<size_t>(stat.size));
    for (std::span<std::byte> rest = block.bytes; !rest.empty();) {
      const zip_int64_t got = zip_fread(record.get(), rest.data(), rest.size());
      if (got <= 0) return error("is damaged or cut short");
      rest = rest.subspan(static_cast<size_t>(got));
    }
    // Reading on past the end is what makes libzip compare the checksum. PyTorch can be told to
    // write none (torch.serialization.set_crc32_options).
    std::byte beyond;
    const bool has_checksum = (stat.valid & ZIP_STAT_CRC) && stat.crc != 0;
    if (zip_fread(record.get(), &beyond, 1) != 0 && has_checksum) {
      return error("is damaged: its checksum is not that of its data");
    }
    return block;
  }

 private:
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
      CALDERA_TRY_ASSIGN(SharedBytes bytes, archive_.read(root_ + "data/" + key));
      if (big_endian_) swap_bytes(bytes.bytes, *storage.type);
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
    CALDERA_TRY_ASSIGN(const SharedBytes text, archive.read(root + "byteorder"));
    const std::string_view order(reinterpret_cast<const char*>(text.bytes.data()),
                                 text.bytes.size());
    big_endian = order == "big";
    if (!big_endian && order != "little") {
      return pickle_error("has a byte order, " + in_quotes(order) + ", that is not known");
    }
  }
  CALDERA_TRY_ASSIGN(const SharedBytes pickle, archive.read(root + "data.pkl"));
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
