// Failures as values. Everything that can fail from outside (a device, a file, memory, an
// unsupported model) returns a Result; the library never throws across its boundary, prints or
// aborts. A message says what was wrong, where, and what to do, in one line.
#pragma once

#include <cassert>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace caldera {

enum class ErrorCode {
  kInvalidInput,  // A file, image, name or option that cannot be used.
  kUnsupported,   // Well-formed, but beyond what Caldera or this device can do.
  kNoDevice,      // No Vulkan loader, driver or matching device.
  kOutOfMemory,   // Host or device memory.
  kDeviceLost,    // The device stopped answering; every later call fails likewise.
  kIo,            // Reading or writing failed.
  kCancelled,     // The caller asked to stop.
};

struct Error {
  ErrorCode code = ErrorCode::kInvalidInput;
  std::string message;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Precondition: ok().
  T& value() & { return assert(ok()), std::get<0>(state_); }
  const T& value() const& { return assert(ok()), std::get<0>(state_); }
  T&& value() && { return assert(ok()), std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Precondition: !ok().
  const Error& error() const& { return assert(!ok()), std::get<1>(state_); }
  Error&& error() && { return assert(!ok()), std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return assert(error_), *error_; }
  Error&& error() && { return assert(error_), *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

namespace detail {

// Runs `body`, which returns an R. Host memory that runs out becomes an error: nothing is thrown
// across the library's boundary. `what` names what was being done ("the session").
template <typename R, typename Body>
R no_throw(std::string_view what, Body body) {
  const auto error = [&] {
    return Error{ErrorCode::kOutOfMemory,
                 std::string(what) + ": out of host memory; try a smaller batch or image"};
  };
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return error();
  } catch (const std::length_error&) {
    return error();
  }
}

}  // namespace detail

}  // namespace caldera

// Returns the error of `expression` (a Result or Status) to the caller.
#define CALDERA_TRY(expression)                                     \
  do {                                                              \
    if (auto caldera_status_ = (expression); !caldera_status_.ok()) \
      return std::move(caldera_status_).error();                    \
  } while (false)

#define CALDERA_CONCAT_(a, b) a##b
#define CALDERA_CONCAT(a, b) CALDERA_CONCAT_(a, b)

// CALDERA_TRY_ASSIGN(auto x, f()): x = *f(), or returns the error of f() to the caller.
#define CALDERA_TRY_ASSIGN(declaration, expression) \
  CALDERA_TRY_ASSIGN_(CALDERA_CONCAT(caldera_result_, __LINE__), declaration, expression)
#define CALDERA_TRY_ASSIGN_(result, declaration, expression) \
  auto result = (expression);                                \
  if (!result.ok()) return std::move(result).error();        \
  declaration = std::move(result).value()
