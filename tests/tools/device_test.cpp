// The commands that run networks, on a device: what they print, and that it is right.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include <gmock/gmock.h>

#include "caldera/caldera.h"

#include "tests/support/paths.h"
#include "tests/support/require.h"
#include "tests/tools/program.h"

namespace caldera::test {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

const std::vector<std::string> kCifarClasses{"airplane", "automobile", "bird",  "cat",  "deer",
                                             "dog",      "frog",       "horse", "ship", "truck"};

// A BMP file: no loss, and any reader of images knows it.
void write_bmp(const fs::path& path, const Image& image) {
  std::string file("BM");
  const auto put = [&](uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) file += static_cast<char>(value >> (8 * i));
  };
  const auto width = static_cast<uint32_t>(image.width);
  const auto height = static_cast<uint32_t>(image.height);
  const uint32_t row = (3 * width + 3) / 4 * 4;
  put(54 + row * height, 4), put(0, 4), put(54, 4);
  put(40, 4), put(width, 4), put(height, 4), put(1, 2), put(24, 2), put(0, 4);
  put(row * height, 4), put(2835, 4), put(2835, 4), put(0, 4), put(0, 4);
  for (uint32_t y = height; y-- > 0;) {
    for (uint32_t x = 0; x < width; ++x) {
      const uint8_t* rgb = &image.pixels[3 * (y * width + x)];
      put(rgb[2], 1), put(rgb[1], 1), put(rgb[0], 1);
    }
    put(0, static_cast<int>(row - 3 * width));
  }
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << file;
}

// Of one colour.
void write_bmp(const fs::path& path, int side, uint8_t red, uint8_t green, uint8_t blue) {
  Image image{side, side, {}};
  for (int i = 0; i < side * side; ++i) {
    image.pixels.insert(image.pixels.end(), {red, green, blue});
  }
  write_bmp(path, image);
}

// Ten class folders, as the CIFAR nets name them, of `count` images each.
fs::path make_image_folder(const ScratchDir& scratch, int count) {
  const fs::path folder = scratch / "images";
  for (const std::string name :
       {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}) {
    for (int i = 0; i < count; ++i) {
      write_bmp(folder / name / (std::to_string(i) + ".bmp"), 32, static_cast<uint8_t>(90 * i),
                static_cast<uint8_t>(10 * name.size()), static_cast<uint8_t>(name[0]));
    }
  }
  return folder;
}

TEST(Devices, AreListedAndAtLeastOneIsUsable) {
  const nlohmann::json json = expect_json(run_program({"devices", "--json"}));
  ASSERT_FALSE(json["devices"].empty());
  EXPECT_EQ(json["devices"][0]["usable"], true);
  EXPECT_EQ(expect_json(run_program({"doctor", "--json"}))["usable"], true);
}

TEST(Devices, AreChosenByNumberNameOrUuidAndRefusedOtherwise) {
  const nlohmann::json first = expect_json(run_program({"devices", "--json"}))["devices"][0];
  for (const std::string& name :
       {std::string("0"), first["name"].get<std::string>(), first["uuid"].get<std::string>()}) {
    const nlohmann::json run = expect_json(
        run_program({"run", "cifar_resnet20", "--repeat", "1", "--json", "--device", name}));
    EXPECT_EQ(run["device"], first["name"]);
  }
  const Outcome none = run_program({"run", "cifar_resnet20"}, {"CALDERA_DEVICE=no such device"});
  EXPECT_NE(none.code, 0);
  EXPECT_THAT(none.err, HasSubstr("no such device"));
}

