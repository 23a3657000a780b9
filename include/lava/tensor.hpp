/// @file
/// @brief The description of a payload as an n-dimensional array.
#ifndef LAVA_TENSOR_HPP
#define LAVA_TENSOR_HPP

#include "config.hpp"
#include "span.hpp"

#include <algorithm>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

LAVA_HPP_BEGIN

/// Kind, bits of one lane, lanes of an element, as in DLPack.
struct data_type {
    std::uint8_t kind = LAVA_DTYPE_UINT;
    std::uint8_t bits = 8;
    std::uint16_t lanes = 1;

    /// That of a C++ type: integers, `float`, `double`, `bool`, `std::byte`, `std::complex`.
    template <class T>
    static constexpr data_type of() noexcept;

    friend constexpr bool operator==(data_type a, data_type b) noexcept {
        return a.kind == b.kind && a.bits == b.bits && a.lanes == b.lanes;
    }
    friend constexpr bool operator!=(data_type a, data_type b) noexcept { return !(a == b); }
};

namespace detail {

template <class T>
struct is_complex : std::false_type {};
template <class T>
struct is_complex<std::complex<T>> : std::is_floating_point<T> {};

template <class T>
constexpr bool has_data_type() noexcept {
    constexpr bool is_float = std::is_floating_point_v<T> && sizeof(T) <= 8;
    return std::is_integral_v<T> || std::is_same_v<T, std::byte> || is_float || is_complex<T>::value;
}

template <class T>
constexpr std::uint8_t kind_of() noexcept {
    if (std::is_same_v<T, bool>) return LAVA_DTYPE_BOOL;
    if (is_complex<T>::value) return LAVA_DTYPE_COMPLEX;
    if (std::is_floating_point_v<T>) return LAVA_DTYPE_FLOAT;
    return std::is_signed_v<T> ? LAVA_DTYPE_INT : LAVA_DTYPE_UINT;
}

}

template <class T>
constexpr data_type data_type::of() noexcept {
    static_assert(detail::has_data_type<T>(), "no data type for this: name its kind, bits and lanes");
    return { detail::kind_of<T>(), static_cast<std::uint8_t>(sizeof(T) * 8), 1 };
}

/// A number for each dimension: a range of values, so that it may be taken from a tensor that goes.
class extents {
public:
    constexpr extents(const std::int64_t (&values)[LAVA_TENSOR_MAX_DIMENSIONS], std::size_t count) noexcept
        : count_(count) {
        for (std::size_t at = 0; at < count; at++) values_[at] = values[at];
    }

    constexpr std::size_t size() const noexcept { return count_; }
    constexpr bool empty() const noexcept { return count_ == 0; }
    constexpr const std::int64_t *data() const noexcept { return values_; }
    constexpr const std::int64_t *begin() const noexcept { return values_; }
    constexpr const std::int64_t *end() const noexcept { return values_ + count_; }
    constexpr std::int64_t operator[](std::size_t at) const noexcept { return values_[at]; }

private:
    std::int64_t values_[LAVA_TENSOR_MAX_DIMENSIONS] = {};
    std::size_t count_;
};

/// An n-dimensional array within a payload. It travels with the frame, so that every language sees one array; the library
/// checks that each element lies within the payload, when it is set and again when it is received.
class tensor {
public:
    /// Compact, row-major, from the payload's first byte. More than `LAVA_TENSOR_MAX_DIMENSIONS` are refused when it is set.
    tensor(data_type type, span<const std::int64_t> shape) noexcept : raw_(LAVA_TENSOR_INIT) {
        raw_.dtype = type.kind;
        raw_.bits = type.bits;
        raw_.lanes = type.lanes;
        raw_.dimensions = static_cast<std::uint32_t>(shape.size());
        std::copy_n(shape.begin(), std::min<std::size_t>(shape.size(), LAVA_TENSOR_MAX_DIMENSIONS), raw_.shape);
    }
    tensor(data_type type, std::initializer_list<std::int64_t> shape) noexcept
        : tensor(type, span<const std::int64_t>(shape.begin(), shape.size())) {}
    explicit tensor(const lava_tensor &raw) noexcept : raw_(raw) {}

    /// Of elements of a C++ type.
    template <class T>
    static tensor of(std::initializer_list<std::int64_t> shape) noexcept {
        return { data_type::of<T>(), shape };
    }
    template <class T>
    static tensor of(span<const std::int64_t> shape) noexcept {
        return { data_type::of<T>(), shape };
    }

    /// With steps, in elements, one for each dimension; they may be negative or 0.
    tensor with_strides(std::initializer_list<std::int64_t> strides) const noexcept {
        tensor changed = *this;
        changed.raw_.has_strides = 1;
        std::copy_n(strides.begin(), std::min<std::size_t>(strides.size(), LAVA_TENSOR_MAX_DIMENSIONS), changed.raw_.strides);
        return changed;
    }
    /// With its first element there.
    tensor with_byte_offset(std::uint64_t offset) const noexcept {
        tensor changed = *this;
        changed.raw_.byte_offset = offset;
        return changed;
    }

    data_type type() const noexcept { return { raw_.dtype, raw_.bits, raw_.lanes }; }
    /// Elements in each dimension, outermost first.
    extents shape() const noexcept { return { raw_.shape, dimensions() }; }
    /// Steps in elements; empty: compact, row-major. Those of a received frame are always there.
    extents strides() const noexcept { return { raw_.strides, raw_.has_strides != 0 ? dimensions() : 0 }; }
    std::uint64_t byte_offset() const noexcept { return raw_.byte_offset; }
    const lava_tensor &native() const noexcept { return raw_; }

private:
    std::size_t dimensions() const noexcept {
        return std::min<std::size_t>(raw_.dimensions, LAVA_TENSOR_MAX_DIMENSIONS);
    }

    lava_tensor raw_;
};

LAVA_HPP_END

#endif
