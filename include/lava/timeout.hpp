/// @file
/// @brief How long a call may wait.
#ifndef LAVA_TIMEOUT_HPP
#define LAVA_TIMEOUT_HPP

#include "config.hpp"

#include <chrono>
#include <cstdint>

LAVA_HPP_BEGIN

/// Nanoseconds to wait, made of what `std::chrono` has. A negative time is none; a part of a nanosecond counts as one.
class timeout {
public:
    template <class Number, class Period>
    constexpr timeout(std::chrono::duration<Number, Period> time) noexcept : nanoseconds_(count(time)) {}

    /// Until this time; none if it is over.
    timeout(std::chrono::steady_clock::time_point until) noexcept
        : timeout(until - std::chrono::steady_clock::now()) {}

    /// Of the C interface's number.
    static constexpr timeout of_nanoseconds(std::uint64_t nanoseconds) noexcept { return timeout(nanoseconds); }

    constexpr std::uint64_t nanoseconds() const noexcept { return nanoseconds_; }

private:
    explicit constexpr timeout(std::uint64_t nanoseconds) noexcept : nanoseconds_(nanoseconds) {}

    template <class Number, class Period>
    static constexpr std::uint64_t count(std::chrono::duration<Number, Period> time) noexcept {
        using std::chrono::nanoseconds;
        if (time <= time.zero()) return LAVA_NO_WAIT;
        // 292 years, the most that `nanoseconds` holds, compared in the caller's own unit so that nothing overflows.
        if (std::chrono::duration<long double>(time) >= std::chrono::duration<long double>(nanoseconds::max()))
            return LAVA_FOREVER - 1;
        return static_cast<std::uint64_t>(std::chrono::ceil<nanoseconds>(time).count());
    }

    std::uint64_t nanoseconds_;
};

/// Do not wait: try once.
inline constexpr timeout no_wait = timeout::of_nanoseconds(LAVA_NO_WAIT);
/// Wait for ever.
inline constexpr timeout forever = timeout::of_nanoseconds(LAVA_FOREVER);

LAVA_HPP_END

#endif