// Every command that runs networks says in what precision it did; one without a device's help is
// told why.
TEST(Precision, IsFp16WhereTheDeviceHasItAndElseFp32WithANote) {
  const ScratchDir scratch;
  const std::string image = scratch / "images" / "cat" / "a.bmp";
  write_bmp(image, 32, 1, 2, 3);
  const std::string model = scratch / "a.safetensors";
  ASSERT_EQ(run_program({"convert", "cifar_resnet20", model}).code, 0);
  const bool has = expect_json(run_program({"devices", "--json"}))["devices"][0]["fp16"];
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"run", model, "--repeat", "1"},
        {"classify", model, image},
        {"eval", model, scratch / "images"},
        {"verify", model, "--input-size", "32"},
        {"inspect", model}}) {
    for (const std::string asked : {"fp32", "fp16"}) {
      std::vector<std::string> arguments = command;
      arguments.insert(arguments.end(), {"--precision", asked, "--json"});
      const Outcome outcome = run_program(arguments);
      EXPECT_EQ(expect_json(outcome)["precision"], has ? asked : "fp32") << command[0];
      if (asked == "fp16" && !has) {
        EXPECT_THAT(outcome.err, EndsWith("has no fp16, so fp32 is used\n")) << command[0];
        EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << command[0];
      } else {
        EXPECT_EQ(outcome.err, "") << command[0];
      }
    }
  }
}

TEST(Precision, OtherThanTheTwoIsRefused) {
  EXPECT_THAT(expect_refused(run_program({"run", "cifar_resnet20", "--precision", "int8"})),
              AllOf(HasSubstr("fp32"), HasSubstr("fp16")));
}

TEST(Run, TimesARandomInput) {
  const nlohmann::json json = expect_json(
      run_program({"run", "cifar_resnet20", "--batch", "3", "--repeat", "2", "--json"}));
  EXPECT_THAT(keys(json), UnorderedElementsAre("model", "device", "precision", "input_shape",
                                               "output_shape", "output", "repeat", "median_seconds",
                                               "min_seconds", "images_per_second", "setup_seconds",
                                               "weights_bytes", "activation_bytes", "dispatches"));
  EXPECT_EQ(json["model"], "cifar_resnet20");
  EXPECT_EQ(json["input_shape"], (std::vector<int>{3, 3, 32, 32}));
  EXPECT_EQ(json["output_shape"], (std::vector<int>{3, 10}));
  EXPECT_GT(json["median_seconds"], 0.0);
}

TEST(Run, GivesTheLogitsOfTheReferenceFusedOrNot) {
  const ScratchDir scratch;
  const Shape shape{2, 3, 17, 33};
  std::vector<float> input(element_count(shape));
  for (size_t i = 0; i < input.size(); ++i) input[i] = std::sin(0.37f * static_cast<float>(i));
  const std::string x = scratch / "x.npy";
  const std::string y = scratch / "y.npy";
  ASSERT_TRUE(write_npy(x, Tensor::from_floats(shape, input)).ok());

  const Result<Model> model = Model::create("cifar_resnet20", 4);
  ASSERT_TRUE(model.ok());
  const Result<Graph> graph = model->graph(2, {17, 33});
  ASSERT_TRUE(graph.ok());
  const auto reference = run_reference(*graph, model->weights(), {input});
  ASSERT_TRUE(reference.ok());
  for (const std::string fuse : {"", "--no-fuse"}) {
    std::vector<std::string> arguments{"run", "cifar_resnet20", "--seed", "4", "--input",
                                       x,     "--output",       y};
    if (!fuse.empty()) arguments.push_back(fuse);
    const Outcome run = run_program(arguments);
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_EQ(run.err, "");
    const Result<Tensor> logits = read_npy(y);
    ASSERT_TRUE(logits.ok());
    EXPECT_EQ(logits->shape(), (Shape{2, 10}));
    const std::vector<float> found(logits->floats().begin(), logits->floats().end());
    EXPECT_LE(relative_l2(found, (*reference)[graph->outputs.front()]), 1e-4);
  }
}

TEST(Run, RefusesAnInputThatIsNotFloatsOfFourDimensions) {
  const ScratchDir scratch;
  const std::string x = scratch / "x.npy";
  ASSERT_TRUE(write_npy(x, Tensor::from_floats({3, 32, 32}, std::vector<float>(3 * 32 * 32))).ok());
  EXPECT_THAT(expect_refused(run_program({"run", "cifar_resnet20", "--input", x})),
              HasSubstr("[N, 3, H, W]"));
}

