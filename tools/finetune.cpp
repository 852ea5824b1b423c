// `caldera finetune` and `caldera train`: a model, or an architecture's name, and a folder of
// labelled images.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/command.h"
#include "tools/report.h"
#include "tools/training_run.h"

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

struct Args {
  ModelArgs model;
  TrainingArgs training;
};

constexpr std::string_view kDefaults =
    "Learning rates unless told: {} of sgd, 1e-3 of adam and adamw. The output, unless told, is\n"
    "{}.safetensors here: Caldera's own file, with the folder's classes; a .pth is a PyTorch\n"
    "state_dict. It holds the weights of the last epoch; best.safetensors those of the best.\n"
    "Ctrl-C ends the step, saves, and says how to go on.\n\n";

const std::string kSeed =
    "Of order, augmentation, split and new weights: the same one, the same bits (0)";

Result<Model> with_preprocess(const Model& model, const TrainingArgs& args) {
  const Preprocess preprocess = training_preprocess(args, model.preprocess());
  if (preprocess == model.preprocess()) return model;
  Weights weights = model.weights();
  for (const NamedTensor& named : model.checkpoint().tensors)
    weights.emplace(named.name, named.tensor);
  return Model::from_weights(model.architecture(), preprocess, model.labels(), weights);
}

Result<int> run_finetune(const Args& given) {
  Args args = given;
  const std::string& file = args.model.models.front();
  args.training.seed = args.model.seed;
  CALDERA_TRY(choose_files(args.training, fs::path(file).stem().string() + "-finetuned"));
  std::error_code ignored;
  if (!fs::exists(file, ignored) && find_architecture(file).ok()) {
    return usage_error(
        fmt::format("{} is an architecture, without trained weights; `caldera train {} DIR` begins "
                    "from nothing",
                    file, file));
  }
  CALDERA_TRY_ASSIGN(const Model loaded, load_model(args.model));
  CALDERA_TRY_ASSIGN(const Model model, with_preprocess(loaded, args.training));
  CALDERA_TRY_ASSIGN(FolderSplit data, load_training_data(args.training));
  adopt_class_order(data.train, model.labels());
  adopt_class_order(data.validation, model.labels());
  CALDERA_TRY_ASSIGN(const Retargeted target,
                     retarget(model, data.train.classes, args.training.seed));
  CALDERA_TRY_ASSIGN(const FitOptions options, fit_options(args.training, target.model, 0.01));
  HeadChange head{.replaced = target.new_head, .note = {}};
  if (target.new_head) {
    head.note = fmt::format("the head of {} classes is replaced by a new one of {}: {}",
                            model.labels().size(), data.train.classes.size(),
                            fmt::join(data.train.classes, ", "));
  } else if (has_class_names(model.labels()) && model.labels() != data.train.classes) {
    head.note = fmt::format(
        "the head is kept: the model has as many classes, of other names; class 1 was {} and "
        "becomes {}",
        model.labels().front(), data.train.classes.front());
  }
  CALDERA_TRY_ASSIGN(const Device device, open_device(args.training.device));
  return run_training(args.training, device, target.model, data, options, head);
}

Result<int> run_train(const Args& given) {
  Args args = given;
  args.training.seed = args.model.seed;
  CALDERA_TRY_ASSIGN(Architecture architecture, find_architecture(args.model.models.front()));
  CALDERA_TRY(choose_files(args.training, architecture.name));
  CALDERA_TRY_ASSIGN(const FolderSplit data, load_training_data(args.training));
  architecture.classes = std::ssize(data.train.classes);
  CALDERA_TRY_ASSIGN(const Model fresh,
                     Model::untrained(architecture.full_name(), args.training.seed));
  Preprocess preprocess = fresh.preprocess();
  if (!args.model.preprocess.empty()) {
    CALDERA_TRY_ASSIGN(preprocess, find_preprocess(args.model.preprocess));
  }
  CALDERA_TRY_ASSIGN(
      const Model model,
      Model::from_weights(architecture, training_preprocess(args.training, preprocess),
                          data.train.classes, fresh.weights()));
  CALDERA_TRY_ASSIGN(const FitOptions options, fit_options(args.training, model, 0.1));
  CALDERA_TRY_ASSIGN(const Device device, open_device(args.training.device));
  return run_training(args.training, device, model, data, options, {.replaced = true, .note = {}});
}

}  // namespace

void add_finetune(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "finetune",
      "Train a model further, on images in a folder a class. Where there are other classes, the\n"
      "model gets a new head. After each epoch it is validated and saved.");
  add_model_file(*command, args->model, "MODEL", "A model or checkpoint file");
  command->add_option("DIR", args->training.folder, "A folder of class folders")->required();
  command->get_option("--seed")->description(kSeed);
  add_training_options(*command, args->training, 10);
  command->footer(
      fmt::format(fmt::runtime(kDefaults), 0.01, "MODEL-finetuned") +
      "Example:\n"
      "  caldera finetune resnet50.pth photos/train --val photos/val --train-only head\n"
      "  caldera finetune resnet20.th cifar10/train --epochs 5 --output better.pth\n"
      "  caldera finetune resnet20.th cifar10/train --epochs 5 --output better.pth \\\n"
      "    --resume better.run/last.safetensors");
  on_chosen(*command, action, args, run_finetune);
}

void add_train(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "train",
      "Train an architecture from nothing, on images in a folder a class. Its classes are the\n"
      "folder's. After each epoch it is validated and saved.");
  command
      ->add_option_function(
          "ARCH", [args](const std::string& name) { args->model.models = {name}; },
          "An architecture's name, as `caldera models` lists them")
      ->required();
  command->add_option("DIR", args->training.folder, "A folder of class folders")->required();
  command->add_option("--preprocess", args->model.preprocess, "imagenet, cifar10 or none")
      ->type_name("NAME");
  add_seed_option(*command, args->model.seed, kSeed);
  add_training_options(*command, args->training, 100);
  command->footer(fmt::format(fmt::runtime(kDefaults), 0.1, "ARCH") +
                  "Example:\n"
                  "  caldera train cifar_resnet20 cifar10/train --val cifar10/test --epochs 20\n"
                  "  caldera train resnet18:input=64 photos --schedule one-cycle --warmup 100");
  on_chosen(*command, action, args, run_train);
}

}  // namespace caldera::tool
