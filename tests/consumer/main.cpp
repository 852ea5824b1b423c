// A first program on Caldera: consumer [MODEL [IMAGE]] says what the model sees in the image. Left
// out, they are a small net of random weights and a grey square.
#include <algorithm>
#include <cstdio>

#include <caldera/caldera.h>

using namespace caldera;

static Status classify(int argc, char** argv) {
  CALDERA_TRY_ASSIGN(const Device device, Device::open());
  CALDERA_TRY_ASSIGN(const Model model,
                     argc > 1 ? Model::load(argv[1]) : Model::create("cifar_resnet20", /*seed=*/1));
  const Size2d size = model.input_size();
  Image image{size.w, size.h, std::vector<uint8_t>(size_t{3} * size.w * size.h, 128)};
  if (argc > 2) {
    CALDERA_TRY_ASSIGN(image, read_image(argv[2]));
  }
  std::vector<float> input(size_t{3} * size.h * size.w);  // [1, 3, H, W]
  normalize(fit(image, model.preprocess(), size.w, size.h), model.preprocess(), input);

  CALDERA_TRY_ASSIGN(Session session, model.session(device, /*batch=*/1));
  std::vector<float> logits(model.labels().size());  // [1, classes]
  CALDERA_TRY(session.run(input, logits));
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  std::printf("%s: %s\n", device.info().name.c_str(), model.labels()[best].c_str());
  return {};
}

int main(int argc, char** argv) {
  const Status status = classify(argc, argv);
  if (!status) std::fprintf(stderr, "consumer: %s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