TEST(Verify, FindsThisDeviceRight) {
  for (const std::string fuse : {"", "--no-fuse"}) {
    std::vector<std::string> arguments{"verify", "cifar_resnet20", "--seed", "1", "--json"};
    if (!fuse.empty()) arguments.push_back(fuse);
    const nlohmann::json json = expect_json(run_program(arguments));
    EXPECT_THAT(keys(json),
                UnorderedElementsAre("passed", "max_layer_error", "logits_error", "layer_tolerance",
                                     "logits_tolerance", "repeats", "repeats_equal", "input_shape",
                                     "device", "precision", "model", "layers", "problem"));
    EXPECT_TRUE(json["problem"].is_null());
    EXPECT_EQ(json["passed"], true);
    EXPECT_EQ(json["repeats_equal"], 10);
    EXPECT_LE(json["max_layer_error"], 1e-5);
    EXPECT_GE(json["layers"].size(), 20u);
  }
}

// Whether the driver's first device, which the program takes, stores halves.
bool halves() {
  const nlohmann::json json = expect_json(run_program({"devices", "--json"}));
  const bool there = json.at("devices").at(0).at("fp16");
  EXPECT_TRUE(there || !driver_has_halves()) << "this driver is known to store halves";
  return there;
}

// Fp16's error is that of rounding to 11 bits, and no more: a device that computed wrongly could
// not hide in what is allowed.
TEST(Verify, FindsThisDeviceRightInFp16OrSaysThatItIsFp32) {
  const bool fp16 = halves();
  for (const std::string fuse : {"", "--no-fuse"}) {
    std::vector<std::string> arguments{"verify", "cifar_resnet20", "--precision", "fp16", "--json"};
    if (!fuse.empty()) arguments.push_back(fuse);
    const Outcome outcome = run_program(arguments);
    const nlohmann::json json = expect_json(outcome);
    EXPECT_EQ(json["passed"], true);
    EXPECT_EQ(json["precision"], fp16 ? "fp16" : "fp32");
    if (fp16) {
      EXPECT_GT(json["max_layer_error"], 1e-5);
      EXPECT_LE(json["max_layer_error"], 1e-3);
      EXPECT_LE(json["logits_error"], 1e-2);
    } else {
      EXPECT_THAT(outcome.err, HasSubstr("has no fp16, so fp32 is used"));
      EXPECT_LE(json["max_layer_error"], 1e-5);
    }
  }
}

TEST(Verify, TellsThatANetworkGoesBeyondFp16) {
  const ScratchDir scratch;
  const std::string x = scratch / "x.npy";
  const std::vector<float> large(size_t{3} * 32 * 32, 1e6f);
  ASSERT_TRUE(write_npy(x, Tensor::from_floats({1, 3, 32, 32}, large)).ok());
  const Outcome outcome =
      run_program({"verify", "cifar_resnet20", "--input", x, "--precision", "fp16"});
  if (halves()) {
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("conv1"), HasSubstr("65,504"), HasSubstr("fp32")));
  } else {  // Floats hold these values.
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("has no fp16, so fp32 is used"));
  }
}

