// The pickle machine, opcode by opcode.
#include "models/checkpoint/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/checkpoint/text.h"
#include "tests/models/checkpoint/builders.h"

namespace caldera::test {
namespace {

PickleDocument parse(const std::string& pickle) {
  ByteReader reader(std::as_bytes(std::span(pickle)));
  auto document = read_pickle(reader);
  EXPECT_TRUE(document.ok()) << document.error().message;
  EXPECT_EQ(reader.remaining(), 0u);
  if (document.ok()) return std::move(document).value();
  PickleDocument none;
  none.values.resize(1);
  return none;
}

template <typename T>
T root(const std::string& opcodes) {
  const PickleDocument document = parse(Pickle().op(opcodes).done());
  const T* value = document.get<T>(document.root);
  EXPECT_NE(value, nullptr) << "of another type";
  return value ? *value : T{};
}

TEST(Pickle, ReadsIntegersOfEveryWidth) {
  EXPECT_EQ(root<int64_t>("K\xff"), 255);
  EXPECT_EQ(root<int64_t>("M\xff\xff"), 65535);
  EXPECT_EQ(root<int64_t>("J\xfe\xff\xff\xff"), -2);
  EXPECT_EQ(root<int64_t>(std::string("\x8a\x00", 2)), 0);
  EXPECT_EQ(root<int64_t>("\x8a\x01\xff"), -1);
  EXPECT_EQ(root<int64_t>(std::string("\x8a\x02\xff\x00", 4)), 255);
  EXPECT_EQ(root<int64_t>("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"), INT64_MAX);
  EXPECT_EQ(root<PickleBigInt>("\x8a\x09"
                               "123456789")
                .bytes,
            "123456789");
  EXPECT_EQ(root<int64_t>("I-17\n"), -17);
  EXPECT_EQ(root<int64_t>("L17L\n"), 17);
  EXPECT_EQ(root<bool>("I01\n"), true);
  EXPECT_EQ(root<bool>("\x89"), false);
  EXPECT_EQ(root<double>(std::string("G\x3f\xf8\0\0\0\0\0\0", 9)), 1.5);
}

TEST(Pickle, ReadsTextOfEveryProtocol) {
  EXPECT_EQ(root<std::string>("\x8c\x02hi"), "hi");
  EXPECT_EQ(root<std::string>(std::string("X\2\0\0\0hi", 7)), "hi");
  EXPECT_EQ(root<std::string>(std::string("\x8d\2\0\0\0\0\0\0\0hi", 11)), "hi");
  EXPECT_EQ(root<std::string>("U\x02hi"), "hi");
  EXPECT_EQ(root<std::string>("S'hi'\n"), "hi");
  EXPECT_EQ(root<std::string>("Vhi\n"), "hi");
  EXPECT_EQ(root<PickleBytes>("C\x02hi").bytes, "hi");
}

TEST(Pickle, SharesWhatTheMemoShares) {
  // [x, x, x] by BINGET and LONG_BINGET, where x is a list.
  const auto list = root<PickleList>(std::string("](]q\x05h\x05j\x05\0\0\0e", 13));
  ASSERT_EQ(list.items.size(), 3u);
  EXPECT_EQ(list.items[0], list.items[1]);
  EXPECT_EQ(list.items[0], list.items[2]);
  // MEMOIZE numbers by itself.
  EXPECT_EQ(root<PickleTuple>(std::string("]\x94}\x94h\0h\1\x87", 9)).items.size(), 3u);
}

TEST(Pickle, KeepsTheOrderOfDictionaries) {
  const PickleDocument document = parse(Pickle()
                                            .global("collections", "OrderedDict")
                                            .op(")R(")
                                            .string("z")
                                            .op("K\1")
                                            .string("a")
                                            .op("K\2u")
                                            .op("}b")
                                            .done());
  const auto* dict = document.get<PickleDict>(document.root);
  ASSERT_NE(dict, nullptr);
  ASSERT_EQ(dict->items.size(), 2u);
  EXPECT_EQ(*document.get<std::string>(dict->items[0].first), "z");
  EXPECT_EQ(*document.get<int64_t>(dict->items[1].second), 2);
}

TEST(Pickle, MakesDictionariesOfPairs) {
  // OrderedDict([['a', 1]]), as Python 2 wrote them.
  const PickleDocument document = parse(
      Pickle().global("collections", "OrderedDict").op("](]").string("a").op("aK\1ae\x85R").done());
  const auto* dict = document.get<PickleDict>(document.root);
  ASSERT_NE(dict, nullptr);
  ASSERT_EQ(dict->items.size(), 1u);
  EXPECT_EQ(*document.get<std::string>(dict->items[0].first), "a");
}

TEST(Text, IsCheckedToBeUtf8) {
  for (const char* good :
       {"", "conv1.weight", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xff", "a\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad)) << printable(bad);
  }
  EXPECT_EQ(printable("\xc3\xa9\n\xff"), "\xc3\xa9\\x0a\\xff");
  EXPECT_EQ(in_quotes(std::string(500, 'x')).size(), 2u + 120u + 3u);
}

}  // namespace
}  // namespace caldera::test
