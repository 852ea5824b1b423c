// `caldera convert`: any checkpoint to Caldera's own file or to PyTorch's, bytes untouched.
#include <algorithm>

#include <fmt/format.h>

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/report.h"

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

struct Args {
  ModelArgs model;
  std::string output;
  bool force = false;
  bool json = false;
};

Result<int> run_convert(const Args& args) {
  const fs::path output = args.output;
  std::string extension = output.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool pytorch = extension == ".pth" || extension == ".pt";
  if (!pytorch && extension != ".safetensors") {
    return usage_error(
        fmt::format("{}: end its name in .safetensors for Caldera's file or in .pth for PyTorch's",
                    output.string()));
  }
  std::error_code error;
  if (!args.force && fs::exists(output, error)) {
    return usage_error(fmt::format("{} is there already; --force replaces it", output.string()));
  }
  CALDERA_TRY_ASSIGN(const Model model, load_model(args.model));
  if (pytorch) {
    CALDERA_TRY(write_pytorch(output, model.checkpoint()));
  } else {
    CALDERA_TRY(model.save(output));
  }
  const uint64_t bytes = fs::file_size(output, error);
  const size_t tensors = model.checkpoint().tensors.size();
  const std::string architecture = model.architecture().full_name();
  const std::string_view format = checkpoint_format_name(pytorch ? CheckpointFormat::kPyTorchZip
                                                                 : CheckpointFormat::kSafetensors);
  if (args.json) {
    print_json({{"output", output.string()},
                {"format", format},
                {"architecture", architecture},
                {"tensors", tensors},
                {"bytes", bytes}});
  } else {
    fmt::print("{}: {}, {} tensors, {}, {}\n", output.string(), architecture, tensors,
               human_bytes(bytes), format);
  }
  return kExitDone;
}

}  // namespace

void add_convert(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "convert",
      "Convert a checkpoint. OUT.safetensors is Caldera's own file: with architecture,\n"
      "preprocessing and labels inside. OUT.pth is a PyTorch state_dict with torchvision's\n"
      "names. Weights keep their bytes.");
  add_model_file(*command, args->model, "IN", "A model or checkpoint file");
  command->add_option("OUT", args->output, "Ends in .safetensors, .pth or .pt")->required();
  command->add_flag("-f,--force", args->force, "Replace OUT where it is there already");
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera convert resnet20.th resnet20.safetensors --labels classes.txt\n"
      "  caldera convert resnet20.safetensors resnet20.pth");
  on_chosen(*command, action, args, run_convert);
}

}  // namespace caldera::tool
