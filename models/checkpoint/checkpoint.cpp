// The front of the formats: tells them apart by their first bytes, and takes off the prefixes that
// wrappers of modules (DataParallel, torch.compile, Lightning) put before every name.
#include "caldera/checkpoint.h"

#include <algorithm>
#include <array>

#include "models/checkpoint/boundary.h"
#include "models/checkpoint/input_file.h"
#include "models/checkpoint/safetensors.h"
#include "models/checkpoint/torch_legacy.h"
#include "models/checkpoint/torch_zip.h"

namespace caldera {

namespace {

constexpr std::string_view kPrefixes[] = {"module.", "model.", "backbone.", "_orig_mod."};

// Takes off, again and again, a prefix that every name bears.
std::string strip_prefixes(std::vector<NamedTensor>& tensors) {
  size_t length = 0;
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view prefix : kPrefixes) {
      const bool borne_by_all = std::ranges::all_of(tensors, [&](const NamedTensor& named) {
        const auto rest = std::string_view(named.name).substr(length);
        return rest.starts_with(prefix) && rest.size() > prefix.size();
      });
      if (borne_by_all) {
        length += prefix.size();
        found = true;
      }
    }
  }
  std::string prefix = tensors.front().name.substr(0, length);
  for (NamedTensor& named : tensors) named.name.erase(0, length);
  return prefix;
}

Result<Checkpoint> from_pytorch(CheckpointFormat format, Result<StateDict> state_dict) {
  if (!state_dict.ok()) return std::move(state_dict).error();
  Checkpoint checkpoint;
  checkpoint.format = format;
  checkpoint.tensors = std::move(state_dict->tensors);
  checkpoint.wrapper = std::move(state_dict->wrapper);
  return checkpoint;
}

Result<Checkpoint> read_by_content(InputFile& file) {
  if (file.size() == 0) return file.error("is empty");
  std::array<std::byte, 4> first{};
  CALDERA_TRY(file.read(0, std::span(first).first(std::min<uint64_t>(first.size(), file.size()))));
  const std::string_view magic(reinterpret_cast<const char*>(first.data()), first.size());
  if (magic == "PK\3\4") {
    return from_pytorch(CheckpointFormat::kPyTorchZip, read_torch_zip(file));
  }
  if (looks_like_safetensors(file)) return read_safetensors(file);
  if (magic[0] == '\x80') {
    return from_pytorch(CheckpointFormat::kPyTorchLegacy, read_torch_legacy(file));
  }
  return file.error(
      "is no checkpoint that Caldera reads: neither PyTorch's (.pth, .pt, .th) nor safetensors");
}

}  // namespace

std::string_view checkpoint_format_name(CheckpointFormat format) {
  switch (format) {
    case CheckpointFormat::kPyTorchZip:
      return "PyTorch zip";
    case CheckpointFormat::kPyTorchLegacy:
      return "PyTorch legacy";
    case CheckpointFormat::kSafetensors:
      return "safetensors";
  }
  return "?";
}

const Tensor* Checkpoint::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &NamedTensor::name);
  return found == tensors.end() ? nullptr : &found->tensor;
}

Result<Checkpoint> read_checkpoint(const std::filesystem::path& path) {
  return at_boundary<Result<Checkpoint>>(path, [&]() -> Result<Checkpoint> {
    CALDERA_TRY_ASSIGN(InputFile file, InputFile::open(path));
    CALDERA_TRY_ASSIGN(Checkpoint checkpoint, read_by_content(file));
    checkpoint.prefix = strip_prefixes(checkpoint.tensors);
    return checkpoint;
  });
}

}  // namespace caldera
