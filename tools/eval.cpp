// `caldera eval`: top-1 and top-5 over a folder of labelled images, a folder a class. Images are
// decoded on threads ahead of the device; what cannot be decoded is named, skipped and counted.
#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include <fmt/format.h>

#include "caldera/dataset.h"

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress.h"
#include "tools/report.h"

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

struct Args {
  ModelArgs model;
  DeviceArgs device;
  ViewArgs views;
  std::string first;  // MODEL, or DIR beside --model.
  std::string folder;
  int threads = 0;
  bool json = false;
};

struct Tally {
  int64_t images = 0;
  int64_t correct = 0;  // Of the first class.
  int64_t in_top5 = 0;
  void add(const Tally& other) {
    images += other.images;
    correct += other.correct;
    in_top5 += other.in_top5;
  }
  double top1() const {
    return images ? static_cast<double>(correct) / static_cast<double>(images) : 0;
  }
  double top5() const {
    return images ? static_cast<double>(in_top5) / static_cast<double>(images) : 0;
  }
};

struct ClassMap {
  std::vector<int32_t> index;  // The model's class of each folder.
  bool by_name = false;
};

// A folder's class: by the model's labels where the folders bear their names, else by order. A
// mixture is refused, since half the answers would be wrong without a word.
Result<ClassMap> map_classes(const ImageFolder& folder, const std::vector<std::string>& labels,
                             int64_t classes, const std::string& where) {
  std::map<std::string_view, int32_t> by_label;
  for (size_t i = 0; i < labels.size(); ++i) by_label.emplace(labels[i], static_cast<int32_t>(i));
  ClassMap map;
  std::string unknown;
  for (const std::string& name : folder.classes) {
    const auto found = by_label.find(name);
    if (found == by_label.end()) {
      if (unknown.empty()) unknown = name;
      continue;
    }
    map.index.push_back(found->second);
  }
  const size_t count = folder.classes.size();
  map.by_name = map.index.size() == count;
  if (map.by_name) return map;
  if (!map.index.empty()) {
    return usage_error(fmt::format(
        "{}: the model has no class named '{}', though it has others of the folders; rename the "
        "folder, or name the classes by --labels FILE",
        where, unknown));
  }
  if (static_cast<int64_t>(count) != classes) {
    return usage_error(fmt::format(
        "{}: {} class folders, but the model has {} classes and none is named '{}'; name the "
        "model's classes by --labels FILE, one a line, as the folders are named",
        where, count, classes, unknown));
  }
  for (size_t i = 0; i < count; ++i) map.index.push_back(static_cast<int32_t>(i));
  return map;
}

// What gave the answers.
struct Setup {
  std::string model;
  std::string device;
  Precision precision = Precision::kFp32;
};

void print_result(const std::vector<Tally>& per_class, const Tally& all, int64_t skipped,
                  const ImageFolder& folder, double seconds, double waited, const Setup& setup,
                  bool by_order) {
  using enum Table::Align;
  Table table(
      {{"class"}, {"images", kRight}, {"correct", kRight}, {"top-1", kRight}, {"top-5", kRight}});
  for (size_t i = 0; i < per_class.size(); ++i) {
    const Tally& tally = per_class[i];
    table.add({folder.classes[i], grouped(tally.images), grouped(tally.correct),
               fmt::format("{:.2f}%", tally.top1() * 100),
               fmt::format("{:.2f}%", tally.top5() * 100)});
  }
  table.print();
  fmt::print("\n");
  Table summary({{""}, {""}});
  const auto per_cent = [](double part) { return fmt::format("{:.2f}%", part * 100); };
  summary.add({"top-1", fmt::format("{} ({} of {})", per_cent(all.top1()), grouped(all.correct),
                                    grouped(all.images))});
  summary.add({"top-5", fmt::format("{} ({} of {})", per_cent(all.top5()), grouped(all.in_top5),
                                    grouped(all.images))});
  if (skipped > 0)
    summary.add({"skipped", fmt::format("{} that cannot be decoded", grouped(skipped))});
  summary.add(
      {"speed", fmt::format("{:.1f} images/s; the device waited for images {:.0f}% of the time",
                            static_cast<double>(all.images) / seconds, 100 * waited / seconds)});
  summary.add({"model", setup.model});
  summary.add({"device", setup.device});
  summary.add({"precision", std::string(precision_name(setup.precision))});
  if (by_order)
    summary.add({"classes", "by the folders' sorted order, as the model names none of them"});
  summary.print();
}

Json to_json(const std::vector<Tally>& per_class, const Tally& all, int64_t skipped,
             const ImageFolder& folder, double seconds, const Setup& setup) {
  Json classes = Json::array();
  for (size_t i = 0; i < per_class.size(); ++i) {
    classes.push_back({{"class", folder.classes[i]},
                       {"images", per_class[i].images},
                       {"correct", per_class[i].correct},
                       {"top1", per_class[i].top1()},
                       {"top5", per_class[i].top5()}});
  }
  return {
      {"images", all.images},   {"top1", all.top1()},
      {"top5", all.top5()},     {"correct", all.correct},
      {"skipped", skipped},     {"images_per_second", static_cast<double>(all.images) / seconds},
      {"device", setup.device}, {"precision", precision_name(setup.precision)},
      {"model", setup.model},   {"per_class", classes}};
}

