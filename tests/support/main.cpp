#include <gtest/gtest.h>

#include "tests/support/sample.h"

int main(int argc, char** argv) {
  caldera::test::set_sample_order();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
