// .npy: what is written is what NumPy reads (make_checkpoints.py holds it against NumPy), and
// headers that are none are refused.
#include "caldera/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/checkpoint/builders.h"
#include "tests/support/paths.h"

namespace caldera::test {
namespace {

using testing::HasSubstr;

std::string npy(const std::string& header, const std::string& data, int version = 1) {
  return "\x93NUMPY" + bytes_of(static_cast<uint64_t>(version), 2) +
         bytes_of(header.size(), version == 1 ? 2 : 4) + header + data;
}

class NpyFile : public testing::Test {
 protected:
  Result<Tensor> read(const std::string& bytes) {
    write_file(scratch_ / "x.pth", bytes);
    return read_npy(scratch_ / "x.pth");
  }
  std::string refusal(const std::string& bytes) {
    const auto array = read(bytes);
    if (array.ok()) {
      ADD_FAILURE() << "was read";
      return "";
    }
    EXPECT_EQ(flaw_of(array.error()), "");
    return array.error().message;
  }

  ScratchDir scratch_;
};

TEST_F(NpyFile, HasItsDataAlignedTo64Bytes) {
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{1, 2, 3, 4}, Shape{0, 5}}) {
    const auto count = static_cast<size_t>(element_count(shape));
    ASSERT_TRUE(
        write_npy(scratch_ / "x.npy", Tensor::from_floats(shape, std::vector<float>(count))).ok());
    const std::string bytes = read_file(scratch_ / "x.npy");
    EXPECT_EQ((bytes.size() - count * 4) % 64, 0u);
    EXPECT_EQ(bytes[bytes.size() - count * 4 - 1], '\n');
    const auto array = read_npy(scratch_ / "x.npy");
    ASSERT_TRUE(array.ok()) << array.error().message;
    EXPECT_EQ(array->shape(), shape);
  }
}

TEST_F(NpyFile, InFortranOrderIsPutInCOrder) {
  const auto array = read(npy("{'fortran_order': True, 'shape': (2L, 3L), 'descr': '|u1'}",
                              std::string("\1\4\2\5\3\6", 6)));
  ASSERT_TRUE(array.ok()) << array.error().message;
  EXPECT_EQ(array->shape(), (Shape{2, 3}));
  const Tensor floats = array->to_f32();
  EXPECT_THAT(floats.floats(), testing::ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(NpyFile, ThatIsNoneIsRefused) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  const std::string data(8, 'x');
  ASSERT_TRUE(read(npy(good, data)).ok());
  EXPECT_THAT(refusal(""), HasSubstr("no .npy file"));
  EXPECT_THAT(refusal("hello, world"), HasSubstr("no .npy file"));
  EXPECT_THAT(refusal(npy(good, data, 4)), HasSubstr("version 4"));
  EXPECT_THAT(refusal(npy(good, data.substr(1))), HasSubstr("cut short"));
  EXPECT_THAT(refusal(npy(good, data + "x")), HasSubstr("more data"));
  const std::string whole = npy(good, data);
  for (size_t length = 0; length < whole.size(); ++length) refusal(whole.substr(0, length));
  for (const char* header : {
           "",
           "{}",
           "{'descr': '<f4', 'fortran_order': False}",
           "{'descr': '<f4'",
           "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
           "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
       }) {
    EXPECT_THAT(refusal(npy(header, data)), HasSubstr("no array's")) << header;
  }
  EXPECT_THAT(
      refusal(
          npy("{'descr': '<f4', 'fortran_order': True, 'shape': (4611686018427387904, 4, 0)}", "")),
      HasSubstr("impossible shape"));
  for (const char* dtype : {">f4", "|O", "<c8", "<U3"}) {
    EXPECT_THAT(refusal(npy(std::string("{'descr': '") + dtype +
                                "', 'fortran_order': False, 'shape': (2,)}",
                            data)),
                HasSubstr(std::string("'") + dtype + "'"));
  }
}

TEST_F(NpyFile, CannotHoldBFloat16) {
  const auto status = write_npy(scratch_ / "x.npy",
                                Tensor::from_bytes(DType::kBF16, {1}, std::vector<std::byte>(2)));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "x.npy"));
}

}  // namespace
}  // namespace caldera::test
