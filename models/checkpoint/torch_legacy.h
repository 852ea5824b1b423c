// PyTorch's format before 1.6 (and _use_new_zipfile_serialization=False): five pickles one after
// another (magic number, protocol, system, object, storage keys), then each storage's count and
// bytes.
#pragma once

#include "caldera/result.h"

#include "models/checkpoint/input_file.h"
#include "models/checkpoint/state_dict.h"

namespace caldera {

// Errors name the file.
Result<StateDict> read_torch_legacy(InputFile& file);

}  // namespace caldera
