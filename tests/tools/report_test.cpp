// What `--report DIR` leaves of a training: a page that opens in a browser with every chart drawn,
// tables, and TensorBoard's events, all of the same numbers; also of a run that was stopped.
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>

#include "caldera/model.h"

#include "tests/models/fit/photos.h"
#include "tests/support/require.h"
#include "tests/tools/browser.h"
#include "tests/tools/program.h"

namespace caldera::test {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

using Rows = std::vector<std::vector<std::string>>;

// Without the titles.
Rows read_table(const fs::path& path) {
  Rows rows;
  std::istringstream file(file_text(path));
  for (std::string line; std::getline(file, line);) {
    std::istringstream cells(line);
    std::vector<std::string> row;
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(cell);
    rows.push_back(row);
  }
  if (!rows.empty()) rows.erase(rows.begin());
  return rows;
}

// What the page draws.
nlohmann::json page_data(const fs::path& page) {
  const std::string html = file_text(page);
  const std::string mark = "id=\"data\">";
  const size_t begin = html.find(mark) + mark.size();
  return nlohmann::json::parse(html.substr(begin, html.find("</script>", begin) - begin), nullptr,
                               false);
}

// --- TensorBoard's file, read as its documents have it ---

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool one = ((crc ^ static_cast<uint32_t>(static_cast<uint8_t>(byte) >> bit)) & 1) != 0;
      crc = (crc >> 1) ^ (one ? 0x82f63b78 : 0);
    }
  }
  return crc ^ 0xffffffff;
}

uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

template <typename T>
T number_at(std::string_view bytes, size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

// The payloads of all records; fails where a checksum is wrong.
std::vector<std::string> read_records(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at + 12 <= file.size();) {
    const auto length = number_at<uint64_t>(file, at);
    EXPECT_EQ(number_at<uint32_t>(file, at + 8), masked_crc32c(file.substr(at, 8)));
    if (at + 16 + length > file.size()) {
      ADD_FAILURE() << "a torn record";
      break;
    }
    records.push_back(file.substr(at + 12, length));
    EXPECT_EQ(number_at<uint32_t>(file, at + 12 + length), masked_crc32c(records.back()));
    at += 16 + length;
  }
  return records;
}

// A message's fields by number, each as its bytes; a varint as eight.
std::multimap<int, std::string> read_fields(std::string_view bytes) {
  std::multimap<int, std::string> fields;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0; at < bytes.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes[at++]);
      value |= uint64_t{byte & 127u} << shift;
      if (byte < 128) break;
    }
    return value;
  };
  while (at < bytes.size()) {
    const uint64_t key = varint();
    const int wire = static_cast<int>(key & 7);
    std::string value;
    if (wire == 0) {
      const uint64_t whole = varint();
      value.assign(reinterpret_cast<const char*>(&whole), sizeof(whole));
    } else {
      const size_t size = wire == 1 ? 8 : wire == 5 ? 4 : varint();
      value = bytes.substr(at, size);
      at += size;
    }
    fields.emplace(static_cast<int>(key >> 3), value);
  }
  return fields;
}

// Scalars by tag and step.
std::map<std::string, std::map<uint64_t, float>> read_events(const fs::path& folder) {
  std::map<std::string, std::map<uint64_t, float>> scalars;
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().find("tfevents") == std::string::npos) continue;
    ++files;
    const std::vector<std::string> records = read_records(file_text(entry.path()));
    EXPECT_FALSE(records.empty());
    if (records.empty()) continue;
    EXPECT_EQ(read_fields(records.front()).find(3)->second, "brain.Event:2");
    for (size_t i = 1; i < records.size(); ++i) {
      const auto event = read_fields(records[i]);
      EXPECT_GT(number_at<double>(event.find(1)->second, 0), 1.6e9) << "seconds since 1970";
      const auto step = number_at<uint64_t>(event.find(2)->second, 0);
      const auto summary = read_fields(event.find(5)->second);
      for (const auto& [field, value] : summary) {
        const auto parts = read_fields(value);
        scalars[parts.find(1)->second][step] = number_at<float>(parts.find(2)->second, 0);
      }
    }
  }
  EXPECT_EQ(files, 1);
  return scalars;
}

class TrainingReportTest : public ::testing::Test {
 protected:
  TrainingReportTest() {
    write_photos(photos_, 8);
    EXPECT_TRUE(Model::untrained("cifar_resnet20:classes=3,input=8", 3)->save(model_).ok());
  }

