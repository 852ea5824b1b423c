// NumPy's .npy files (format 1.0 to 3.0), for raw tensors in and out.
#pragma once

#include <filesystem>

#include "caldera/result.h"
#include "caldera/tensor.h"

namespace caldera {

// Little-endian arrays of a dtype that Tensor knows; Fortran order is put in C order.
Result<Tensor> read_npy(const std::filesystem::path& path);
// Replaces `path` whole or leaves it as it was.
Status write_npy(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace caldera
