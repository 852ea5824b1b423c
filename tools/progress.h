// A progress bar on standard error with rate and time left, where that is a terminal; nothing
// anywhere else, so that logs and pipes stay clean. At most one lives at a time, as it watches for
// Ctrl-C, to leave the shell's prompt a line of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace caldera::tool {

// A line at the bottom of the screen that is drawn over and over, where standard error is a
// terminal.
class LiveLine {
 public:
  LiveLine();
  ~LiveLine() { clear(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  bool on_terminal() const { return on_terminal_; }
  // Cut where the terminal ends.
  void show(std::string line);
  // Takes it off the screen, for a message in its place.
  void clear();

 private:
  bool on_terminal_;
  bool drawn_ = false;
};

class Progress {
 public:
  // `unit` as in "images".
  Progress(int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Draws at most ten times a second.
  void update(int64_t done);
  // Takes the bar off the screen, for results or a message in its place.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(int64_t done, Clock::time_point now);

  int64_t total_;
  std::string unit_;
  LiveLine line_;
  bool catches_interrupt_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

}  // namespace caldera::tool
