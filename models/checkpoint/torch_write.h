// The zip archive of torch.save around a pickle.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "caldera/checkpoint.h"

#include "models/checkpoint/pickle_writer.h"

namespace caldera {

// `storages`: the records that the pickle's tensors refer to, in the order of their numbers.
Status write_torch_archive(const std::filesystem::path& path, std::string_view pickle,
                           const std::vector<NamedTensor>& storages);

}  // namespace caldera