Result<int> run_eval(const Args& given) {
  using Clock = std::chrono::steady_clock;
  Args args = given;
  const bool alone = !args.model.models.empty();
  if (alone ? args.first.empty() || !args.folder.empty() : args.folder.empty()) {
    return usage_error(alone ? "name one folder beside --model; see `caldera eval --help`"
                             : "name a model and a folder; see `caldera eval --help`");
  }
  if (!alone) args.model.models.push_back(args.first);
  const std::string& where = alone ? args.first : args.folder;

  std::error_code ignored;
  if (!alone && fs::is_directory(args.first, ignored) && !fs::is_directory(where, ignored)) {
    return usage_error(
        fmt::format("{} is a folder; name the model first, then the folder", args.first));
  }
  CALDERA_TRY_ASSIGN(const ImageFolder folder, scan_image_folder(where));
  CALDERA_TRY_ASSIGN(const std::vector<Model> models, load_models(args.model));
  CALDERA_TRY_ASSIGN(const Device device, open_device(args.device));
  CALDERA_TRY_ASSIGN(Predictor predictor, make_predictor(device, models, args.views, args.device,
                                                         folder.samples.size()));
  const int64_t classes = predictor.classes();
  CALDERA_TRY_ASSIGN(const ClassMap map, map_classes(folder, predictor.labels(), classes, where));
  note_random_weights(args.model);

  std::vector<std::filesystem::path> paths;
  for (const Sample& sample : folder.samples) paths.push_back(sample.path);
  const int threads = args.threads > 0
                          ? args.threads
                          : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  // Two runs, so that the device has the second while the first one's answers are read.
  const int64_t group = 2 * predictor.samples_per_run();
  const auto start = Clock::now();
  ImageLoader loader(std::move(paths), predictor.transform(), threads,
                     static_cast<int>(group + threads));
  Progress progress(static_cast<int64_t>(folder.samples.size()), "images");

  std::vector<Tally> per_class(folder.classes.size());
  std::vector<std::vector<float>> samples;
  std::vector<int32_t> labels;
  std::vector<float> probabilities;
  int64_t done = 0;
  int64_t skipped = 0;
  const auto predict = [&]() -> Status {
    probabilities.resize(labels.size() * classes);
    CALDERA_TRY(predictor.predict(samples, probabilities));
    for (size_t i = 0; i < labels.size(); ++i) {
      const auto row = std::span<const float>(probabilities).subspan(i * classes, classes);
      const std::vector<RankedClass> top = top_classes(row, 5);
      const int32_t truth = map.index[labels[i]];
      const bool found = std::any_of(top.begin(), top.end(),
                                     [&](const RankedClass& r) { return r.index == truth; });
      per_class[labels[i]].add({1, top.front().index == truth, found});
    }
    samples.clear();
    labels.clear();
    return {};
  };
  for (ImageLoader::Item item; loader.next(item);) {
    ++done;
    if (!item.values.ok()) {
      progress.finish();
      print_note("skipped: " + item.values.error().message);
      ++skipped;
      continue;
    }
    samples.push_back(std::move(*item.values));
    labels.push_back(folder.samples[item.index].label);
    if (static_cast<int64_t>(labels.size()) == group) CALDERA_TRY(predict());
    progress.update(done);
  }
  if (!labels.empty()) CALDERA_TRY(predict());
  progress.finish();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();

  Tally all;
  for (const Tally& tally : per_class) all.add(tally);
  if (all.images == 0) {
    return usage_error(fmt::format("{}: none of its {} images can be decoded", where, skipped));
  }
  const Setup setup{model_names(models), device.info().name, predictor.precision()};
  if (args.json) {
    print_json(to_json(per_class, all, skipped, folder, seconds, setup));
  } else {
    print_result(per_class, all, skipped, folder, seconds, loader.seconds_waited(), setup,
                 !map.by_name && has_class_names(predictor.labels()));
  }
  return kExitDone;
}

}  // namespace

void add_eval(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "eval",
      "Measure accuracy over labelled images, a folder a class. A folder's class is the model's\n"
      "label of that name; where it has no such labels, the folders' sorted order.\n"
      "top1 and top5 in the JSON are parts of 1.");
  command->add_option("MODEL", args->first,
                      "A model or checkpoint file, or an architecture's name");
  command->add_option("DIR", args->folder, "A folder of class folders");
  add_ensemble(*command, args->model);
  add_view_options(*command, args->views);
  command->add_option("--threads", args->threads, "Threads that decode images (one a core)")
      ->type_name("N")
      ->check(in_range(1, 1024));
  add_device_options(*command, args->device);
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera eval resnet20.th cifar10/test\n"
      "  caldera eval resnet50.pth imagenet/val --ten-crop --json\n"
      "  caldera eval --model resnet20.th --model resnet56.th cifar10/test");
  on_chosen(*command, action, args, run_eval);
}

}  // namespace caldera::tool
