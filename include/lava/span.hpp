/// @file
/// @brief `lava::span`: `std::span`, or as much of it as C++17 needs.
#ifndef LAVA_SPAN_HPP
#define LAVA_SPAN_HPP

#include "config.hpp"

#include <array>
#include <cstddef>
#include <iterator>
#include <type_traits>

#if LAVA_HPP_STD_SPAN
#include <span>
#endif

LAVA_HPP_BEGIN

#if LAVA_HPP_STD_SPAN

/// A contiguous sequence that somebody else owns.
template <class T>
using span = std::span<T>;

#else

/// A contiguous sequence that somebody else owns: the part of `std::span` with a size known at run time.
template <class T>
class span {
public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using size_type = std::size_t;
    using iterator = T *;

    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}

    template <std::size_t N>
    constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}

    /// Of anything that has `data()` and `size()` of elements that `T` may stand for.
    template <class Container,
        class = std::enable_if_t<
            !std::is_same_v<std::decay_t<Container>, span>
            && std::is_convertible_v<std::remove_pointer_t<decltype(std::data(std::declval<Container &>()))> (*)[], T (*)[]>>>
    constexpr span(Container &&container) noexcept : data_(std::data(container)), size_(std::size(container)) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t at) const noexcept { return data_[at]; }
    constexpr T &front() const noexcept { return data_[0]; }
    constexpr T &back() const noexcept { return data_[size_ - 1]; }
    constexpr span first(std::size_t count) const noexcept { return { data_, count }; }
    constexpr span last(std::size_t count) const noexcept { return { data_ + (size_ - count), count }; }
    constexpr span subspan(std::size_t offset) const noexcept { return { data_ + offset, size_ - offset }; }
    constexpr span subspan(std::size_t offset, std::size_t count) const noexcept { return { data_ + offset, count }; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

#endif

/// The bytes of a sequence, to be read.
template <class T>
span<const std::byte> bytes_of(span<T> values) noexcept {
    return { reinterpret_cast<const std::byte *>(values.data()), values.size() * sizeof(T) };
}

LAVA_HPP_END

#endif