  // 18 images to train on in batches of 4, 6 to validate on. At so low a rate nothing is learned,
  // so there are mistakes to show.
  std::vector<std::string> finetune(const std::vector<std::string>& more = {},
                                    const std::string& held_back = "0.25") const {
    std::vector<std::string> arguments{
        "finetune", model_,   photos_, "--output",    scratch_ / "out.safetensors",
        "--batch",  "4",      "--lr",  "1e-6",        "--epochs",
        "2",        "--seed", "1",     "--val-split", held_back,
        "--report", report_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  ScratchDir scratch_;
  std::string photos_ = scratch_ / "my photos";
  std::string model_ = scratch_ / "model.safetensors";
  std::string report_ = scratch_ / "report";
};

TEST_F(TrainingReportTest, HoldsTheRunInAPageTablesAndEvents) {
  ASSERT_EQ(crc32c("123456789"), 0xe3069283);  // RFC 3720.
  const Outcome outcome = run_program(finetune());
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("report/report.html"));
  EXPECT_THAT(outcome.err, HasSubstr("before training: "));

  const Rows steps = read_table(fs::path(report_) / "steps.csv");
  const Rows epochs = read_table(fs::path(report_) / "epochs.csv");
  ASSERT_EQ(steps.size(), 10u);  // 5 an epoch.
  ASSERT_EQ(epochs.size(), 3u);  // And what was before.
  EXPECT_EQ(epochs.front()[0], "0");

  const auto events = read_events(report_);
  for (const char* tag : {"loss/step", "accuracy/step", "learning_rate", "gradient_norm/all"})
    EXPECT_EQ(events.at(tag).size(), 10u) << tag;
  EXPECT_FLOAT_EQ(events.at("loss/step").at(7), std::stof(steps[6][4]));
  EXPECT_EQ(events.at("loss/validation").size(), 3u);
  EXPECT_FLOAT_EQ(events.at("loss/validation").at(10), std::stof(epochs[2][7]));
  EXPECT_EQ(events.at("gradient_norm/layer1.0.conv1").size(), 2u);

  const std::string page = fs::path(report_) / "report.html";
  expect_loads_nothing(file_text(page));
  const nlohmann::json data = page_data(page);
  ASSERT_TRUE(data.is_object());
  EXPECT_EQ(data["state"], "done");
  EXPECT_EQ(data["classes"], (std::vector<std::string>{"blue", "green", "red"}));
  EXPECT_THAT(data["command"].get<std::string>(),
              AllOf(HasSubstr("caldera finetune "), HasSubstr("/my photos' --output "),
                    HasSubstr(" --lr 1e-6 ")));
  int64_t images = 0, wrong = 0;
  for (const auto& cell : data["confusion"]) {
    images += cell[2].get<int64_t>();
    wrong += cell[0] != cell[1] ? cell[2].get<int64_t>() : 0;
  }
  EXPECT_EQ(images, 6);
  EXPECT_GT(wrong, 0);
  EXPECT_EQ(data["mistakes"].size(), static_cast<size_t>(wrong));
  double loss = 1e30;
  for (const auto& mistake : data["mistakes"]) {
    EXPECT_LE(mistake["loss"], loss);
    loss = mistake["loss"];
    EXPECT_NE(mistake["label"], mistake["predicted"]);
    EXPECT_GE(mistake["probability"], mistake["own_probability"]);
    EXPECT_THAT(mistake["picture"].get<std::string>(), HasSubstr("data:image/png;base64,"));
  }
  ASSERT_EQ(data["norms"].size(), 39u);  // 19 convolutions and batch-norms, and the head.
  EXPECT_EQ(data["norms"].front()["name"], "conv1");
  EXPECT_EQ(data["norms"].back()["name"], "linear");
  for (const auto& layer : data["norms"]) {
    EXPECT_GT(layer["last"], 0.0) << layer;
    EXPECT_LE(layer["low"], layer["first"]) << layer;
    EXPECT_GE(layer["high"], layer["last"]) << layer;
  }
}

TEST_F(TrainingReportTest, OpensInABrowserWithEveryChartDrawn) {
  ASSERT_EQ(run_program(finetune()).code, 0);
  const std::string file = fs::path(report_) / "report.html";
  const OpenedPage page = open_page(file);
  if (page.dom.empty()) return;  // Skipped, or failed already.
  EXPECT_THAT(page.log, Not(HasSubstr("CONSOLE")));
  const nlohmann::json data = page_data(file);
  // Steps, epochs, and the validation before and after each.
  EXPECT_EQ(chart_points(page, "loss"), 10 + 2 + 3);
  EXPECT_EQ(chart_points(page, "accuracy"), 10 + 2 + 3);
  EXPECT_EQ(chart_points(page, "rate"), 10);
  EXPECT_EQ(chart_points(page, "norm"), 10);
  EXPECT_EQ(chart_points(page, "norms"), 3 * 39);
  int bars = 0;
  for (const auto& layer : data["layer_times"]) {
    for (const char* phase : {"forward", "backward", "update"}) bars += layer[phase] > 0.0;
  }
  EXPECT_GT(bars, 2 * 38);
  EXPECT_EQ(chart_points(page, "layers"), bars);
  const auto count = [&](const std::string& text) {
    int found = 0;
    for (size_t at = 0; (at = page.dom.find(text, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  EXPECT_EQ(count("class=\"cell"), 9);
  EXPECT_EQ(count("<img src=\"data:image/png"), static_cast<int>(data["mistakes"].size()));
  EXPECT_THAT(page.dom, HasSubstr("<dd>18 to train on, 6 to validate</dd>"));
  EXPECT_THAT(page.dom, ContainsRegex("<dd>none; [0-9.]+ [KM]iB of activations a step</dd>"));
  EXPECT_THAT(page.dom, Not(HasSubstr("<h2>Loss scale</h2>")));  // Of fp32.
}

TEST_F(TrainingReportTest, TellsWhatCheckpointingCost) {
  ASSERT_EQ(run_program(finetune({"--checkpointing", "blocks"})).code, 0);
  const std::string file = fs::path(report_) / "report.html";
  const nlohmann::json data = page_data(file);
  EXPECT_EQ(data["checkpointing"], "blocks");
  ASSERT_EQ(data["costs"].size(), 3u);
  EXPECT_EQ(data["costs"][2]["checkpointing"], "blocks");
  EXPECT_LT(data["costs"][2]["arena_bytes"], data["costs"][0]["arena_bytes"]);
  EXPECT_GT(data["costs"][2]["multiply_adds"], data["costs"][0]["multiply_adds"]);
  const OpenedPage page = open_page(file);
  if (page.dom.empty()) return;
  EXPECT_THAT(page.dom, ContainsRegex("<dd>blocks; [0-9.]+ [KM]iB of activations a step in place "
                                      "of [0-9.]+ [KM]iB, [0-9.]+% more multiply-adds"));
}

TEST_F(TrainingReportTest, ShowsTheLossScaleAndWhereStepsWereSkipped) {
  ASSERT_TRUE(of_large_gradients(Model::load(model_).value()).save(model_).ok());
  const Outcome outcome = run_program(finetune({"--precision", "mixed"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string file = fs::path(report_) / "report.html";
  const nlohmann::json data = page_data(file);
  if (data["precision"] != "mixed") {
    EXPECT_FALSE(driver_has_halves());
    return;
  }
  const nlohmann::json& steps = data["steps"];
  int skipped = 0;
  double scale = 65536;
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(steps["loss_scale"][i], scale) << i;
    if (steps["skipped"][i] == 0) continue;
    ++skipped;
    scale /= 2;
  }
  EXPECT_GT(skipped, 0);
  EXPECT_LT(skipped, 10);
  const OpenedPage page = open_page(file);
  if (page.dom.empty()) return;
  EXPECT_THAT(page.log, Not(HasSubstr("CONSOLE")));
  EXPECT_EQ(chart_points(page, "scale"), 10 + skipped);
  EXPECT_EQ(chart_points(page, "norm"), 10 - skipped);  // A skipped step has none.
  EXPECT_THAT(page.dom,
              HasSubstr(std::to_string(skipped) + " of 10 steps were skipped, the points"));
}

TEST_F(TrainingReportTest, IsThereForARunThatWasStoppedAndWholeOnceItWentOn) {
  std::vector<std::string> begun = finetune({"--checkpoint-every", "1"});
  const fs::path steps = fs::path(report_) / "steps.csv";
  {
    Running running(begun);
    while (running.lives() && read_table(steps).size() < 7)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    running.send(SIGINT);
    ASSERT_EQ(running.wait().code, 130);
  }
  const fs::path page = fs::path(report_) / "report.html";
  const nlohmann::json stopped = page_data(page);
  EXPECT_EQ(stopped["state"], "stopped");
  EXPECT_EQ(stopped["epochs"].size(), 1u);

  begun.insert(begun.end(), {"--resume", scratch_ / "out.run" / "last.safetensors"});
  const Outcome outcome = run_program(begun);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json whole = page_data(page);
  EXPECT_EQ(whole["state"], "done");
  EXPECT_EQ(whole["steps"]["count"], 10);
  EXPECT_EQ(whole["epochs"].size(), 2u);
  EXPECT_EQ(whole["before"]["images"], stopped["before"]["images"]);
  EXPECT_EQ(whole["before"]["correct"], stopped["before"]["correct"]);
  EXPECT_EQ(read_table(steps).size(), 10u);
  const auto events = read_events(report_);
  EXPECT_EQ(events.at("loss/step").size(), 10u);
  EXPECT_EQ(events.at("loss/validation").size(), 3u);
}

TEST_F(TrainingReportTest, DoesWithoutValidation) {
  ASSERT_EQ(run_program(finetune({}, "0")).code, 0);
  const std::string file = fs::path(report_) / "report.html";
  const OpenedPage page = open_page(file);
  if (page.dom.empty()) return;
  EXPECT_THAT(page.log, Not(HasSubstr("CONSOLE")));
  EXPECT_EQ(chart_points(page, "loss"), 12 + 2);
  EXPECT_THAT(page.dom, Not(HasSubstr("<h2>Confusion</h2>")));
}

TEST_F(TrainingReportTest, IsNotWrittenOverUnasked) {
  fs::create_directories(report_);
  std::ofstream(fs::path(report_) / "report.html") << "mine";
  EXPECT_THAT(expect_refused(run_program(finetune())),
              AllOf(HasSubstr("report.html is of an earlier run"), HasSubstr("--force")));
  EXPECT_EQ(file_text(fs::path(report_) / "report.html"), "mine");
}

}  // namespace
}  // namespace caldera::test
