// How the program answers to right and wrong usage, without any Vulkan device: help, exit codes,
// one-line errors that say what to do.
#include <fstream>

#include <gmock/gmock.h>

#include "tests/support/paths.h"
#include "tests/tools/program.h"

namespace caldera::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kCommands{"devices",  "doctor", "models",     "inspect",  "convert",
                                         "classify", "eval",   "run",        "tune",     "bench",
                                         "profile",  "verify", "completion", "finetune", "train"};

class EveryCommand : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Usage, EveryCommand, ::testing::ValuesIn(kCommands),
                         [](const auto& p) { return p.param; });

TEST_P(EveryCommand, ExplainsItselfWithAnExample) {
  const Outcome help = run_without_driver({GetParam(), "--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  EXPECT_THAT(help.out,
              AllOf(HasSubstr("Usage: caldera " + GetParam()), HasSubstr("Example:\n"),
                    HasSubstr("caldera " + GetParam() + (GetParam() == "verify" ? " " : ""))));
  EXPECT_NE(help.out.find("  caldera ", help.out.find("Example:")), std::string::npos);
}

TEST_P(EveryCommand, IsListedByTheProgramsHelp) {
  const Outcome help = run_without_driver({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("\n  " + GetParam() + " "));
}

TEST_P(EveryCommand, RefusesAnOptionThatItDoesNotKnow) {
  const std::string error = expect_refused(run_without_driver({GetParam(), "--colour"}));
  EXPECT_THAT(error, HasSubstr("no option --colour"));
}

TEST(Usage, SaysItsVersion) {
  const Outcome version = run_without_driver({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.out, ::testing::MatchesRegex("caldera [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(Usage, WithoutACommandPointsToTheHelp) {
  EXPECT_THAT(expect_refused(run_without_driver({})), HasSubstr("`caldera --help`"));
}

TEST(Usage, NamesTheCommandAndTheOptionThatWereMeant) {
  EXPECT_THAT(expect_refused(run_without_driver({"clasify"})), HasSubstr("`caldera classify`"));
  EXPECT_THAT(expect_refused(run_without_driver({"run", "resnet18", "--bach=3"})),
              HasSubstr("did you mean --batch?"));
}

const std::string kFile = CALDERA_PROGRAM;  // A file that is no model, folder or image.

struct Mistake {
  std::string name;
  std::vector<std::string> arguments;
  std::string told;
};
class Mistakes : public ::testing::TestWithParam<Mistake> {};
INSTANTIATE_TEST_SUITE_P(
    Usage, Mistakes,
    ::testing::Values(
        Mistake{"NoModel", {"run"}, "MODEL is required"},
        Mistake{"NoImage", {"classify", "resnet18"}, "name an image"},
        Mistake{"NoFolder", {"eval", "resnet18"}, "name a model and a folder"},
        Mistake{"FolderTwice", {"eval", "--model", "resnet18", "a", "b"}, "name one folder"},
        Mistake{"Surplus", {"run", "resnet18", "more"}, "more"},
        Mistake{"ValueMissing", {"run", "resnet18", "--repeat"}, "--repeat wants a value"},
        Mistake{
            "ValueTwice", {"run", "resnet18", "--seed", "1", "--seed", "2"}, "may be given once"},
        Mistake{"BatchOfZero", {"run", "resnet18", "--batch", "0"}, "--batch"},
        Mistake{"ToleranceOfText", {"verify", "resnet18", "--tolerance", "x"}, "no number above 0"},
        Mistake{"PrecisionOfNoKind", {"bench", "--precision", "int4"}, "--precision"},
        Mistake{"CheckpointingOfRuns", {"bench", "--checkpointing", "cheap"}, "--train"},
        Mistake{"CheckpointingUnnamed",
                {"train", "resnet18", "/", "--checkpointing"},
                "--checkpointing wants a value"},
        Mistake{"PrecisionOfTraining", {"bench", "--precision", "mixed"}, "goes with --train"},
        Mistake{"PrecisionToTune", {"tune", "resnet18", "--precision", "mixed"}, "with --train"},
        Mistake{"PrecisionToInspect", {"inspect", kFile, "--precision", "mixed"}, "with --train"},
        Mistake{"ErasingTooMuch", {"finetune", kFile, "/", "--erasing", "2"}, "--erasing"},
        Mistake{"NetToBenchMisspelt", {"bench", "resnt18"}, "'resnet18'"},
        Mistake{"NothingToProfile", {"profile"}, "MODEL is required"},
        Mistake{"BatchOfAFile", {"run", "resnet18", "--input", "x.npy", "--batch", "2"}, "--batch"},
        Mistake{"Shell", {"completion", "tcsh"}, "bash"},
        Mistake{"NoSuchFile", {"run", "folder/no.pth"}, "folder/no.pth: no such file"},
        Mistake{"NoSuchNet", {"run", "resnt18"}, "'resnet18'"},
        Mistake{"NothingLikeANet", {"run", "nope"}, "neither a file nor an architecture"},
        Mistake{"NoSuchFileHere", {"run", "resnet18.pth"}, "resnet18.pth: no such file"},
        Mistake{"FolderAsModel", {"run", "/"}, "name a model or checkpoint file"},
        Mistake{"FolderAsInput", {"run", "resnet18", "--input", "/"}, "name a NumPy file"},
        Mistake{"FolderAsLabels", {"run", kFile, "--labels", "/"}, "one label a line"},
        Mistake{"NoSuchInput", {"run", "cifar_resnet20", "--input", "no.npy"}, "no.npy"},
        Mistake{"NoSuchLabels", {"classify", kFile, "x.jpg", "--labels", "no.txt"}, "no.txt"},
        Mistake{"NoSuchFolder", {"eval", "resnet18", "nowhere"}, "nowhere: cannot read"},
        Mistake{"FileAsFolder", {"eval", "resnet18", kFile}, "cannot read this folder"},
        Mistake{"FolderBeforeModel", {"eval", "/", kFile}, "the model first"},
        Mistake{"NegativeSeed", {"run", "resnet18", "--seed", "-1"}, "no whole number"},
        Mistake{"LabelsOfRandomWeights", {"run", "resnet18", "--labels", "x"}, "checkpoint file"},
        Mistake{"OutputOfNoFormat", {"convert", "resnet18", "x.bin"}, ".safetensors"},
        Mistake{"InputTooSmall", {"inspect", "vgg16:input=16"}, "32x32"}),
    [](const auto& p) { return p.param.name; });

TEST_P(Mistakes, AreToldInOneLineAndExitWithTwo) {
  EXPECT_THAT(expect_refused(run_without_driver(GetParam().arguments)), HasSubstr(GetParam().told));
}

TEST(Usage, WithoutADriverSaysWhatToInstallAndFails) {
  const Outcome outcome = run_without_driver({"run", "resnet18", "--input-size", "32"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("no Vulkan driver"), HasSubstr("caldera doctor")));
}

TEST(Usage, TellsThatItsOutputCannotBeWritten) {
  if (!std::ofstream("/dev/full")) CALDERA_SKIP_UNLESS_REQUIRED("no /dev/full")
  const Outcome outcome = run_program({"models"}, {});
  ASSERT_EQ(outcome.code, 0);
  // The same through a shell that sends it to a full disk.
  EXPECT_EQ(
      std::system((std::string(CALDERA_PROGRAM) + " models > /dev/full 2> /dev/null").c_str()),
      1 << 8);
}

TEST(Doctor, WithoutADriverNamesTheCauseAndFails) {
  const Outcome outcome = run_without_driver({"doctor", "--json"});
  EXPECT_EQ(outcome.code, 1);
  const nlohmann::json json = nlohmann::json::parse(outcome.out);
  EXPECT_THAT(keys(json), ::testing::UnorderedElementsAre(
                              "usable", "distribution", "loader", "drivers", "devices",
                              "devices_error", "validation_layer", "device_files", "kernel_drivers",
                              "environment", "cache", "advice"));
  EXPECT_EQ(json["usable"], false);
  ASSERT_EQ(json["drivers"].size(), 1u);
  EXPECT_EQ(json["drivers"][0]["loads"], false);
  EXPECT_THAT(json["advice"].dump(), HasSubstr("VK_DRIVER_FILES"));
}

TEST(Doctor, NamesTheDriverWhoseLibraryIsMissing) {
  const ScratchDir scratch;
  const std::string manifest = scratch / "broken_icd.json";
  std::ofstream(manifest)
      << R"({"ICD": {"library_path": "libno_such_driver.so", "api_version": "1.3.0"}})";
  const Outcome outcome =
      run_program({"doctor"}, {"VK_DRIVER_FILES=" + manifest, "VK_ICD_FILENAMES=" + manifest});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr(manifest + ": libno_such_driver.so"), HasSubstr("cannot run here")));
}

TEST(Models, ListsEveryNetWithItsSize) {
  const nlohmann::json json = expect_json(run_without_driver({"models", "--json"}));
  bool found = false;
  for (const nlohmann::json& model : json["models"]) {
    EXPECT_THAT(keys(model),
                ::testing::UnorderedElementsAre("name", "description", "input", "classes",
                                                "parameters", "multiply_adds"));
    if (model["name"] != "resnet50") continue;
    found = true;
    EXPECT_EQ(model["parameters"], 25557032);
  }
  EXPECT_TRUE(found);
}

TEST(Completion, KnowsEveryCommandAndItsOptions) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const Outcome script = run_without_driver({"completion", shell});
    EXPECT_EQ(script.code, 0);
    for (const std::string& command : kCommands) EXPECT_THAT(script.out, HasSubstr(command));
    for (const std::string option :
         {"ten-crop", "no-fuse", "preprocess", "top", "force", "precision", "trace"}) {
      EXPECT_THAT(script.out, HasSubstr(option)) << shell;
    }
    EXPECT_THAT(script.out, HasSubstr("wide_resnet50_2")) << shell;
  }
}

TEST(Completion, CompletesInBash) {
  const ScratchDir scratch;
  const std::string script = scratch / "caldera.bash";
  const std::string answer = scratch / "answer";
  std::ofstream(script) << run_without_driver({"completion", "bash"}).out
                        << "t() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _caldera; "
                           "echo \"${COMPREPLY[@]}\"; }\n"
                           "t caldera cl; t caldera eval --sc; t caldera run --preprocess ci; "
                           "t caldera completion f; t caldera train --precision m\n";
  ASSERT_EQ(std::system(("bash " + script + " > " + answer + " 2> /dev/null").c_str()), 0);
  std::ifstream file(answer);
  const std::string lines{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(lines, "classify\n--scales\ncifar10\nfish\nmixed\n");
}

}  // namespace
}  // namespace caldera::test
