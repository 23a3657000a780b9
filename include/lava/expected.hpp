/// @file
/// @brief `lava::expected`: `std::expected`, or the part of it that C++17 can have.
#ifndef LAVA_EXPECTED_HPP
#define LAVA_EXPECTED_HPP

#include "config.hpp"

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#if LAVA_HPP_STD_EXPECTED
#include <expected>
#endif

LAVA_HPP_BEGIN

#if LAVA_HPP_STD_EXPECTED

template <class T, class E>
using expected = std::expected<T, E>;
template <class E>
using unexpected = std::unexpected<E>;

#else

/// Wraps an error, for the construction of an `expected`.
template <class E>
class unexpected {
public:
    constexpr explicit unexpected(E error) : error_(std::move(error)) {}
    constexpr const E &error() const & noexcept { return error_; }
    constexpr E &&error() && noexcept { return std::move(error_); }

private:
    E error_;
};

#if LAVA_HPP_EXCEPTIONS
/// `expected::value()` was asked of one that has none.
template <class E>
class bad_expected_access : public std::exception {
public:
    explicit bad_expected_access(E error) : error_(std::move(error)) {}
    const char *what() const noexcept override { return "expected::value() of an error"; }
    const E &error() const & noexcept { return error_; }

private:
    E error_;
};
#endif

/// A value, or the error why there is none. As with `std::expected`, `*`, `->` and `error()` must fit what it has.
template <class T, class E>
class [[nodiscard]] expected {
public:
    using value_type = T;
    using error_type = E;

    template <class U = T,
        class = std::enable_if_t<std::is_constructible_v<T, U &&> && !std::is_same_v<std::decay_t<U>, expected>>>
    constexpr expected(U &&value) : value_(std::forward<U>(value)) {}
    constexpr expected(unexpected<E> error) : error_(std::move(error).error()) {}

    constexpr bool has_value() const noexcept { return value_.has_value(); }
    constexpr explicit operator bool() const noexcept { return value_.has_value(); }
    constexpr T &operator*() & noexcept { return *value_; }
    constexpr const T &operator*() const & noexcept { return *value_; }
    constexpr T &&operator*() && noexcept { return *std::move(value_); }
    constexpr T *operator->() noexcept { return &*value_; }
    constexpr const T *operator->() const noexcept { return &*value_; }
    constexpr const E &error() const noexcept { return error_; }
    template <class U>
    constexpr T value_or(U &&other) && {
        return has_value() ? *std::move(value_) : static_cast<T>(std::forward<U>(other));
    }
#if LAVA_HPP_EXCEPTIONS
    constexpr T &value() & { return has_value() ? *value_ : throw bad_expected_access<E>(error_); }
    constexpr T &&value() && { return has_value() ? *std::move(value_) : throw bad_expected_access<E>(error_); }
#endif

private:
    std::optional<T> value_;
    E error_ {};
};

/// Done, or the error why not.
template <class E>
class [[nodiscard]] expected<void, E> {
public:
    using value_type = void;
    using error_type = E;

    constexpr expected() noexcept = default;
    constexpr expected(unexpected<E> error) : error_(std::move(error).error()), has_value_(false) {}

    constexpr bool has_value() const noexcept { return has_value_; }
    constexpr explicit operator bool() const noexcept { return has_value_; }
    constexpr const E &error() const noexcept { return error_; }
#if LAVA_HPP_EXCEPTIONS
    constexpr void value() const {
        if (!has_value_) throw bad_expected_access<E>(error_);
    }
#endif

private:
    E error_ {};
    bool has_value_ = true;
};

#endif

LAVA_HPP_END

#endif