TEST(Verify, FailsWhereTheToleranceIsTighterThanFloats) {
  const Outcome outcome = run_program({"verify", "cifar_resnet20", "--tolerance", "1e-12"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("WRONG"));
  EXPECT_THAT(outcome.err, HasSubstr("leave --tolerance out"));
}

// Input beyond what floats hold, once convolved.
std::string overflowing_input(const ScratchDir& scratch) {
  const std::string path = scratch / "huge.npy";
  const std::vector<float> huge(size_t{3} * 32 * 32, 3e38f);
  EXPECT_TRUE(write_npy(path, Tensor::from_floats({1, 3, 32, 32}, huge)).ok());
  return path;
}

TEST(Verify, TellsANetworkThatOverflowsFromAWrongDevice) {
  const ScratchDir scratch;
  const Outcome outcome =
      run_program({"verify", "cifar_resnet20", "--input", overflowing_input(scratch), "--json"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the network itself overflows"), HasSubstr("conv1")));
  EXPECT_THAT(nlohmann::json::parse(outcome.out)["problem"].dump(),
              HasSubstr("the network itself overflows"));
}

TEST(Run, FailsAfterWritingLogitsThatAreNotFinite) {
  const ScratchDir scratch;
  const std::string y = scratch / "y.npy";
  const Outcome outcome =
      run_program({"run", "cifar_resnet20", "--input", overflowing_input(scratch), "--output", y});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("the logits hold NaN or infinity"));
  EXPECT_TRUE(read_npy(y).ok());
}

TEST(Inspect, PlansTheMemoryOfActivations) {
  const nlohmann::json one = expect_json(run_program({"inspect", "cifar_resnet20", "--json"}));
  const nlohmann::json four =
      expect_json(run_program({"inspect", "cifar_resnet20", "--batch", "4", "--json"}));
  EXPECT_GT(one["activation_bytes"], 0);
  EXPECT_GT(four["activation_bytes"], one["activation_bytes"]);
  EXPECT_TRUE(one["device"].is_string());
}

TEST(Inspect, TellsWhereEachLayersMemoryGoes) {
  const nlohmann::json json =
      expect_json(run_program({"inspect", "cifar_resnet20", "--plan", "--json"}));
  const nlohmann::json& plan = json["plan"];
  EXPECT_THAT(keys(plan), UnorderedElementsAre("arena_bytes", "arena_lower_bound", "arena_blocks",
                                               "weights_bytes", "weights_blocks", "staging_bytes",
                                               "dispatches", "layers"));
  EXPECT_EQ(plan["arena_blocks"], nlohmann::json({plan["arena_bytes"]}));
  EXPECT_EQ(plan["weights_blocks"], nlohmann::json({plan["weights_bytes"]}));
  EXPECT_GE(plan["arena_bytes"], plan["arena_lower_bound"]);
  uint64_t most_alive = 0, weights = 0;
  for (const nlohmann::json& layer : plan["layers"]) {
    EXPECT_THAT(keys(layer), UnorderedElementsAre("layer", "operator", "kernel", "shape",
                                                  "output_bytes", "output_block", "workspace_bytes",
                                                  "weights_bytes", "alive_bytes"));
    EXPECT_EQ(layer["output_block"], 0);
    most_alive = std::max(most_alive, layer["alive_bytes"].get<uint64_t>());
    weights += layer["weights_bytes"].get<uint64_t>();
  }
  EXPECT_EQ(plan["layers"][0]["layer"], "conv1");
  EXPECT_EQ(plan["layers"][0]["output_bytes"], 16 * 32 * 32 * 4);
  EXPECT_EQ(most_alive, plan["arena_lower_bound"]);
  EXPECT_LE(weights, plan["weights_bytes"]);  // Aligned there.
  const Outcome text = run_program({"inspect", "cifar_resnet20", "--plan"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("workspace"), HasSubstr("block"),
                              HasSubstr("in one block; "), HasSubstr("alive at most")));
  EXPECT_NE(run_without_driver({"inspect", "cifar_resnet20", "--plan"}).code, 0);
}

TEST(Inspect, TellsWhatATrainingStepTakesByEachCheckpointing) {
  const std::vector<std::string> command{"inspect", "cifar_resnet20", "--batch", "64", "--train"};
  std::vector<std::string> as_json = command;
  as_json.push_back("--json");
  const nlohmann::json steps = expect_json(run_program(as_json))["training"];
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0]["checkpointing"], "none");
  EXPECT_EQ(steps[1]["checkpointing"], "cheap");
  EXPECT_EQ(steps[2]["checkpointing"], "blocks");
  for (const nlohmann::json& step : steps) {
    EXPECT_THAT(keys(step),
                UnorderedElementsAre("checkpointing", "arena_bytes", "states_bytes",
                                     "weights_bytes", "multiply_adds", "moved_bytes", "fits"));
    EXPECT_EQ(step["fits"], true);
  }
  EXPECT_LT(steps[1]["arena_bytes"], steps[0]["arena_bytes"]);
  EXPECT_LT(steps[2]["arena_bytes"], steps[1]["arena_bytes"]);
  EXPECT_EQ(steps[1]["multiply_adds"], steps[0]["multiply_adds"]);
  const Outcome text = run_program(command);
  EXPECT_THAT(text.out, AllOf(HasSubstr("checkpointing"), ContainsRegex("blocks .*[+]3.*%")));
  EXPECT_NE(run_without_driver(command).code, 0);
}

