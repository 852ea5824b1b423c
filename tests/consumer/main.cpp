// A first program on Caldera: opens the best device, loads a model and says what it sees in an
// image. The model is a file, or the name of an architecture, which then gets random weights.
// Without arguments, a small net of that kind looks at a grey square, which shows that all of it
// links and runs.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <caldera/caldera.h>

namespace {

caldera::Status classify(int argc, char** argv) {
  CALDERA_TRY_ASSIGN(const caldera::Device device, caldera::Device::open());
  std::printf("device: %s\n", device.info().name.c_str());

  const std::string name = argc > 1 ? argv[1] : "cifar_resnet20";
  auto loaded = std::filesystem::exists(name) ? caldera::Model::load(name)
                                              : caldera::Model::create(name, /*seed=*/1);
  CALDERA_TRY_ASSIGN(const caldera::Model model, std::move(loaded));
  const caldera::Size2d size = model.input_size();

  caldera::Image image{size.w, size.h, std::vector<uint8_t>(size_t(3) * size.w * size.h, 128)};
  if (argc > 2) {
    CALDERA_TRY_ASSIGN(image, caldera::read_image(argv[2]));
  }
  std::vector<float> input(size_t(3) * size.w * size.h);  // [1, 3, H, W]
  caldera::normalize(caldera::fit(image, model.preprocess(), size.w, size.h), model.preprocess(),
                     input);

  CALDERA_TRY_ASSIGN(caldera::Session session, model.session(device, /*batch=*/1));
  std::vector<float> logits(model.labels().size());  // [1, classes]
  CALDERA_TRY(session.run(input, logits));
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  std::printf("class: %s\n", model.labels()[best].c_str());
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const caldera::Status status = classify(argc, argv);
  if (status) return 0;
  std::fprintf(stderr, "consumer: %s\n", status.error().message.c_str());
  return 1;
}
