/// @file
/// @brief What a GPU is and can do.
#ifndef LAVA_DEVICE_HPP
#define LAVA_DEVICE_HPP

#include "kinds.hpp"
#include "span.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

LAVA_HPP_BEGIN

namespace detail {

inline uuid uuid_of(const std::uint8_t (&bytes)[16]) noexcept {
    uuid value {};
    std::copy(std::begin(bytes), std::end(bytes), value.begin());
    return value;
}

}

/// One GPU of this machine: `lava_device_info`. From `context::devices()`.
class device {
public:
    explicit device(const lava_device_info &raw) noexcept : raw_(raw) {}

    std::string_view name() const noexcept { return raw_.name; }
    std::string_view driver() const noexcept { return raw_.driver_name; }
    /// Names it in every process, and in CUDA.
    lava::uuid uuid() const noexcept { return detail::uuid_of(raw_.device_uuid); }
    /// Memory can be shared only where this too is equal.
    lava::uuid driver_uuid() const noexcept { return detail::uuid_of(raw_.driver_uuid); }
    /// Whether it has what lava needs; else `reason()` says what is missing.
    bool usable() const noexcept { return (raw_.flags & LAVA_DEVICE_USABLE) != 0; }
    bool exportable() const noexcept { return (raw_.flags & LAVA_DEVICE_EXPORTABLE) != 0; }
    /// Whether it is the CPU in disguise.
    bool is_cpu() const noexcept { return raw_.kind == LAVA_DEVICE_KIND_CPU; }
    std::string_view reason() const noexcept { return raw_.reason; }
    std::uint64_t max_allocation() const noexcept { return raw_.max_allocation; }
    span<const lava_device_heap> heaps() const noexcept { return { raw_.heaps, raw_.heap_count }; }
    /// The rest.
    const lava_device_info &native() const noexcept { return raw_; }

private:
    lava_device_info raw_;
};

LAVA_HPP_END

#endif
