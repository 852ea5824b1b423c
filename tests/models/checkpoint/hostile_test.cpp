// Files made to do harm, and files that harm has come to: each gives one clear line, and none a
// crash or memory beyond what the file's own size justifies.
#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/checkpoint.h"

#include "tests/models/checkpoint/allocations.h"
#include "tests/models/checkpoint/builders.h"
#include "tests/support/paths.h"

namespace caldera::test {
namespace {

using testing::HasSubstr;

class HostileFile : public testing::Test {
 protected:
  // The line that refuses the file; fails where there is none.
  std::string refusal(const std::string& bytes) {
    const AllocationWatch watch;
    const auto checkpoint = read_bytes(scratch_.path(), bytes);
    EXPECT_LE(watch.peak(), kFixedAllowance + kAllowancePerByte * bytes.size());
    if (checkpoint.ok()) {
      ADD_FAILURE() << "was read";
      return "";
    }
    EXPECT_EQ(flaw_of(checkpoint.error()), "");
    return checkpoint.error().message;
  }
  // The same of a pickle alone, in both formats.
  std::string pickle_refusal(const std::string& pickle) {
    const std::string zip = refusal(torch_zip(pickle, {}));
    EXPECT_EQ(zip, refusal(torch_legacy(pickle, {})));
    return zip;
  }

