// Running the scripts and reading what they wrote. The PNG encoder stores its data in deflate's
// uncompressed blocks, so that tests of the decoder's checks can count its bytes.
#include "tests/models/image/reference.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace caldera::test {

namespace fs = std::filesystem;

bool have_python() {
  return std::strlen(CALDERA_PYTHON_PROGRAM) > 0;
}

bool run_script(const std::string& name, const std::vector<std::string>& arguments) {
  std::string command;
  const auto add = [&](const std::string& word) {
    command.append(command.empty() ? "'" : " '").append(word).append("'");
  };
  add(CALDERA_PYTHON_PROGRAM);
  add(std::string(CALDERA_SCRIPT_DIR).append("/").append(name));
  for (const std::string& argument : arguments) add(argument);
  return std::system(command.c_str()) == 0;
}

std::vector<uint8_t> read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_bytes(const fs::path& path, const std::vector<uint8_t>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

std::vector<float> read_floats(const fs::path& path) {
  const std::vector<uint8_t> bytes = read_bytes(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

Image read_ppm(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  Image image;
  int most = 0;
  file >> magic >> image.width >> image.height >> most;
  file.get();
  image.pixels.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  assert(magic == "P6" && most == 255);
  return image;
}

std::vector<std::string> read_cases(const fs::path& folder) {
  std::ifstream file(folder / "cases.txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

Difference difference(const Image& a, const Image& b) {
  assert(same_size(a, b));
  Difference out;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const int apart = std::abs(a.pixels[i] - b.pixels[i]);
    out.mean += apart;
    out.most = std::max(out.most, apart);
  }
  out.mean /= static_cast<double>(a.pixels.size());
  return out;
}

bool same_size(const Image& a, const Image& b) {
  return a.width == b.width && a.height == b.height && a.pixels.size() == b.pixels.size();
}

Image make_image(int32_t width, int32_t height) {
  Image image{width, height, {}};
  uint32_t state = 1;
  for (int32_t i = 0; i < 3 * width * height; ++i) {
    state = state * 1664525u + 1013904223u;
    image.pixels.push_back(static_cast<uint8_t>(state >> 24));
  }
  return image;
}

namespace {

void put32(std::vector<uint8_t>& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

void put_chunk(std::vector<uint8_t>& out, const char* type, const std::vector<uint8_t>& data) {
  put32(out, static_cast<uint32_t>(data.size()));
  const size_t start = out.size();
  out.insert(out.end(), type, type + 4);
  out.insert(out.end(), data.begin(), data.end());
  uint32_t crc = 0xffffffffu;
  for (size_t i = start; i < out.size(); ++i) {
    crc ^= out[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? 0xedb88320u ^ (crc >> 1) : crc >> 1;
  }
  put32(out, ~crc);
}

std::vector<uint8_t> assemble_png(int32_t width, int32_t height, const std::vector<uint8_t>& data) {
  std::vector<uint8_t> header;
  put32(header, static_cast<uint32_t>(width));
  put32(header, static_cast<uint32_t>(height));
  header.insert(header.end(), {8, 2, 0, 0, 0});
  std::vector<uint8_t> out{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  put_chunk(out, "IHDR", header);
  put_chunk(out, "IDAT", data);
  put_chunk(out, "IEND", {});
  return out;
}

}  // namespace

std::vector<uint8_t> encode_png(const Image& image) {
  const size_t stride = size_t{3} * static_cast<size_t>(image.width);
  std::vector<uint8_t> data{0x78, 0x01};
  uint32_t a = 1, b = 0;  // Adler-32.
  for (size_t y = 0; y < static_cast<size_t>(image.height); ++y) {
    const auto length = static_cast<uint32_t>(stride + 1);  // A block a row, its filter byte 0.
    assert(length <= 0xffff);
    const bool last = y + 1 == static_cast<size_t>(image.height);
    for (const uint32_t byte :
         {uint32_t{last}, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff, 0u}) {
      data.push_back(static_cast<uint8_t>(byte));
    }
    b = (b + a) % 65521;
    for (size_t x = 0; x < stride; ++x) {
      const uint8_t value = image.pixels[y * stride + x];
      data.push_back(value);
      a = (a + value) % 65521;
      b = (b + a) % 65521;
    }
  }
  put32(data, b << 16 | a);
  return assemble_png(image.width, image.height, data);
}

std::vector<uint8_t> encode_png_header(int32_t width, int32_t height) {
  return assemble_png(width, height, {});
}

}  // namespace caldera::test
