// The progress bar; see progress.h.
#include "tools/progress.h"

#include <algorithm>
#include <csignal>
#include <cstdio>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/report.h"

namespace caldera::tool {

namespace {

// Whether a bar stands on the screen, for the signal handler, which may touch nothing else.
volatile std::sig_atomic_t shown = 0;

extern "C" void end_line_and_stop(int signal_number) {
  if (shown) {
    // Nothing can be done where this fails.
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, "\n", 1);
  }
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

// Columns of the terminal; a number that clips nothing where it does not tell.
size_t terminal_width() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : size_t{4096};
}

}  // namespace

LiveLine::LiveLine() : on_terminal_(isatty(STDERR_FILENO) == 1) {}

void LiveLine::show(std::string line) {
  if (!on_terminal_) return;
  // A line that wraps could not be taken off again; many terminals wrap at their last column.
  line.resize(std::min(line.size(), terminal_width() - 1));
  shown = 1;
  fmt::print(stderr, "\r\x1b[K{}", line);
  std::fflush(stderr);
  drawn_ = true;
}

void LiveLine::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  shown = 0;
  drawn_ = false;
}

Progress::Progress(int64_t total, std::string unit) : total_(total), unit_(std::move(unit)) {
  if (!line_.on_terminal()) return;
  // What a parent set, such as to ignore it, stays.
  struct sigaction before {};
  struct sigaction ours {};
  ours.sa_handler = end_line_and_stop;
  if (sigaction(SIGINT, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) return;
  catches_interrupt_ = sigaction(SIGINT, &ours, nullptr) == 0;
}

Progress::~Progress() {
  finish();
  if (catches_interrupt_) std::signal(SIGINT, SIG_DFL);
}

void Progress::update(int64_t done) {
  if (!line_.on_terminal()) return;
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
  line_.show(fmt::format("[{}{}] {:3.0f}%  {} of {} {}  {:.{}f}/s  {}", std::string(filled, '#'),
                         std::string(kWidth - filled, '.'), part * 100, grouped(done),
                         grouped(total_), unit_, rate, rate < 10 ? 1 : 0, left));
}

void Progress::finish() {
  line_.clear();
}

}  // namespace caldera::tool
