/// @file
/// @brief Payload bytes seen as elements of a type.
#ifndef LAVA_ELEMENTS_HPP
#define LAVA_ELEMENTS_HPP

#include "error.hpp"
#include "span.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <type_traits>

LAVA_HPP_BEGIN

namespace detail {

/// Fails to compile for a type whose bytes mean nothing in another process.
template <class T>
constexpr void check_element() noexcept {
    using plain = std::remove_const_t<T>;
    static_assert(std::is_object_v<plain> && !std::is_volatile_v<plain>, "elements of a payload must be objects");
    static_assert(std::is_trivially_copyable_v<plain>,
        "elements of a payload must be trivially copyable: another process reads their bytes");
    static_assert(!std::is_pointer_v<plain> && !std::is_member_pointer_v<plain>,
        "elements of a payload must not be pointers: they mean nothing in another process");
}

inline failure no_address() noexcept {
    return { status::unsupported, "the payload lies in memory that the CPU cannot reach; copy it with read() or write()" };
}

template <class T>
failure misfit(std::size_t size) noexcept {
    char text[160];
    std::snprintf(text, sizeof text,
        "%zu bytes cannot be seen as elements of %zu bytes, aligned to %zu: wrong size, or wrong alignment (set that of the producer)",
        size, sizeof(T), alignof(T));
    return { status::invalid_argument, text, size };
}

/// `size` bytes at `data` as elements, if they fit.
template <class T, class Void>
result<span<T>> elements(Void *data, std::size_t size) noexcept {
    check_element<T>();
    if (size == 0) return span<T>();
    if (data == nullptr) return unexpected<failure>(no_address());
    if (size % sizeof(T) != 0 || reinterpret_cast<std::uintptr_t>(data) % alignof(T) != 0)
        return unexpected<failure>(misfit<T>(size));
    return span<T>(static_cast<T *>(data), size / sizeof(T));
}

}

LAVA_HPP_END

#endif
