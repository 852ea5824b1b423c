// Options that several subcommands share, and what they stand for: a model, an ensemble, an open
// device, the views of an image. The environment is read here and nowhere below.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "caldera/autodiff.h"
#include "caldera/device.h"
#include "caldera/model.h"
#include "caldera/predictor.h"
#include "caldera/result.h"
#include "caldera/tensor.h"

#include "tools/options.h"

namespace caldera::tool {

struct ModelArgs {
  std::vector<std::string> models;  // Files, or full names of architectures.
  std::string architecture;
  std::string preprocess;
  std::string labels;
  uint64_t seed = 0;
};

struct DeviceArgs {
  std::string device;
  bool no_cache = false;
  bool validation = false;
  bool no_fuse = false;
  Precision precision = Precision::kFp32;
  bool mixed = false;  // kFp16 was asked for by the name that training has for it.
  std::vector<std::string> full_precision;  // Patterns of layers.
  bool tune = false;

  // Which tells on the terminal what --tune found to be wrong.
  SessionOptions session() const;
};

struct ViewArgs {
  int64_t batch = 0;
  bool ten_crop = false;
  std::vector<int32_t> scales;
};

// --arch, --preprocess, --labels, --seed.
void add_model_options(Command& command, ModelArgs& args);
void add_seed_option(Command& command, uint64_t& seed, const std::string& description);
// A positional argument for one model, and the options above. Required, without a model to take in
// its place.
void add_model_file(Command& command, ModelArgs& args, const std::string& name,
                    const std::string& description, const std::string& otherwise = {});
// The same, as MODEL.
void add_model(Command& command, ModelArgs& args, const std::string& otherwise = {});
// --model, any number of times: an ensemble in place of MODEL.
void add_ensemble(Command& command, ModelArgs& args);
// --device, --precision, --full-precision, --tune, --no-fuse, --no-cache, --validation.
void add_device_options(Command& command, DeviceArgs& args,
                        const std::vector<std::string>& precisions = {"fp32", "fp16", "bf16"});
// The same with --train, for commands that do either: fp16 has the name "mixed" then.
Option* add_step_options(Command& command, DeviceArgs& args, bool& train,
                         const std::string& description);
Status check_step_options(const DeviceArgs& args, bool train);
// Of those, for commands that choose the rest themselves: --device; --no-cache, --validation.
void add_device_option(Command& command, DeviceArgs& args);
void add_opening_options(Command& command, DeviceArgs& args);
// --precision, of these names: fp32, fp16, bf16, mixed; --full-precision.
void add_precision_option(Command& command, DeviceArgs& args, const std::string& description,
                          const std::vector<std::string>& names);
// --batch: of what, the description says.
Option* add_batch_option(Command& command, int64_t& batch, const std::string& description);
// --batch, --ten-crop, --scales.
void add_view_options(Command& command, ViewArgs& args);
// --checkpointing: of training steps.
Option* add_checkpointing_option(Command& command, Checkpointing& checkpointing);
// --json.
void add_json_option(Command& command, bool& json);

Result<Model> load_model(const std::string& name, const ModelArgs& args);
// The one model of a command without ensembles.
Result<Model> load_model(const ModelArgs& args);
Result<std::vector<Model>> load_models(const ModelArgs& args);
// "resnet50", or "resnet18 + resnet50".
std::string model_names(const std::vector<Model>& models);
// One note where weights are random, since what such a net says of images means nothing.
void note_random_weights(const ModelArgs& args);

// Images as a tensor, float32 [N, channels, H, W], from a NumPy file.
Result<Tensor> read_input(const std::string& path, int64_t channels);

// "fp32", "bf16", or "mixed", which is what training makes of fp16.
std::string_view training_precision_name(Precision precision);

// With a note where the device lacks the precision asked for: sessions on it then take fp32.
Result<Device> open_device(const DeviceArgs& args);
// Its name and version.
std::string driver_text(const DeviceInfo& info);
// For `images` images in all.
Result<Predictor> make_predictor(const Device& device, const std::vector<Model>& models,
                                 const ViewArgs& views, const DeviceArgs& device_args,
                                 size_t images);

// $XDG_CACHE_HOME/caldera, else ~/.cache/caldera; empty where neither variable is set.
std::filesystem::path cache_dir();

}  // namespace caldera::tool
