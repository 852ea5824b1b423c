// Labelled image sets in folders, one folder a class (torchvision's ImageFolder), and a loader
// that decodes on threads ahead of the device.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "caldera/image.h"
#include "caldera/result.h"

namespace caldera {

struct Sample {
  std::filesystem::path path;
  int32_t label = 0;  // Index into ImageFolder::classes.
};

struct ImageFolder {
  std::vector<std::string> classes;  // Folder names, sorted.
  std::vector<Sample> samples;       // By class name, then file name.
};

// Every .jpg, .jpeg, .png and .bmp (any case) below each class's folder. An empty class, no
// class at all or an unreadable folder is an error.
Result<ImageFolder> scan_image_folder(const std::filesystem::path& folder);

// Decodes and transforms samples in order on `threads` threads, at most `ahead` samples ahead of
// the reader. A file that cannot be decoded is delivered as its error, in its place.
class ImageLoader {
 public:
  // From a decoded image to the float32 values of one sample (all crops of it, say), with no
  // sharing between calls: it runs on any of the threads.
  using Transform = std::function<std::vector<float>(const Image&)>;

  struct Item {
    size_t index = 0;  // Into the paths given.
    Result<std::vector<float>> values = std::vector<float>{};
  };

  ImageLoader(std::vector<std::filesystem::path> paths, Transform transform, int threads,
              int ahead);
  ~ImageLoader();
  ImageLoader(const ImageLoader&) = delete;
  ImageLoader& operator=(const ImageLoader&) = delete;

  // The next sample in order; waits for it. False at the end.
  bool next(Item& item);
  // Seconds that next() has waited so far: time the device stood idle for want of images.
  double seconds_waited() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace caldera