TEST(Eval, PrintsItsResultWithStableKeys) {
  const ScratchDir scratch;
  const std::string folder = make_image_folder(scratch, 2);
  const Outcome outcome = run_program({"eval", "cifar_resnet20", folder, "--json"});
  const nlohmann::json json = expect_json(outcome);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("random (seed 0)"), HasSubstr("name a checkpoint")));
  EXPECT_THAT(keys(json), UnorderedElementsAre("images", "top1", "top5", "correct", "skipped",
                                               "images_per_second", "device", "precision", "model",
                                               "per_class"));
  EXPECT_EQ(json["images"], 20);
  EXPECT_EQ(json["skipped"], 0);
  EXPECT_EQ(json["model"], "cifar_resnet20");
  EXPECT_DOUBLE_EQ(json["top1"].get<double>(), json["correct"].get<double>() / 20);
  EXPECT_GE(json["top5"], json["top1"]);
  ASSERT_EQ(json["per_class"].size(), 10u);
  EXPECT_EQ(json["per_class"][3]["class"], "cat");
  EXPECT_EQ(json["per_class"][3]["images"], 2);
}

TEST(Eval, NamesAnImageThatCannotBeDecodedAndGoesOn) {
  const ScratchDir scratch;
  const fs::path folder = make_image_folder(scratch, 1);
  std::ofstream(folder / "dog" / "broken.jpg") << "no image";
  const Outcome outcome = run_program({"eval", "cifar_resnet20", folder, "--json"});
  const nlohmann::json json = expect_json(outcome);
  EXPECT_EQ(json["images"], 10);
  EXPECT_EQ(json["skipped"], 1);
  EXPECT_THAT(outcome.err, HasSubstr("broken.jpg"));
}

TEST(Eval, RefusesFoldersThatFitNoClass) {
  const ScratchDir scratch;
  const fs::path folder = scratch / "images";
  write_bmp(folder / "ants" / "1.bmp", 32, 1, 2, 3);
  write_bmp(folder / "bees" / "1.bmp", 32, 1, 2, 3);
  EXPECT_THAT(expect_refused(run_program({"eval", "cifar_resnet20", folder})),
              AllOf(HasSubstr("2 class folders"), HasSubstr("10 classes"), HasSubstr("--labels")));
  // One folder of a known name does not make the other one known.
  fs::rename(folder / "bees", folder / "bird");
  EXPECT_THAT(expect_refused(run_program({"eval", "cifar_resnet20", folder})), HasSubstr("'ants'"));
}

// Where labels are equal to folders, the order of the folders does not matter.
TEST(Eval, TakesAFoldersClassByItsName) {
  CALDERA_REQUIRE_DATA(data);
  const ScratchDir scratch;
  const fs::path folder = scratch / "images";
  // Blue above, as over the sea: but what counts is that both runs agree on the class of "ship".
  write_bmp(folder / "ship" / "1.bmp", 32, 30, 60, 200);
  const std::string model = data / "checkpoints" / "resnet20-12fca82f.th";
  const nlohmann::json all = expect_json(
      run_program({"classify", model, folder / "ship" / "1.bmp", "--json", "--top", "1"}));
  const std::string label = all["images"][0]["predictions"][0]["label"];
  fs::rename(folder / "ship", folder / label);
  const nlohmann::json json = expect_json(run_program({"eval", model, folder, "--json"}));
  EXPECT_EQ(json["correct"], 1);
}

