// The cases that PyTorch wrote (write_cases.py), read once, and the operators' attributes in them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "caldera/graph.h"

namespace caldera::test {

class Cases {
 public:
  Cases();

  // Empty where nothing has been written.
  const nlohmann::json& all() const { return all_; }
  std::vector<float> values(const nlohmann::json& tensor) const;

 private:
  nlohmann::json all_ = nlohmann::json::array();
  std::vector<float> data_;
};

const Cases& cases();

// Of the operator of that op_name(); a failure where there is none.
Attrs parse_attrs(const std::string& op, const nlohmann::json& attrs);

}  // namespace caldera::test
