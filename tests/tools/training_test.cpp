// `finetune` and `train` as a user meets them: what they write and print, what a kill leaves, and
// what Ctrl-C says.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>

#include "caldera/fit.h"

#include "tests/models/fit/photos.h"
#include "tests/models/image/reference.h"
#include "tests/support/require.h"
#include "tests/tools/program.h"

namespace caldera::test {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

using Arguments = std::vector<std::string>;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int64_t lines_of(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

class TrainingProgram : public ::testing::Test {
 protected:
  TrainingProgram() {
    write_photos(photos_, 8);
    EXPECT_TRUE(Model::untrained("cifar_resnet20:input=8", 3)->save(model_).ok());
  }

  // `finetune` on the photographs, to NAME.safetensors.
  Arguments finetune(const std::string& name, const Arguments& more = {}) const {
    Arguments arguments{
        "finetune", model_,   photos_, "--output",  scratch_ / (name + ".safetensors"),
        "--batch",  "4",      "--lr",  "0.02",      "--epochs",
        "2",        "--seed", "1",     "--threads", "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  fs::path output(const std::string& name) const { return scratch_ / (name + ".safetensors"); }
  fs::path last(const std::string& name) const {
    return scratch_ / (name + ".run") / "last.safetensors";
  }

  ScratchDir scratch_;
  std::string photos_ = scratch_ / "photos";
  std::string model_ = scratch_ / "model.safetensors";
};

TEST_F(TrainingProgram, WritesAModelThatEvalReads) {
  const fs::path log = scratch_ / "steps.csv";
  const Outcome outcome = run_program(finetune("out", {"--json", "--log", log}));
  const nlohmann::json json = expect_json(outcome);
  EXPECT_THAT(keys(json),
              UnorderedElementsAre("output", "checkpoint", "best_checkpoint", "best_epoch",
                                   "stopped", "model", "classes", "new_head", "precision", "steps",
                                   "skipped_steps", "loss_scale", "skipped", "images_per_second",
                                   "waited", "device", "epochs"));
  EXPECT_EQ(json["precision"], "fp32");
  EXPECT_EQ(json["model"], "cifar_resnet20:classes=3,input=8");
  EXPECT_THAT(json["classes"], ElementsAre("blue", "green", "red"));
  EXPECT_EQ(json["new_head"], true);
  EXPECT_EQ(json["steps"], 12);  // 21 images of 24 in batches of 4, twice.
  EXPECT_EQ(json["epochs"].size(), 2u);
  EXPECT_EQ(json["epochs"][1]["validation"]["images"], 3);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the head of 10 classes is replaced by a new one of 3"),
                                 HasSubstr("a step takes "), HasSubstr("epoch 1/2  loss "),
                                 HasSubstr("epoch 2/2  loss ")));
  EXPECT_EQ(lines_of(outcome.err), 4) << "No live line where there is no terminal";
  EXPECT_EQ(lines_of(bytes_of(log)), 13);

  const nlohmann::json judged =
      expect_json(run_program({"eval", output("out"), photos_, "--json"}));
  EXPECT_EQ(judged["images"], 24);
  EXPECT_EQ(judged["model"], "cifar_resnet20:classes=3,input=8");
}

TEST_F(TrainingProgram, TrainsInMixedPrecisionAndShowsWhatItSkipped) {
  const bool halves = expect_json(run_program({"devices", "--json"}))["devices"][0]["fp16"];
  EXPECT_TRUE(halves || !driver_has_halves());
  const fs::path log = scratch_ / "steps.csv";
  ASSERT_TRUE(of_large_gradients(Model::load(model_).value()).save(model_).ok());
  Arguments arguments = finetune("out", {"--precision", "mixed", "--log", log, "--json"});
  arguments[8] = "1e-6";
  const Outcome outcome = run_program(arguments);
  const nlohmann::json json = expect_json(outcome);
  EXPECT_EQ(json["steps"], 12);
  const std::string table = bytes_of(log);
  EXPECT_THAT(table, HasSubstr(",waited,loss_scale,skipped\n1,1,4,"));
  if (!halves) {
    EXPECT_EQ(json["precision"], "fp32");
    EXPECT_EQ(json["loss_scale"], 1.0);
    EXPECT_EQ(json["skipped_steps"], 0);
    EXPECT_THAT(outcome.err, HasSubstr("has no fp16, so fp32 is used\n"));
    return;
  }
  EXPECT_THAT(outcome.err, Not(HasSubstr("fp16")));
  EXPECT_EQ(json["precision"], "mixed");
  const int64_t skipped = json["skipped_steps"];
  EXPECT_GT(skipped, 0);
  EXPECT_EQ(json["loss_scale"], std::ldexp(65536.0, static_cast<int>(-skipped)));
  EXPECT_EQ(json["epochs"][0]["skipped_steps"].get<int64_t>() +
                json["epochs"][1]["skipped_steps"].get<int64_t>(),
            skipped);
  int64_t told = 0;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) told += line.ends_with(",1");
  EXPECT_EQ(told, skipped);
  EXPECT_THAT(outcome.err, HasSubstr(skipped == 1 ? " step skipped" : " skipped"));
}

TEST_F(TrainingProgram, GoesOnToTheSameBytesAfterAKill) {
  ASSERT_EQ(run_program(finetune("whole")).code, 0);
  int killed = 0;
  for (const int64_t steps : {1, 4, 7}) {
    const std::string name = "killed" + std::to_string(steps);
    const fs::path log = scratch_ / (name + ".csv");
    const Arguments arguments = finetune(name, {"--checkpoint-every", "1", "--log", log});
    {
      Running running(arguments);
      // Wherever it is then: in a step, or in the midst of writing.
      while (running.lives() && lines_of(bytes_of(log)) < steps + 2)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      running.send(SIGKILL);
      killed += running.wait().code == 128 + SIGKILL;
    }
    Arguments resumed = arguments;
    resumed.insert(resumed.end(), {"--resume", last(name)});
    const Outcome outcome = run_program(resumed);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(bytes_of(output(name)), bytes_of(output("whole")));
    EXPECT_EQ(lines_of(bytes_of(log)), 13);
  }
  EXPECT_EQ(killed, 3);
}

TEST_F(TrainingProgram, StopsAfterTheStepOnCtrlCAndSaysHowToGoOn) {
  const fs::path log = scratch_ / "log.csv";
  Arguments begun = finetune("stopped", {"--log", log});
  begun[10] = "500";
  Running running(begun);
  while (running.lives() && lines_of(bytes_of(log)) < 3)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  running.send(SIGINT);
  const Outcome outcome = running.wait();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("caldera: stopped after step "),
                                 HasSubstr("--resume " + last("stopped").string())));
  EXPECT_TRUE(fs::exists(last("stopped")));
  EXPECT_FALSE(fs::exists(output("stopped")));
}