TEST(Classify, RanksClassesByProbability) {
  const ScratchDir scratch;
  const fs::path image = scratch / "a" / "a.bmp";
  write_bmp(image, 40, 200, 30, 30);
  const nlohmann::json json = expect_json(
      run_program({"classify", "cifar_resnet20", image, image, "--top", "10", "--json"}));
  EXPECT_THAT(keys(json),
              UnorderedElementsAre("images", "skipped", "device", "precision", "model"));
  ASSERT_EQ(json["images"].size(), 2u);
  EXPECT_EQ(json["images"][0]["predictions"], json["images"][1]["predictions"]);
  double before = 1;
  double sum = 0;
  for (const nlohmann::json& p : json["images"][0]["predictions"]) {
    EXPECT_THAT(keys(p), UnorderedElementsAre("class", "label", "probability"));
    EXPECT_LE(p["probability"], before);
    before = p["probability"];
    sum += before;
  }
  EXPECT_NEAR(sum, 1, 1e-5);
}

std::vector<double> probabilities(const std::vector<std::string>& arguments) {
  const nlohmann::json json = expect_json(run_program(arguments));
  std::vector<double> by_class(10);
  for (const nlohmann::json& p : json["images"][0]["predictions"]) {
    by_class[p["class"].get<size_t>()] = p["probability"];
  }
  return by_class;
}

TEST(Classify, AveragesTheProbabilitiesOfAnEnsemble) {
  const ScratchDir scratch;
  const std::string image = scratch / "a.bmp";
  write_bmp(image, 32, 200, 130, 30);
  const std::string other = scratch / "other.safetensors";
  ASSERT_EQ(run_program({"convert", "cifar_resnet32", other, "--seed", "9"}).code, 0);
  const auto alone = [&](const std::string& model) {
    return probabilities({"classify", model, image, "--top", "10", "--json"});
  };
  const std::vector<double> a = alone("cifar_resnet20");
  const std::vector<double> b = alone(other);
  const std::vector<double> both = probabilities(
      {"classify", "--model", "cifar_resnet20", "--model", other, image, "--top", "10", "--json"});
  for (size_t i = 0; i < both.size(); ++i) EXPECT_NEAR(both[i], (a[i] + b[i]) / 2, 1e-5);
  EXPECT_THAT(expect_refused(run_program({"classify", "--model", "cifar_resnet20", "--model",
                                          "cifar_resnet20:classes=7", image})),
              HasSubstr("same classes"));
}

// Of an image of one colour all crops are alike, so their average is any one of them.
TEST(Classify, AveragesTenCropsAndScales) {
  const ScratchDir scratch;
  const std::string image = scratch / "a.bmp";
  write_bmp(image, 48, 20, 130, 230);
  const std::vector<std::string> common{"classify", "cifar_resnet20", image, "--top",
                                        "10",       "--json"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = common;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return probabilities(arguments);
  };
  const std::vector<double> plain = with({});
  const std::vector<double> crops = with({"--ten-crop"});
  const std::vector<double> scale = with({"--scales", "32"});
  const std::vector<double> one = with({"--scales", "40"});
  const std::vector<double> two = with({"--scales", "32,40"});
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NEAR(crops[i], plain[i], 1e-5);
    EXPECT_NEAR(scale[i], plain[i], 1e-5);
    EXPECT_NEAR(two[i], (plain[i] + one[i]) / 2, 1e-5);
  }
}

TEST(Classify, SaysThatBesideModelOptionsEveryArgumentIsAnImage) {
  const ScratchDir scratch;
  const Outcome outcome =
      run_program({"classify", "--model", "cifar_resnet20", "cifar_resnet32", scratch.path()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("every argument is an image"), HasSubstr("a folder")));
}

TEST(Classify, NamesImagesThatItCannotReadAndExitsWithTwo) {
  const ScratchDir scratch;
  const std::string image = scratch / "a.bmp";
  write_bmp(image, 32, 1, 2, 3);
  const Outcome outcome = run_program({"classify", "cifar_resnet20", scratch / "none.jpg", image});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("none.jpg"));
  EXPECT_THAT(outcome.out, HasSubstr(image));
}

