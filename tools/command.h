// What the subcommands share: how one registers itself, and how its outcome becomes an exit code.
// Parsing only fills arguments and chooses an action; the action runs afterwards, so that a
// command's failures never mix with the parser's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "caldera/result.h"

#include "tools/options.h"

namespace caldera::tool {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitBadInput = 2;
inline constexpr int kExitInterrupted = 130;  // As shells count Ctrl-C: 128 + SIGINT.

// The chosen subcommand's work; gives the exit code.
using Action = std::function<Result<int>()>;

// Each one adds its subcommand to `app`; parsing that subcommand sets `action`.
void add_devices(Commands& app, Action& action);
void add_models(Commands& app, Action& action);
void add_inspect(Commands& app, Action& action);
void add_convert(Commands& app, Action& action);
void add_classify(Commands& app, Action& action);
void add_run(Commands& app, Action& action);
void add_eval(Commands& app, Action& action);
void add_finetune(Commands& app, Action& action);
void add_train(Commands& app, Action& action);
void add_bench(Commands& app, Action& action);
void add_profile(Commands& app, Action& action);
void add_tune(Commands& app, Action& action);
void add_verify(Commands& app, Action& action);
void add_doctor(Commands& app, Action& action);
void add_completion(Commands& app, Action& action);

// Runs `function(args)` when `command` was chosen.
template <typename Args>
void on_chosen(Command& command, Action& action, std::shared_ptr<Args> args,
               Result<int> (*function)(const Args&)) {
  command.callback(
      [&action, args, function] { action = [args, function] { return function(*args); }; });
}

// An error of usage: exit code 2.
inline Error usage_error(std::string message) {
  return Error{ErrorCode::kInvalidInput, std::move(message)};
}

}  // namespace caldera::tool
