// Models: from real checkpoints, from nothing, and through Caldera's own file and back.
#include "caldera/model.h"

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/architectures/hollow.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

using test::names_of;
using test::ScratchDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Model loaded(const std::filesystem::path& path, const ModelOptions& options = {}) {
  auto model = Model::load(path, options);
  EXPECT_TRUE(model.ok()) << model.error().message;
  return model.ok() ? *std::move(model) : Model{};
}

std::string load_error(const std::filesystem::path& path, const ModelOptions& options = {}) {
  const auto model = Model::load(path, options);
  EXPECT_FALSE(model.ok());
  return model.ok() ? "" : model.error().message;
}

void expect_same_bits(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_EQ(names_of(a), names_of(b));
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    const Tensor& x = a.tensors[i].tensor;
    const Tensor& y = b.tensors[i].tensor;
    EXPECT_EQ(x.dtype(), y.dtype());
    EXPECT_EQ(x.shape(), y.shape());
    ASSERT_EQ(x.bytes().size(), y.bytes().size());
    EXPECT_EQ(std::memcmp(x.bytes().data(), y.bytes().data(), x.bytes().size()), 0)
        << a.tensors[i].name;
  }
}

// A file of `model`'s tensors whose metadata `change` has had its way with.
template <typename Change>
std::filesystem::path save_changed(const ScratchDir& scratch, const Model& model, Change change) {
  const auto path = scratch / "changed.safetensors";
  EXPECT_TRUE(model.save(path).ok());
  Checkpoint file = read_checkpoint(path).value();
  auto json = nlohmann::json::parse(file.metadata.at("caldera"));
  change(json);
  file.metadata["caldera"] = json.dump();
  EXPECT_TRUE(write_safetensors(path, file).ok());
  return path;
}

TEST(Model, LoadsATrainedCheckpoint) {
  CALDERA_REQUIRE_DATA(data);
  const Model model = loaded(data / "checkpoints" / "resnet20-12fca82f.th");
  EXPECT_EQ(model.architecture().full_name(), "cifar_resnet20");
  EXPECT_EQ(model.preprocess(), find_preprocess("cifar10").value());
  EXPECT_EQ(model.input_size(), (Size2d{32, 32}));
  EXPECT_THAT(model.labels(), ElementsAre("airplane", "automobile", "bird", "cat", "deer", "dog",
                                          "frog", "horse", "ship", "truck"));
  EXPECT_EQ(parameter_count(model.graph(1).value()), 269722);
  EXPECT_EQ(model.checkpoint().tensors.front().name, "conv1.weight");
}

TEST(Model, ComesBackFromItsOwnFileBitForBit) {
  CALDERA_REQUIRE_DATA(data);
  const ScratchDir scratch;
  const auto path = scratch / "net.safetensors";
  std::vector<std::string> labels;
  for (int i = 0; i < 10; ++i) labels.push_back("größe \"" + std::to_string(i) + "\"");
  ModelOptions options;
  options.architecture = "cifar_resnet20:zeros=end";
  options.preprocess = "none";
  options.labels = labels;
  const Model first = loaded(data / "checkpoints" / "resnet20-12fca82f.th", options);
  ASSERT_TRUE(first.save(path).ok());

  const Model again = loaded(path);
  EXPECT_EQ(again.architecture().full_name(), "cifar_resnet20:zeros=end");
  EXPECT_EQ(again.preprocess(), first.preprocess());
  EXPECT_EQ(again.labels(), labels);
  expect_same_bits(again.checkpoint(), first.checkpoint());
}

TEST(Model, IsMadeFromNothing) {
  const auto model = Model::create("resnet18:classes=3,input=64", 5);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_THAT(model->labels(), ElementsAre("0", "1", "2"));
  EXPECT_EQ(model->input_size(), (Size2d{64, 64}));
  EXPECT_EQ(model->preprocess().resize_shorter, 73);  // 256 to 224, as 73 to 64.
  EXPECT_EQ(model->preprocess().mean, find_preprocess("imagenet").value().mean);
  EXPECT_EQ(infer_architecture(model->checkpoint()).value().full_name(), "resnet18:classes=3");

  const ScratchDir scratch;
  ASSERT_TRUE(model->save(scratch / "net.safetensors").ok());
  const Model again = loaded(scratch / "net.safetensors");
  EXPECT_EQ(again.architecture().full_name(), "resnet18:classes=3,input=64");
  expect_same_bits(again.checkpoint(), model->checkpoint());
  EXPECT_NE(again.checkpoint().find("bn1.num_batches_tracked"), nullptr);

  EXPECT_EQ(Model::create("resnet18", 5)->input_size(), (Size2d{224, 224}));
  EXPECT_FALSE(Model::create("resnet19", 5).ok());
}

