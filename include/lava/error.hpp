/// @file
/// @brief Failures with their detail: as values, and as the exception `lava::error`.
#ifndef LAVA_ERROR_HPP
#define LAVA_ERROR_HPP

#include "expected.hpp"
#include "status.hpp"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

LAVA_HPP_BEGIN

/// Why a call failed: `lava_error`.
class failure {
public:
    /// None: `status()` is `ok`.
    failure() noexcept : raw_(LAVA_ERROR_INIT) {}
    /// Of a call without detail; `message` is cut where it is too long.
    failure(lava::status status, std::string_view message, std::uint64_t value = 0) noexcept : failure() {
        raw_.status = static_cast<lava_status>(status);
        raw_.value = value;
        raw_.message[message.copy(raw_.message, sizeof raw_.message - 1)] = 0;
    }

    lava::status status() const noexcept { return static_cast<lava::status>(raw_.status); }
    std::error_code code() const noexcept { return make_error_code(status()); }
    /// What failed, with which value, and how to mend it. Lives as long as this.
    std::string_view message() const noexcept { return raw_.message; }
    /// `errno` of the failed system call, or 0.
    int os_errno() const noexcept { return raw_.os_errno; }
    /// `VkResult` of the failed Vulkan call, or 0.
    int vulkan_result() const noexcept { return raw_.vk_result; }
    /// The number at fault; the message says what it is.
    std::uint64_t value() const noexcept { return raw_.value; }
    const lava_error &native() const noexcept { return raw_; }

    /// For a call of C: the place of its last argument.
    lava_error *out() noexcept { return &raw_; }
    /// After that call: itself, with the status that was returned even if the library had nothing to add.
    failure &&with(lava_status status) noexcept {
        raw_.status = status;
        return std::move(*this);
    }

private:
    lava_error raw_;
};

/// What a function gives that has detail for its failure.
template <class T>
using result = expected<T, failure>;

/// What a function of the hot path gives: the status is complete in itself.
template <class T>
using outcome = expected<T, status>;

#if LAVA_HPP_EXCEPTIONS
/// What is thrown. `code()` is of `lava_category()`, `what()` has the message.
class error : public std::system_error {
public:
    explicit error(const lava::failure &failure)
        : std::system_error(failure.code(), std::string(failure.message())), failure_(failure) {}

    lava::status status() const noexcept { return failure_.status(); }
    /// The detail.
    const lava::failure &failure() const noexcept { return failure_; }

private:
    lava::failure failure_;
};
#endif

namespace detail {

inline unexpected<failure> fail(failure &why, lava_status status) noexcept {
    return unexpected<failure>(std::move(why).with(status));
}

/// A call of C that gives only a status.
inline outcome<void> done(lava_status status) noexcept {
    if (status == LAVA_OK) return {};
    return unexpected<lava::status>(static_cast<lava::status>(status));
}

/// A call of C with detail: `call(lava_error *)`.
template <class Call>
result<void> check(Call call) noexcept {
    failure why;
    const lava_status status = call(why.out());
    if (status == LAVA_OK) return {};
    return fail(why, status);
}

/// A call of C that makes a handle: `call(handle **, lava_error *)`.
template <class Handle, class Object, class Call>
result<Handle> make(Call call) noexcept {
    Object *made = nullptr;
    failure why;
    const lava_status status = call(&made, why.out());
    if (status != LAVA_OK) return fail(why, status);
    return Handle::adopt(made);
}

/// A call of C that fills a struct: `call(struct *, lava_error *)`.
template <class Value, class Raw, class Call>
result<Value> read(Raw raw, Call call) noexcept {
    failure why;
    const lava_status status = call(&raw, why.out());
    if (status != LAVA_OK) return fail(why, status);
    return Value(raw);
}

/// A text of unknown length: `call(buffer, capacity, needed, error)`, again until it fits.
template <class Call>
result<std::string> text(Call call) {
    failure why;
    std::string text(4096, '\0');
    std::size_t needed = 0;
    lava_status status;
    while ((status = call(text.data(), text.size(), &needed, why.out())) == LAVA_ERROR_BUFFER_TOO_SMALL)
        text.resize(needed + needed / 4);
    if (status != LAVA_OK) return fail(why, status);
    text.resize(std::strlen(text.c_str()));
    return text;
}

#if LAVA_HPP_EXCEPTIONS

#if defined(__GNUC__)
#define LAVA_HPP_COLD [[gnu::cold, gnu::noinline]]
#else
#define LAVA_HPP_COLD
#endif

LAVA_HPP_COLD [[noreturn]] inline void raise(const failure &why) { throw error(why); }
LAVA_HPP_COLD [[noreturn]] inline void raise(lava_status status, const char *what) {
    throw error(failure(static_cast<lava::status>(status), what));
}
/// Of so many bytes.
LAVA_HPP_COLD [[noreturn]] inline void raise(lava_status status, const char *what, std::uint64_t bytes) {
    char text[96];
    std::snprintf(text, sizeof text, "%s, %llu bytes", what, static_cast<unsigned long long>(bytes));
    throw error(failure(static_cast<lava::status>(status), text, bytes));
}

template <class T>
T unwrap(result<T> &&found) {
    if (!found) raise(found.error());
    if constexpr (!std::is_void_v<T>) return *std::move(found);
}

template <class T>
T unwrap(outcome<T> &&found, const char *what) {
    if (!found) raise(static_cast<lava_status>(found.error()), what);
    if constexpr (!std::is_void_v<T>) return *std::move(found);
}

template <class T>
T unwrap(outcome<T> &&found, const char *what, std::uint64_t bytes) {
    if (!found) raise(static_cast<lava_status>(found.error()), what, bytes);
    if constexpr (!std::is_void_v<T>) return *std::move(found);
}

/// Whether it was done; false if there was no time for it.
inline bool in_time(lava_status status, const char *what) {
    if (status == LAVA_OK) return true;
    if (status == LAVA_WOULD_BLOCK || status == LAVA_TIMED_OUT) return false;
    raise(status, what);
}

inline bool in_time(const result<void> &found) {
    if (found) return true;
    if (found.error().status() == status::would_block || found.error().status() == status::timed_out) return false;
    raise(found.error());
}

#endif

}

LAVA_HPP_END

#endif
