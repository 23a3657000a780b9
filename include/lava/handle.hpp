/// @file
/// @brief Unique ownership of a handle of the C interface.
#ifndef LAVA_HANDLE_HPP
#define LAVA_HANDLE_HPP

#include "config.hpp"

#include <utility>

LAVA_HPP_BEGIN

namespace detail {

/// A C string of the caller: a literal, or a `std::string`'s own.
class c_string {
public:
    c_string(const char *text) noexcept : text_(text) {}
    template <class String, class = decltype(std::declval<const String &>().c_str())>
    c_string(const String &text) noexcept : text_(text.c_str()) {}
    const char *get() const noexcept { return text_; }

private:
    const char *text_;
};

/// Owns `Object *`, which `Destroy` gives back. The base of every handle; `Derived` is the class that it is the base of.
template <class Derived, class Object, auto Destroy>
class handle {
public:
    handle() noexcept = default;
    handle(handle &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    handle &operator=(handle &&other) noexcept {
        if (this != &other) reset(std::exchange(other.raw_, nullptr));
        return *this;
    }
    handle(const handle &) = delete;
    handle &operator=(const handle &) = delete;
    ~handle() { reset(); }

    /// Takes over a handle of C; NULL makes an empty one.
    static Derived adopt(Object *raw) noexcept {
        Derived made;
        made.raw_ = raw;
        return made;
    }
    /// Whether it owns anything.
    explicit operator bool() const noexcept { return raw_ != nullptr; }
    /// For calls of C; stays owned by this.
    Object *native_handle() const noexcept { return raw_; }
    /// Gives the handle away: the caller owns it now, and this is empty.
    [[nodiscard]] Object *release() noexcept { return std::exchange(raw_, nullptr); }
    /// Gives back what it owns, now.
    void reset() noexcept { reset(nullptr); }

private:
    void reset(Object *raw) noexcept {
        Object *const old = std::exchange(raw_, raw);
        if (old != nullptr) Destroy(old);
    }

    Object *raw_ = nullptr;
};

}

LAVA_HPP_END

#endif