TEST(Model, TakesTheCheckpointsClassCount) {
  const ScratchDir scratch;
  const auto path = scratch / "weights.safetensors";
  ASSERT_TRUE(
      write_safetensors(path, Model::create("cifar_resnet20:classes=2", 1)->checkpoint()).ok());
  ModelOptions named;
  named.architecture = "cifar_resnet20";
  EXPECT_EQ(loaded(path).architecture().full_name(), "cifar_resnet20:classes=2");
  EXPECT_EQ(loaded(path, named).architecture().full_name(), "cifar_resnet20:classes=2");
  EXPECT_THAT(loaded(path, named).labels(), ElementsAre("0", "1"));
  named.architecture = "cifar_resnet20:classes=10";
  EXPECT_THAT(load_error(path, named), HasSubstr("linear.weight is [2, 64], not [10, 64]"));
}

TEST(Model, SaysInOneLineWhatDoesNotFit) {
  const ScratchDir scratch;
  const auto path = scratch / "weights.safetensors";
  ASSERT_TRUE(write_safetensors(path, Model::create("cifar_resnet20", 1)->checkpoint()).ok());
  ModelOptions options;
  options.architecture = "resnet18";
  EXPECT_THAT(load_error(path, options), StartsWith(path.string() + ": resnet18: "));
  options.architecture = "resnet999";
  EXPECT_THAT(load_error(path, options), StartsWith("no architecture is named 'resnet999'"));
  options = {};
  options.labels = {"one", "two"};
  EXPECT_THAT(load_error(path, options), HasSubstr("has 10 classes, but it was given 2 labels"));
  options = {};
  options.preprocess = "sepia";
  EXPECT_THAT(load_error(path, options), HasSubstr("sepia"));
  EXPECT_THAT(load_error(scratch / "absent.pth"), HasSubstr("absent.pth"));
}

TEST(Model, BelievesNoMetadataUnseen) {
  const ScratchDir scratch;
  const Model model = Model::create("cifar_resnet20", 1).value();
  using Json = nlohmann::json;
  const auto error = [&](auto change) { return load_error(save_changed(scratch, model, change)); };
  EXPECT_THAT(error([](Json& json) { json["version"] = 2; }), HasSubstr("format 2"));
  EXPECT_THAT(error([](Json& json) { json["version"] = "1"; }), HasSubstr("no version"));
  EXPECT_THAT(error([](Json& json) { json = Json::array(); }), HasSubstr("not a JSON object"));
  EXPECT_THAT(error([](Json& json) { json.erase("architecture"); }), HasSubstr("no architecture"));
  EXPECT_THAT(error([](Json& json) { json["architecture"] = "cifar_resnet20:classes=9e9"; }),
              HasSubstr("classes=9e9"));
  EXPECT_THAT(error([](Json& json) { json["architecture"] = "resnet18"; }), HasSubstr("missing"));
  EXPECT_THAT(error([](Json& json) { json["preprocess"] = 3; }), HasSubstr("no preprocess"));
  EXPECT_THAT(error([](Json& json) { json["preprocess"]["mean"] = "grey"; }),
              StartsWith((scratch / "changed.safetensors").string() + ": "));
  EXPECT_THAT(error([](Json& json) { json["labels"].erase(0); }), HasSubstr("holds 9 labels"));
  EXPECT_THAT(error([](Json& json) { json["labels"][3] = 3; }), HasSubstr("a label is no text"));
}

TEST(ReadLabels, TakesOneALine) {
  const ScratchDir scratch;
  std::ofstream(scratch / "labels.txt") << "ant\r\nbumble bee\n\nwasp\n\n\n";
  EXPECT_THAT(read_labels(scratch / "labels.txt").value(),
              ElementsAre("ant", "bumble bee", "", "wasp"));
  std::ofstream(scratch / "empty.txt") << "\n\n";
  EXPECT_THAT(read_labels(scratch / "empty.txt").error().message, HasSubstr("holds no labels"));
  EXPECT_THAT(read_labels(scratch / "none.txt").error().message, HasSubstr("none.txt"));
  EXPECT_FALSE(read_labels(scratch.path()).ok());
}

}  // namespace
}  // namespace caldera
