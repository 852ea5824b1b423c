// Class folders as torchvision's ImageFolder reads them, so that labels and order agree with what
// a network was trained on: classes by name, within one the folders by path, then the files by
// name; symbolic links are followed. Names are compared as bytes, which is the order of UTF-8.
#include "caldera/dataset.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <new>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace caldera {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 64;  // A symbolic link to a folder above would have no end.

Error unreadable(const fs::path& path, const std::error_code& error) {
  return {ErrorCode::kInvalidInput,
          fmt::format("{}: cannot read this folder: {}", path.string(), error.message())};
}

bool is_image_name(const fs::path& path) {
  constexpr std::array<std::string_view, 4> kExtensions{".jpg", ".jpeg", ".png", ".bmp"};
  // The end of the name and not its extension(), which ".jpg" has not, and ImageFolder takes.
  std::string name = path.filename().string();
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::any_of(kExtensions.begin(), kExtensions.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

struct Listing {
  std::vector<std::string> folders;  // Sorted names.
  std::vector<std::string> files;
};

Result<Listing> list(const fs::path& folder) {
  Listing listing;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code broken_link;
    const bool is_folder = entry->is_directory(broken_link);
    (is_folder ? listing.folders : listing.files).push_back(entry->path().filename().string());
  }
  if (error) return unreadable(folder, error);
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.files.begin(), listing.files.end());
  return listing;
}

// The image files of `folder` and of all folders below, a list a folder.
using FilesOf = std::pair<std::string, std::vector<std::string>>;
Status collect(const fs::path& folder, int depth, std::vector<FilesOf>& found) {
  if (depth > kMaxDepth) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{}: folders are nested more than {} deep; look for a symbolic link "
                             "that leads back",
                             folder.string(), kMaxDepth)};
  }
  CALDERA_TRY_ASSIGN(Listing listing, list(folder));
  std::erase_if(listing.files, [](const std::string& name) { return !is_image_name(name); });
  if (!listing.files.empty()) found.emplace_back(folder.string(), std::move(listing.files));
  for (const std::string& name : listing.folders) {
    CALDERA_TRY(collect(folder / name, depth + 1, found));
  }
  return {};
}

Result<ImageFolder> scan(const fs::path& folder) {
  CALDERA_TRY_ASSIGN(Listing top, list(folder));
  if (top.folders.empty()) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{}: no class folder in it; images must lie in one folder a class",
                             folder.string())};
  }
  ImageFolder out;
  for (std::string& name : top.folders) {
    std::vector<FilesOf> found;
    CALDERA_TRY(collect(folder / name, 0, found));
    if (found.empty()) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("{}: no image in this class; add .jpg, .jpeg, .png or .bmp files, "
                               "or remove the folder",
                               (folder / name).string())};
    }
    std::sort(found.begin(), found.end());
    const auto label = static_cast<int32_t>(out.classes.size());
    for (const auto& [parent, files] : found) {
      for (const std::string& file : files) out.samples.push_back({fs::path(parent) / file, label});
    }
    out.classes.push_back(std::move(name));
  }
  return out;
}

}  // namespace

Result<ImageFolder> scan_image_folder(const fs::path& folder) {
  try {
    return scan(folder);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("{}: not enough memory to list its files", folder.string())};
  }
}

}  // namespace caldera
