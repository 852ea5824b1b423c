#include "tests/models/fit/photos.h"

#include "tests/models/image/reference.h"

namespace caldera::test {

void write_photos(const std::filesystem::path& folder, int count) {
  const std::vector<std::string> classes{"blue", "green", "red"};
  uint32_t state = 1;
  const auto noise = [&] { return (state = state * 1664525u + 1013904223u) >> 25; };
  for (size_t label = 0; label < classes.size(); ++label) {
    std::filesystem::create_directories(folder / classes[label]);
    for (int i = 0; i < count; ++i) {
      Image image{10, 10, {}};
      for (size_t p = 0; p < 300; ++p) {
        const bool own = p % 3 == 2 - label;
        image.pixels.push_back(static_cast<uint8_t>((own ? 120 : 20) + noise()));
      }
      write_bytes(folder / classes[label] / (std::to_string(i) + ".png"), encode_png(image));
    }
  }
}

FolderSplit photos(const std::filesystem::path& folder, int count) {
  write_photos(folder, count);
  return split_folder(scan_image_folder(folder).value(), 1.0 / 3, 1).value();
}

Model photo_model() {
  const Model model = Model::untrained("cifar_resnet20:classes=3,input=8", 1).value();
  return Model::from_weights(model.architecture(), model.preprocess(), {"blue", "green", "red"},
                             model.weights())
      .value();
}

Model of_large_gradients(const Model& model) {
  Weights weights = model.weights();
  for (const auto& [name, value] :
       {std::pair("layer3.2.conv2.weight", 0.0f), std::pair("layer3.2.bn2.weight", 10.0f)}) {
    const Shape shape = weights.at(name).shape();
    const std::vector<float> values(static_cast<size_t>(element_count(shape)), value);
    weights.insert_or_assign(name, Tensor::from_floats(shape, values));
  }
  return Model::from_weights(model.architecture(), model.preprocess(), model.labels(), weights)
      .value();
}

}  // namespace caldera::test
