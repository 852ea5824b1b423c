// `caldera classify`: what images show, by one model or the average of several.
#include <thread>

#include <fmt/format.h>

#include "caldera/dataset.h"

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/report.h"

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

struct Args {
  ModelArgs model;
  DeviceArgs device;
  ViewArgs views;
  std::string first;  // MODEL, or an image beside --model.
  std::vector<std::string> images;
  int64_t top = 5;
  bool json = false;
};

// Why an image was skipped; where it is something else than an image, what to do with that.
std::string skipped_text(const fs::path& path, const Error& error, bool beside_model_option) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    return fmt::format(
        "{} is a folder; name the images in it, or a folder of class folders to `caldera eval`",
        path.string());
  }
  const std::string extension = path.extension().string();
  const bool model = extension == ".pth" || extension == ".pt" || extension == ".th" ||
                     extension == ".safetensors" || find_architecture(path.string()).ok();
  if (!model || !beside_model_option) return error.message;
  return fmt::format(
      "{} is no image: with --model every argument is an image; name this model by --model too",
      path.string());
}

void print_prediction(const std::string& image, const std::vector<RankedClass>& ranked,
                      const std::vector<std::string>& labels) {
  const bool named = has_class_names(labels);
  fmt::print("{}\n", image);
  for (const RankedClass& r : ranked) {
    fmt::print("  {:6.2f}%  {}{}\n", r.probability * 100, named ? "" : "class ", labels[r.index]);
  }
}

Json to_json(const std::string& image, const std::vector<RankedClass>& ranked,
             const std::vector<std::string>& labels) {
  Json predictions = Json::array();
  for (const RankedClass& r : ranked) {
    predictions.push_back(
        {{"class", r.index}, {"label", labels[r.index]}, {"probability", r.probability}});
  }
  return {{"image", image}, {"predictions", predictions}};
}

Result<int> run_classify(const Args& given) {
  Args args = given;
  std::vector<std::string>& images = args.images;
  if (!args.model.models.empty()) {
    if (!args.first.empty()) images.insert(images.begin(), args.first);
  } else if (!args.first.empty()) {
    args.model.models.push_back(args.first);
  } else {
    return usage_error("name a model and images; see `caldera classify --help`");
  }
  if (images.empty()) {
    return usage_error("name an image after the model; see `caldera classify --help`");
  }

  CALDERA_TRY_ASSIGN(const std::vector<Model> models, load_models(args.model));
  CALDERA_TRY_ASSIGN(const Device device, open_device(args.device));
  CALDERA_TRY_ASSIGN(Predictor predictor,
                     make_predictor(device, models, args.views, args.device, images.size()));
  note_random_weights(args.model);

  ImageLoader loader({images.begin(), images.end()}, predictor.transform(),
                     static_cast<int>(std::max(1u, std::thread::hardware_concurrency())), 64);
  Json results = Json::array();
  int64_t skipped = 0;
  const auto group = static_cast<size_t>(predictor.samples_per_run());
  std::vector<std::vector<float>> samples;
  std::vector<size_t> owners;
  std::vector<float> probabilities;
  const auto predict = [&]() -> Status {
    probabilities.resize(owners.size() * predictor.classes());
    CALDERA_TRY(predictor.predict(samples, probabilities));
    for (size_t i = 0; i < owners.size(); ++i) {
      const auto row = std::span<const float>(probabilities)
                           .subspan(i * predictor.classes(), predictor.classes());
      const std::vector<RankedClass> ranked = top_classes(row, args.top);
      if (args.json) {
        results.push_back(to_json(images[owners[i]], ranked, predictor.labels()));
      } else {
        print_prediction(images[owners[i]], ranked, predictor.labels());
      }
    }
    samples.clear();
    owners.clear();
    return {};
  };
  for (ImageLoader::Item item; loader.next(item);) {
    if (!item.values.ok()) {
      print_note(
          skipped_text(images[item.index], item.values.error(), !given.model.models.empty()));
      ++skipped;
      continue;
    }
    samples.push_back(std::move(*item.values));
    owners.push_back(item.index);
    if (owners.size() == group) CALDERA_TRY(predict());
  }
  if (!owners.empty()) CALDERA_TRY(predict());
  if (args.json) {
    print_json({{"images", results},
                {"skipped", skipped},
                {"device", device.info().name},
                {"precision", precision_name(predictor.precision())},
                {"model", model_names(models)}});
  }
  return skipped > 0 ? kExitBadInput : kExitDone;
}

}  // namespace

void add_classify(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "classify",
      "Name what images show. Where --model stands in place of MODEL, every argument is an\n"
      "image.");
  command->add_option("MODEL", args->first,
                      "A model or checkpoint file, or an architecture's name");
  command->add_option("IMAGE", args->images, "JPEG, PNG or BMP");
  add_ensemble(*command, args->model);
  command->add_option("--top", args->top, "Classes to show of each image (5)")
      ->type_name("N")
      ->check(in_range(int64_t{1}, int64_t{1000000}));
  add_view_options(*command, args->views);
  add_device_options(*command, args->device);
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera classify resnet50.pth cat.jpg dog.jpg --labels imagenet.txt --top 3\n"
      "  caldera classify --model resnet18.pth --model resnet50.pth cat.jpg");
  on_chosen(*command, action, args, run_classify);
}

}  // namespace caldera::tool
