// A first program on Caldera: opens the best device, loads a model and says what it sees in an
// image. Without arguments, a net with random weights looks at a grey square, which shows that all
// of it links and runs.
#include <algorithm>
#include <cstdio>
#include <vector>

#include <caldera/caldera.h>

namespace {

caldera::Status classify(int argc, char** argv) {
  CALDERA_TRY_ASSIGN(const caldera::Device device, caldera::Device::open());
  std::printf("device: %s\n", device.info().name.c_str());

  auto loaded = argc > 1 ? caldera::Model::load(argv[1])
                         : caldera::Model::create("cifar_resnet20", /*seed=*/1);
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
