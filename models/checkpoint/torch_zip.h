// PyTorch's zip format (torch.save since 1.6): <root>/data.pkl, its storages as <root>/data/<key>,
// and small records beside them (version, byteorder, .data/serialization_id, ...).
#pragma once

#include "caldera/result.h"

#include "models/checkpoint/input_file.h"
#include "models/checkpoint/state_dict.h"

namespace caldera {

// Errors name the file.
Result<StateDict> read_torch_zip(InputFile& file);

}  // namespace caldera
