// Signals as a flag; see interrupt.h.
#include "tools/interrupt.h"

#include <csignal>
#include <initializer_list>

namespace caldera::tool {

namespace {

volatile std::sig_atomic_t asked = 0;

extern "C" void note_wish(int signal_number) {
  asked = 1;
  std::signal(signal_number, SIG_DFL);
}

}  // namespace

Interrupt::Interrupt() {
  asked = 0;
  for (const int number : {SIGINT, SIGTERM}) {
    // What a parent set, such as to ignore it, stays.
    struct sigaction before {};
    if (sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_DFL)
      std::signal(number, note_wish);
  }
}

Interrupt::~Interrupt() {
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction now {};
    if (sigaction(number, nullptr, &now) == 0 && now.sa_handler == note_wish)
      std::signal(number, SIG_DFL);
  }
}

bool Interrupt::requested() {
  return asked != 0;
}

}  // namespace caldera::tool
