// The progress bar; see progress.h.
#include "tools/progress.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "tools/report.h"

namespace caldera::tool {

Progress::Progress(int64_t total, std::string unit)
    : total_(total), unit_(std::move(unit)), on_terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::update(int64_t done) {
  if (!on_terminal_) return;
  const Clock::time_point now = Clock::now();
  if (now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  draw(done, now);
}

void Progress::draw(int64_t done, Clock::time_point now) {
  static constexpr int kWidth = 24;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double part =
      total_ > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 0;
  const double rate = elapsed > 0 ? static_cast<double>(done) / elapsed : 0;
  const int filled = static_cast<int>(part * kWidth);
  const std::string left =
      rate > 0 ? human_clock(static_cast<double>(total_ - done) / rate) + " left" : "";
  fmt::print(stderr, "\r\x1b[K[{}{}] {:3.0f}%  {} of {} {}  {:.{}f}/s  {}",
             std::string(filled, '#'), std::string(kWidth - filled, '.'), part * 100, grouped(done),
             grouped(total_), unit_, rate, rate < 10 ? 1 : 0, left);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::finish() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace caldera::tool
