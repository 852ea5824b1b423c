// Output goes to files rather than pipes: nothing to drain, and no terminal, so no progress bar.
#include "tests/tools/program.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace caldera::test {

namespace {

std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

std::string name_of(const std::string& assignment) {
  return assignment.substr(0, assignment.find('=') + 1);
}

}  // namespace

Running::Running(const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment) {
  std::vector<std::string> command;
  if (const char* launcher = std::getenv("CALDERA_TEST_LAUNCHER")) {
    std::istringstream words(launcher);
    command.assign(std::istream_iterator<std::string>(words), {});
  }
  command.push_back(CALDERA_PROGRAM);
  command.insert(command.end(), arguments.begin(), arguments.end());

  // A cache of the tests' own, so that they neither use nor change the user's.
  static const ScratchDir cache;
  std::vector<std::string> variables = environment;
  variables.push_back("XDG_CACHE_HOME=" + cache.path().string());
  for (char** own = environ; *own; ++own) {
    const bool given = std::any_of(variables.begin(), variables.end(),
                                   [&](const auto& v) { return name_of(v) == name_of(*own); });
    // Which device a user prefers is not the tests' affair.
    if (!given && name_of(*own) != "CALDERA_DEVICE=") variables.emplace_back(*own);
  }

  const std::string out = scratch_ / "out";
  const std::string err = scratch_ / "err";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), kWrite, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), kWrite, 0600);
  // A test that runs in the background ignores Ctrl-C, and what it starts would inherit that.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, command.front().c_str(), &actions, &attributes,
                                  pointers(command).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed == 0) pid_ = pid;
}

Running::~Running() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  wait();
}

bool Running::lives() const {
  siginfo_t info{};
  return pid_ > 0 &&
         waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

void Running::send(int signal_number) const {
  if (pid_ > 0) kill(pid_, signal_number);
}

Outcome Running::wait() {
  Outcome outcome;
  int status = 0;
  if (pid_ < 0 || waitpid(pid_, &status, 0) != pid_) return outcome;
  pid_ = -1;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = file_text(scratch_ / "out");
  outcome.err = file_text(scratch_ / "err");
  return outcome;
}

Outcome run_program(const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment) {
  return Running(arguments, environment).wait();
}

Outcome run_without_driver(const std::vector<std::string>& arguments) {
  return run_program(arguments, {"VK_DRIVER_FILES=/nonexistent/icd.json",
                                 "VK_ICD_FILENAMES=/nonexistent/icd.json"});
}

std::string expect_refused(const Outcome& outcome) {
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("caldera: ")) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  return outcome.err;
}

nlohmann::json expect_json(const Outcome& outcome) {
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  nlohmann::json json = nlohmann::json::parse(outcome.out, nullptr, false);
  EXPECT_TRUE(json.is_object()) << outcome.out;
  return json;
}

std::vector<std::string> keys(const nlohmann::json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  return names;
}

}  // namespace caldera::test
