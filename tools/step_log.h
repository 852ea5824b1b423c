// The table of steps of `--log` and of `--report`: a line a step, written as it is done, so that
// a run can be watched. Of a run that goes on, what its checkpoint had seen stays.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "caldera/fit.h"

namespace caldera::tool {

class StepLog {
 public:
  // `steps_done`: so many stay of a table that is there.
  Status open(const std::string& path, int64_t steps_done);
  bool is_open() const { return file_.is_open(); }
  // Those that stayed. What the table does not have is zero in them.
  const std::vector<StepRecord>& before() const { return before_; }

  // Nothing, unless open.
  Status add(const StepRecord& step);

 private:
  Status check() const;

  std::string path_;
  std::ofstream file_;
  std::vector<StepRecord> before_;
};

}  // namespace caldera::tool
