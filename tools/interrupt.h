// Ctrl-C, and SIGTERM as a cluster's scheduler sends it, as a wish that is asked for between steps.
// The second one ends the program at once, as if nobody listened.
#pragma once

namespace caldera::tool {

// While one lives, the signals count. At most one at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  static bool requested();
};

}  // namespace caldera::tool
