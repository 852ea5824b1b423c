// safetensors: a length, a JSON header of names, dtypes, shapes and offsets, and the bytes.
// Layout: github.com/huggingface/safetensors, README, "Format".
#pragma once

#include "caldera/checkpoint.h"

#include "models/checkpoint/input_file.h"

namespace caldera {

// Whether the file begins as one does: a possible length, and '{'.
bool looks_like_safetensors(InputFile& file);

// Errors name the file.
Result<Checkpoint> read_safetensors(InputFile& file);

}  // namespace caldera
