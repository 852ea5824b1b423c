// Writes a bare state_dict as torch.save does: protocol 2, one storage a tensor.
#include "models/checkpoint/torch_write.h"

#include "caldera/checkpoint.h"

#include "models/checkpoint/boundary.h"
#include "models/checkpoint/zip_writer.h"

namespace caldera {

namespace {

std::string pickle_state_dict(const std::vector<NamedTensor>& tensors) {
  PickleWriter pickle;
  pickle.empty_ordered_dict();
  pickle.opcode('(');
  for (size_t i = 0; i < tensors.size(); ++i) {
    pickle.string(tensors[i].name);
    pickle.tensor(tensors[i].tensor, static_cast<int64_t>(i));
  }
  pickle.opcode('u');
  pickle.opcode('.');
  return pickle.text();
}

}  // namespace

Status write_torch_archive(const std::filesystem::path& path, std::string_view pickle,
                           const std::vector<NamedTensor>& storages) {
  CALDERA_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  ZipWriter zip(file);
  CALDERA_TRY(zip.add("archive/data.pkl", pickle));
  CALDERA_TRY(zip.add("archive/byteorder", "little"));
  for (size_t i = 0; i < storages.size(); ++i) {
    CALDERA_TRY(zip.add("archive/data/" + std::to_string(i), storages[i].tensor.bytes()));
  }
  CALDERA_TRY(zip.add("archive/version", "3\n"));
  CALDERA_TRY(zip.finish());
  return file.commit();
}

Status write_pytorch(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  return at_boundary<Status>(path, [&]() -> Status {
    CALDERA_TRY(check_names(path, checkpoint.tensors));
    return write_torch_archive(path, pickle_state_dict(checkpoint.tensors), checkpoint.tensors);
  });
}

}  // namespace caldera