TEST_F(TrainingProgram, FromNothingGivesTheSameBitsForTheSameSeed) {
  const auto train = [&](const std::string& name, const std::string& seed) {
    const Outcome outcome = run_program({"train", "cifar_resnet20:input=8", photos_, "--output",
                                         scratch_ / (name + ".pth"), "--epochs", "1", "--batch",
                                         "6", "--seed", seed, "--val-split", "0", "--lr", "0.01"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return bytes_of(scratch_ / (name + ".pth"));
  };
  const std::string first = train("a", "7");
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(train("b", "7"), first);
  EXPECT_NE(train("c", "8"), first);
  EXPECT_EQ(Model::load(scratch_ / "a.pth")->architecture().classes, 3);
}

TEST_F(TrainingProgram, NamesDamagedImagesAndGoesOn) {
  write_bytes(fs::path(photos_) / "red" / "3.png", {1, 2, 3});
  const Outcome outcome =
      run_program(finetune("out", {"--val-split", "0", "--json", "--no-shuffle"}));
  EXPECT_EQ(expect_json(outcome)["skipped"], 1);
  EXPECT_THAT(outcome.err, HasSubstr("skipped: " + photos_ + "/red/3.png"));
}

TEST_F(TrainingProgram, MakesTheSameModelWithLessMemory) {
  const Outcome kept = run_program(finetune("kept"));
  EXPECT_EQ(kept.code, 0) << kept.err;
  EXPECT_THAT(kept.err, HasSubstr("of activations (checkpointing none)"));
  for (const std::string name : {"cheap", "blocks"}) {
    const Outcome less = run_program(finetune(name, {"--checkpointing", name}));
    EXPECT_EQ(less.code, 0) << less.err;
    EXPECT_THAT(less.err, HasSubstr("(checkpointing " + name + ")"));
    EXPECT_EQ(bytes_of(output(name)), bytes_of(output("kept")));
  }
  // Nothing that counts in going on: the results are the same.
  const Outcome resumed =
      run_program(finetune("resumed", {"--resume", last("kept"), "--checkpointing=blocks"}));
  EXPECT_EQ(resumed.code, 0) << resumed.err;
}

TEST_F(TrainingProgram, RefusesInOneLine) {
  const auto why = [&](const Arguments& arguments) {
    return expect_refused(run_program(arguments));
  };
  EXPECT_THAT(why(finetune("x", {"--freeze", "layr1"})), HasSubstr("did you mean 'layer1'"));
  EXPECT_THAT(why(finetune("x", {"--schedule", "multi-step"})), HasSubstr("--milestones"));
  EXPECT_THAT(why(finetune("x", {"--checkpoint-every", "soon"})), HasSubstr("minutes"));
  EXPECT_THAT(why(finetune("x", {"--checkpointing", "some"})), HasSubstr("--checkpointing"));
  EXPECT_THAT(why(finetune("x", {"--resume", "none"})), HasSubstr("none: no such file"));
  EXPECT_THAT(why({"finetune", "resnet18", photos_}), HasSubstr("`caldera train resnet18 "));
  EXPECT_THAT(why({"train", "resnt18", photos_}), HasSubstr("resnt18"));
  EXPECT_THAT(why({"finetune", model_, photos_, "-o", "x.bin"}), HasSubstr(".safetensors"));
  EXPECT_THAT(why({"finetune", model_, photos_, "-o", model_}), HasSubstr("--force"));
  fs::create_directories(fs::path(photos_) / "empty");
  EXPECT_THAT(why(finetune("x")), HasSubstr("empty"));
  const fs::path one = scratch_ / "one";
  fs::create_directories(one);
  fs::copy(fs::path(photos_) / "red", one / "red");
  EXPECT_THAT(why({"finetune", model_, one, "-o", scratch_ / "y.pth"}),
              HasSubstr("'red' is the only class"));
}

TEST_F(TrainingProgram, NamesTheLayerOfTheFirstNaN) {
  Arguments wild = finetune("wild");
  wild[8] = "1e30";
  const Outcome outcome = run_program(wild);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("caldera: step 2 (epoch 1, 4 images)"),
                                 HasSubstr("not finite, first in ")));
  EXPECT_FALSE(fs::exists(output("wild")));
}

TEST_F(TrainingProgram, SaysWhatBatchWouldFitBeforeTheFirstStep) {
  const Outcome outcome = run_program({"train", "resnet152:input=4096", photos_, "--output",
                                       scratch_ / "x.pth", "--batch", "24", "--val-split", "0"});
  EXPECT_NE(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("would fit"));
}

}  // namespace
}  // namespace caldera::test
