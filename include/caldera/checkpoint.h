// Named tensors in a file: PyTorch's zip and legacy formats, and safetensors. Files are untrusted:
// nothing in a pickle is executed, every count, offset and length is checked, and no allocation is
// made that the file's own size does not justify.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/result.h"
#include "caldera/tensor.h"

namespace caldera {

enum class CheckpointFormat : uint8_t { kPyTorchZip, kPyTorchLegacy, kSafetensors };

std::string_view checkpoint_format_name(CheckpointFormat format);

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

struct Checkpoint {
  CheckpointFormat format = CheckpointFormat::kSafetensors;
  // In the file's order, with its names; a wrapping dictionary and prefixes such as "module." are
  // taken off (strip_prefixes says which).
  std::vector<NamedTensor> tensors;
  // safetensors' __metadata__.
  std::map<std::string, std::string> metadata;
  std::string wrapper;  // "state_dict", "model", ...; empty where the state_dict was bare.
  std::string prefix;   // "module.", ... as taken off every name.

  const Tensor* find(std::string_view name) const;
};

// Reads any of the formats, told apart by content, not by name.
Result<Checkpoint> read_checkpoint(const std::filesystem::path& path);

// Writers replace `path` whole or leave it as it was. Only `tensors` and, for safetensors,
// `metadata` are written.
Status write_safetensors(const std::filesystem::path& path, const Checkpoint& checkpoint);
// A bare state_dict (collections.OrderedDict of tensors) as torch.save writes it, for
// torch.load(weights_only=True).
Status write_pytorch(const std::filesystem::path& path, const Checkpoint& checkpoint);

}  // namespace caldera