// Trained weights on test images whose labels and logits PyTorch gave; of the 256, as many as a
// slow software driver does in seconds.
constexpr int64_t kTrainedImages = 64;

struct TrainedCase {
  std::string checkpoint;
  std::vector<Image> images;
  std::vector<int32_t> labels;
  std::vector<float> logits;  // [kTrainedImages, 10], PyTorch's.
};

Result<TrainedCase> read_trained_case(const fs::path& data) {
  TrainedCase trained{.checkpoint = data / "checkpoints" / "resnet20-12fca82f.th"};
  const fs::path cifar = data / "cifar10";
  CALDERA_TRY_ASSIGN(const Tensor pixels, read_npy(cifar / "reference_pixels.npy"));
  CALDERA_TRY_ASSIGN(const Tensor labels, read_npy(cifar / "reference_labels.npy"));
  CALDERA_TRY_ASSIGN(const Tensor logits, read_npy(cifar / "reference_logits_resnet20.npy"));
  const auto* pixel = reinterpret_cast<const uint8_t*>(pixels.bytes().data());
  const size_t size = size_t{3} * 32 * 32;
  for (int64_t i = 0; i < kTrainedImages; ++i, pixel += size) {
    trained.images.push_back({32, 32, {pixel, pixel + size}});
  }
  trained.labels.resize(kTrainedImages);
  std::memcpy(trained.labels.data(), labels.bytes().data(), kTrainedImages * sizeof(int32_t));
  const auto kept = logits.floats().first(kTrainedImages * 10);
  trained.logits.assign(kept.begin(), kept.end());
  return trained;
}

TEST(Run, GivesPyTorchsLogitsOfATrainedNet) {
  CALDERA_REQUIRE_DATA(data);
  const Result<TrainedCase> trained = read_trained_case(data);
  ASSERT_TRUE(trained.ok()) << trained.error().message;
  const Result<Preprocess> preprocess = find_preprocess("cifar10");
  ASSERT_TRUE(preprocess.ok());
  const size_t size = size_t{3} * 32 * 32;
  std::vector<float> input(kTrainedImages * size);
  for (size_t i = 0; i < trained->images.size(); ++i) {
    normalize(trained->images[i], *preprocess, std::span(input).subspan(i * size, size));
  }
  const ScratchDir scratch;
  const std::string x = scratch / "x.npy";
  const std::string y = scratch / "y.npy";
  ASSERT_TRUE(write_npy(x, Tensor::from_floats({kTrainedImages, 3, 32, 32}, input)).ok());
  const Outcome run = run_program({"run", trained->checkpoint, "--input", x, "--output", y});
  ASSERT_EQ(run.code, 0) << run.err;
  const Result<Tensor> logits = read_npy(y);
  ASSERT_TRUE(logits.ok());
  EXPECT_LE(relative_l2({logits->floats().begin(), logits->floats().end()}, trained->logits), 1e-4);
}

TEST(Eval, CountsWhatPyTorchsLogitsGetRight) {
  CALDERA_REQUIRE_DATA(data);
  const Result<TrainedCase> trained = read_trained_case(data);
  ASSERT_TRUE(trained.ok()) << trained.error().message;
  const ScratchDir scratch;
  int correct = 0;
  for (size_t i = 0; i < trained->images.size(); ++i) {
    const Image& image = trained->images[i];
    const int32_t label = trained->labels[i];
    write_bmp(scratch.path() / kCifarClasses[label] / (std::to_string(i) + ".bmp"), image);
    const auto row = std::span(trained->logits).subspan(i * 10, 10);
    correct += std::max_element(row.begin(), row.end()) - row.begin() == label ? 1 : 0;
  }
  const nlohmann::json json = expect_json(
      run_program({"eval", trained->checkpoint, scratch.path(), "--batch", "30", "--json"}));
  EXPECT_EQ(json["images"], kTrainedImages);
  EXPECT_EQ(json["correct"], correct);
}

}  // namespace
}  // namespace caldera::test