  ScratchDir scratch_;
};

TEST_F(HostileFile, TheSmallFilesAreSoundUntilHarmed) {
  for (const std::string& bytes : {small_torch_zip(), small_torch_legacy(), small_safetensors()}) {
    const auto checkpoint = read_bytes(scratch_.path(), bytes);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    ASSERT_EQ(checkpoint->tensors.size(), 2u);
    EXPECT_EQ(checkpoint->find("a")->floats()[5], 6.0f);
    EXPECT_EQ(checkpoint->find("b")->shape(), Shape{});
    EXPECT_EQ(checkpoint->find("b")->to_f32().floats()[0], 7.0f);
  }
}

TEST_F(HostileFile, IsRefusedByTheNameThatItAsksFor) {
  const std::string line =
      pickle_refusal(Pickle().global("os", "system").op("(").string("touch harm").op("tR").done());
  EXPECT_THAT(line, HasSubstr("x.pth: asks for os.system, which is not part of a tensor file; "
                              "refusing to load it"));
  // By every opcode that can ask.
  EXPECT_THAT(pickle_refusal(Pickle().op("(ios\nsystem\n").done()), HasSubstr("os.system"));
  EXPECT_THAT(pickle_refusal(Pickle().string("os").string("system").op("\x93").done()),
              HasSubstr("os.system"));
  for (const auto& [module, name] : {std::pair{"builtins", "eval"},
                                     {"builtins", "getattr"},
                                     {"builtins", "__import__"},
                                     {"posix", "system"},
                                     {"torch", "load"},
                                     {"torch.hub", "load"},
                                     {"argparse", "Namespace"},
                                     {"collections", "OrderedDict.fromkeys"},
                                     {"numpy.testing._private.utils", "runstring"}}) {
    EXPECT_THAT(pickle_refusal(Pickle().global(module, name).done()),
                HasSubstr(std::string("asks for ") + module + "." + name + ","));
  }
}

TEST_F(HostileFile, CannotBreakItsLine) {
  const std::string line =
      pickle_refusal(Pickle().string("o\ns\x1b[31m").string("x\xff").op("\x93").done());
  EXPECT_THAT(line, HasSubstr("asks for o\\x0as\\x1b[31m.x\\xff"));
}

TEST_F(HostileFile, HasNoOtherWayToCall) {
  // The extension registry, protocol 0's ids, out-of-band buffers, an object by its class.
  for (const char* opcode :
       {"\x82\x01", "\x83\x01\x02", "\x84\x01\x02\x03\x04", "Pid\n", "\x97", "\x98", "o", "\x92"}) {
    EXPECT_THAT(pickle_refusal(Pickle().op(opcode).done()), HasSubstr("opcode")) << opcode;
  }
  EXPECT_THAT(pickle_refusal(Pickle().integer(3).op(")R").done()), HasSubstr("calls"));
  EXPECT_THAT(pickle_refusal(Pickle().global("torch", "float32").op(")R").done()),
              HasSubstr("torch.float32"));
}

TEST_F(HostileFile, MayNotContainItself) {
  const char* const line = "contains itself";
  EXPECT_THAT(pickle_refusal(Pickle()
                                 .op("]q")
                                 .op(std::string(1, '\0'))
                                 .op("h")
                                 .op(std::string(1, '\0'))
                                 .op("a")
                                 .done()),
              HasSubstr(line));
  // {'state_dict': itself}
  EXPECT_THAT(pickle_refusal(Pickle().op("}q\x01").string("state_dict").op("h\x01s").done()),
              HasSubstr(line));
  // A tuple in a list in the tuple.
  EXPECT_THAT(pickle_refusal(Pickle()
                                 .op("]q\x01\x85q\x02h\x01h\x02"
                                     "a0")
                                 .done()),
              HasSubstr(line));
}

TEST_F(HostileFile, MayNestAsDeepAsItIsLong) {
  constexpr size_t kDepth = 1'000'000;
  const std::string lists =
      Pickle().op(std::string(kDepth, ']') + std::string(kDepth - 1, 'a')).done();
  EXPECT_THAT(pickle_refusal(lists), HasSubstr("holds no dictionary"));
  EXPECT_THAT(refusal(safetensors(std::string(kDepth, '['), "")), HasSubstr("no checkpoint"));
  EXPECT_THAT(refusal(safetensors(std::string("{\"a\":").append(kDepth, '['), "")),
              HasSubstr("header"));
}

TEST_F(HostileFile, CannotGrowBeyondItsSize) {
  // Lengths that the file has not.
  struct Length {
    const char* opcode;
    uint64_t value;
    int width;
  };
  for (const auto& [opcode, value, width] :
       {Length{"X", 0xffffffff, 4}, Length{"T", 0xffffffff, 4}, Length{"B", 0x7fffffff, 4},
        Length{"\x8b", 0x7fffffff, 4}, Length{"\x8d", ~uint64_t{0}, 8},
        Length{"\x8e", uint64_t{1} << 62, 8}, Length{"\x96", uint64_t{1} << 40, 8}}) {
    pickle_refusal(Pickle().op(opcode).op(bytes_of(value, width)).done());
  }
  // A list copied again and again by a few bytes each.
  std::string items(100'000, 'N');
  std::string copies;
  for (int i = 0; i < 10'000; ++i) copies += "h\x02h\x01\x85R";
  EXPECT_THAT(pickle_refusal(Pickle()
                                 .op("](" + items + "eq\x01")
                                 .global("builtins", "list")
                                 .op("q\x02" + copies)
                                 .done()),
              HasSubstr("more than its size justifies"));
  // More values than any checkpoint has.
  EXPECT_THAT(pickle_refusal(Pickle().op(std::string(5'000'000, ']')).done()),
              HasSubstr("more values"));
}

TEST_F(HostileFile, CannotTakeWhatItHasNotPushed) {
  for (const char* opcodes : {"",
                              "0",
                              "a",
                              "s",
                              "u",
                              "e",
                              "t",
                              "R",
                              "b",
                              "Q",
                              "2",
                              "\x85",
                              "\x87",
                              "\x93",
                              "(a",
                              "N(a",
                              "]N(\x85",
                              "h\x05",
                              "j\x01\x02\x03\x04",
                              "gx\n",
                              "q\x01",
                              "p1\n",
                              "1",
                              "l",
                              "d",
                              "(Nd",
                              "}(Nu",
                              "NNa",
                              "\x90",
                              "I\n",
                              "Lx\n",
                              "Sx\n",
                              "\x80\x07",
                              "\x81"}) {
    pickle_refusal(Pickle().op(opcodes).done());
  }
}

std::string one_tensor(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                       int64_t offset = 0, int64_t count = 6) {
  return Pickle()
      .op("}")
      .string("w")
      .tensor("FloatStorage", "0", sizes, strides, offset, count)
      .op("s")
      .done();
}

TEST_F(HostileFile, CannotReachBeyondItsStorages) {
  const int64_t huge = int64_t{1} << 62;
  const std::string data(24, 'x');
  struct Case {
    std::vector<int64_t> sizes, strides;
    int64_t offset;
    std::string line;
  };
  for (const auto& [sizes, strides, offset, line] : {
           Case{{7}, {1}, 0, "beyond its storage"},
           Case{{6}, {1}, 1, "beyond its storage"},
           Case{{2}, {6}, 0, "beyond its storage"},
           Case{{2, 3}, {1, huge}, 0, "beyond its storage"},
           Case{{2, 3}, {huge, huge}, huge, "beyond its storage"},
           Case{{2}, {-1}, 5, "beyond its storage"},
           Case{{2}, {1}, -1, "impossible shape"},
           Case{{-2}, {1}, 0, "impossible shape"},
           Case{{huge, 4}, {1, 1}, 0, "impossible shape"},
           Case{{huge, 4, 0}, {1, 1, 1}, 0, "impossible shape"},
           Case{{1000, 1000}, {0, 0}, 0, "expanded view"},
           Case{{2, 3}, {1}, 0, "cannot make"},
       }) {
    SCOPED_TRACE(to_string(sizes) + " by " + to_string(strides));
    EXPECT_THAT(refusal(torch_zip(one_tensor(sizes, strides, offset), {{"0", data}})),
                HasSubstr(line));
    EXPECT_THAT(refusal(torch_legacy(one_tensor(sizes, strides, offset), {{"0", 6, data}})),
                HasSubstr(line));
  }
  EXPECT_THAT(pickle_refusal(Pickle()
                                 .op("}")
                                 .string("w")
                                 .tensor("FloatStorage", "0", std::vector<int64_t>(65, 1),
                                         std::vector<int64_t>(65, 1), 0, 1)
                                 .op("s")
                                 .done()),
              HasSubstr("cannot make"));
}

TEST_F(HostileFile, MustHaveTheStoragesThatItNames) {
  const std::string pickle = one_tensor({6}, {1});
  const std::string data(24, 'x');
  EXPECT_THAT(refusal(torch_zip(pickle, {})),
              HasSubstr("tensor 'w' has no data: record 'root/data/0' is not there"));
  EXPECT_THAT(refusal(torch_zip(pickle, {{"0", data.substr(1)}})),
              HasSubstr("shorter than it should be"));
  EXPECT_THAT(refusal(torch_legacy(pickle, {})), HasSubstr("storage '0' is not in the file"));
  EXPECT_THAT(refusal(torch_legacy(pickle, {{"0", 5, data}})), HasSubstr("another size"));
  EXPECT_THAT(refusal(torch_legacy(pickle, {{"0", 6, data + "x"}})), HasSubstr("goes on after"));
  EXPECT_THAT(refusal(torch_legacy(pickle, {{"0", 6, data}, {"0", 6, data}})), HasSubstr("twice"));
  EXPECT_THAT(refusal(torch_legacy(pickle, {{"1", 6, data}})), HasSubstr("no tensor uses"));
  const int64_t huge = int64_t{1} << 62;
  EXPECT_THAT(refusal(torch_legacy(one_tensor({6}, {1}, 0, huge), {{"0", huge, data}})),
              HasSubstr("cut short"));
  EXPECT_THAT(refusal(torch_zip(one_tensor({6}, {1}, 0, huge), {{"0", data}})),
              HasSubstr("shorter"));
}

TEST_F(HostileFile, MayNotViewTheSameDataForEver) {
  const std::string data(4096 * 4, 'x');
  Pickle pickle;
  pickle.op("}(").string("w0").tensor("FloatStorage", "0", {64, 64}, {1, 64}, 0, 4096);
  for (int i = 1; i < 1000; ++i) {
    pickle.string(std::string("w").append(std::to_string(i)))
        .tensor("FloatStorage", "0", {64, 64}, {1, 64}, 0, 4096);
  }
  EXPECT_THAT(refusal(torch_zip(pickle.op("u").done(), {{"0", data}})),
              HasSubstr("many views of the same data"));
}

TEST_F(HostileFile, MayNotSayATensorTwice) {
  const std::string data(24, 'x');
  const std::string pickle = Pickle()
                                 .op("}(")
                                 .string("w")
                                 .tensor("FloatStorage", "0", {6}, {1}, 0, 6)
                                 .string("w")
                                 .tensor("FloatStorage", "0", {6}, {1}, 0, 6)
                                 .op("u")
                                 .done();
  EXPECT_THAT(refusal(torch_zip(pickle, {{"0", data}})), HasSubstr("tensor 'w' is there twice"));
  const std::string bad_name =
      Pickle().op("}").string("w\xff").tensor("FloatStorage", "0", {6}, {1}, 0, 6).op("s").done();
  EXPECT_THAT(refusal(torch_zip(bad_name, {{"0", data}})), HasSubstr("'w\\xff' has a name"));
}

TEST_F(HostileFile, IsNoZipBomb) {
  const std::string pickle = one_tensor({6}, {1});
  // Compressed, small or large by its own word.
  for (const int64_t declared : {int64_t{24}, int64_t{0xfffffffe}}) {
    EXPECT_THAT(
        refusal(torch_zip(pickle, {}, {{"root/data/0", std::string(24, 'x'), 8, declared}})),
        HasSubstr("is compressed"));
  }
  EXPECT_THAT(refusal(zip_file({{"root/data.pkl", std::string(9, 'x'), 8, 0x7fffffff}})),
              HasSubstr("is compressed"));
  // Stored, with a size that is not there.
  refusal(torch_zip(pickle, {}, {{"root/data/0", std::string(24, 'x'), 0, 0x7fffffff}}));
  // Records that overlap, each as large as the file: every entry of the directory points to one.
  Pickle many;
  many.op("}(");
  std::vector<ZipRecord> records{{"root/data.pkl", ""},
                                 {"root/data/0", std::string(100'000, '\0')}};
  for (int i = 1; i < 20; ++i)
    records.push_back({std::string("root/data/").append(std::to_string(i)), ""});
  for (int i = 0; i < 20; ++i) {
    many.string(std::string("w").append(std::to_string(i)))
        .tensor("ByteStorage", std::to_string(i), {100'000}, {1}, 0, 100'000);
  }
  records[0].data = many.op("u").done();
  std::string file = zip_file(records);
  const size_t target = file.find("root/data/0");  // Its local header is 30 bytes before.
  const std::string size_and_crc = file.substr(target - 30 + 14, 12);
  for (size_t at = file.find("PK\1\2"); at != std::string::npos; at = file.find("PK\1\2", at + 4)) {
    if (file.substr(at + 46, 10) != "root/data/") continue;
    file.replace(at + 16, 12, size_and_crc);
    file.replace(at + 42, 4, bytes_of(target - 30, 4));
  }
  EXPECT_THAT(refusal(file), HasSubstr("larger than the file has room for"));
}

TEST_F(HostileFile, MayNotBeTwoFilesInOne) {
  const std::string pickle = one_tensor({6}, {1});
  EXPECT_THAT(refusal(torch_zip(pickle, {}, {{"more/data.pkl", pickle}})),
              HasSubstr("two checkpoints"));
  EXPECT_THAT(refusal(torch_zip(pickle, {}, {{"root/data.pkl", pickle}})),
              HasSubstr("two records"));
  EXPECT_THAT(refusal(zip_file({{"readme.txt", "hello"}})),
              HasSubstr("none that torch.save wrote"));
  EXPECT_THAT(refusal(zip_file({})), HasSubstr("no checkpoint"));
}

TEST_F(HostileFile, OfTheWrongEndianIsRefused) {
  EXPECT_THAT(refusal(torch_legacy(one_tensor({6}, {1}), {{"0", 6, std::string(24, 'x')}}, false)),
              HasSubstr("big-endian"));
  EXPECT_THAT(refusal(torch_zip(one_tensor({6}, {1}), {{"0", std::string(24, 'x')}},
                                {{"root/byteorder", "middle"}})),
              HasSubstr("byte order, 'middle'"));
}

TEST_F(HostileFile, OfZipAndBigEndianIsTurned) {
  const std::string bytes =
      torch_zip(one_tensor({1}, {1}, 0, 1), {{"0", std::string("\x3f\xc0\0\0", 4)}},
                {{"root/byteorder", "big"}});
  const auto checkpoint = read_bytes(scratch_.path(), bytes);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->find("w")->floats()[0], 1.5f);
}

TEST_F(HostileFile, OfSafetensorsKeepsItsRules) {
  const auto tensor = [](const std::string& fields) {
    return std::string("{\"w\":{").append(fields).append("}}");
  };
  const std::string data(8, 'x');
  struct Case {
    std::string header, line;
  };
  for (
      const auto& [header, line] : {
          Case{tensor(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), "does not fit"},
          Case{tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,12])"), "cut short"},
          Case{tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "belongs to no tensor"},
          Case{tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "follows a gap"},
          Case{tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "gap"},
          Case{tensor(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"),
               "'w' has elements of 'F8_E4M3'"},
          Case{tensor(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "out of place at 'w'"},
          Case{tensor(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), "out of place"},
          Case{tensor(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8])"),
               "does not fit"},
          Case{tensor(R"("dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,8])"),
               "does not fit"},
          Case{tensor(R"("dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8])"),
               "out of place"},
          Case{tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), "out of place"},
          Case{tensor(R"("dtype":"F32","shape":[2])"), "lacks"},
          Case{tensor(R"("dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8])"),
               "odd field 'shape'"},
          Case{tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1)"), "odd field 'x'"},
          Case{tensor(R"("dtype":{},"shape":[2],"data_offsets":[0,8])"), "out of place"},
          Case{
              R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
              "twice"},
          Case{
              R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"v":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
              "overlaps"},
          Case{R"({"__metadata__":{"a":"1","a":"2"}})", "metadata 'a' is there twice"},
          Case{R"({"__metadata__":{"a":1}})", "out of place at '__metadata__'"},
          Case{R"({"w":3})", "not one of safetensors"},
          Case{R"({"w":)", "no JSON"},
          Case{R"({} x)", "no JSON"},
      }) {
    SCOPED_TRACE(header);
    EXPECT_THAT(refusal(safetensors(header, data)), HasSubstr(line));
  }
  EXPECT_THAT(refusal(safetensors("{}", "")), HasSubstr("holds no tensors"));
  // Headers that are longer than the file, or than any header.
  EXPECT_THAT(refusal(bytes_of(1000, 8) + "{}"), HasSubstr("cut short"));
  EXPECT_THAT(refusal(bytes_of(100'000'001, 8) + "{}"), HasSubstr("no checkpoint"));
  EXPECT_THAT(refusal(bytes_of(~uint64_t{0}, 8) + "{}"), HasSubstr("no checkpoint"));
}

TEST_F(HostileFile, CutShortAnywhereIsRefused) {
  for (const std::string& bytes : {small_torch_zip(), small_torch_legacy(), small_safetensors()}) {
    for (size_t length = 0; length < bytes.size(); ++length) {
      SCOPED_TRACE(length);
      refusal(bytes.substr(0, length));
    }
  }
}

TEST_F(HostileFile, WithAnyBitFlippedIsRefusedOrSound) {
  for (const std::string& bytes : {small_torch_zip(), small_torch_legacy(), small_safetensors()}) {
    const auto sound = read_bytes(scratch_.path(), bytes);
    ASSERT_TRUE(sound.ok());
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      const AllocationWatch watch;
      const auto checkpoint = read_bytes(scratch_.path(), flipped);
      ASSERT_LE(watch.peak(), kFixedAllowance + kAllowancePerByte * bytes.size()) << bit;
      if (!checkpoint.ok()) {
        ASSERT_EQ(flaw_of(checkpoint.error()), "") << bit;
      } else if (sound->format == CheckpointFormat::kPyTorchZip) {
        // The checksums leave nothing to chance.
        ASSERT_EQ(checkpoint->tensors.size(), 2u) << bit;
        for (size_t i = 0; i < 2; ++i) {
          const auto& [name, tensor] = checkpoint->tensors[i];
          ASSERT_EQ(name, sound->tensors[i].name) << bit;
          ASSERT_TRUE(std::ranges::equal(tensor.bytes(), sound->tensors[i].tensor.bytes())) << bit;
        }
      }
    }
  }
}

TEST_F(HostileFile, ThatIsNoneIsRefused) {
  EXPECT_THAT(refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(refusal("hello, world"), HasSubstr("no checkpoint"));
  EXPECT_THAT(refusal(Pickle().op("}").done()), HasSubstr("none that torch.save wrote"));
  EXPECT_THAT(read_checkpoint(scratch_ / "absent").error().message, HasSubstr("no such file"));
  EXPECT_THAT(read_checkpoint(scratch_.path()).error().message, HasSubstr("is not a file"));
  EXPECT_THAT(read_checkpoint("/dev/zero").error().message, HasSubstr("is not a file"));
}

}  // namespace
}  // namespace caldera::test
