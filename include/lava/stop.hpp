/// @file
/// @brief Waiting for a descriptor or a stop request, whichever comes first. For C++20 and later.
#ifndef LAVA_STOP_HPP
#define LAVA_STOP_HPP

#include "config.hpp"

#include <cstdint>
#include <stop_token>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

LAVA_HPP_BEGIN

namespace detail {

/// A descriptor that becomes readable when a stop is requested.
class stop_alarm {
public:
    explicit stop_alarm(std::stop_token stop) noexcept
        : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(std::move(stop), ring { fd_ }) {}
    stop_alarm(const stop_alarm &) = delete;
    stop_alarm &operator=(const stop_alarm &) = delete;
    ~stop_alarm() {
        if (fd_ >= 0) ::close(fd_);
    }

    explicit operator bool() const noexcept { return fd_ >= 0; }

    /// Waits until `other` is readable; true if a stop was requested.
    bool wait(int other) const noexcept {
        pollfd both[2] = { { other, POLLIN, 0 }, { fd_, POLLIN, 0 } };
        // An interrupted wait is repeated by the caller, who looks for a frame again.
        return ::poll(both, 2, -1) > 0 && both[1].revents != 0;
    }

private:
    struct ring {
        int fd;
        void operator()() const noexcept {
            const std::uint64_t one = 1;
            // It can only fail when it is readable already.
            [[maybe_unused]] const auto written = ::write(fd, &one, sizeof one);
        }
    };

    int fd_;
    // Before the descriptor is closed its destructor waits for a callback that runs.
    std::stop_callback<ring> callback_;
};

}

LAVA_HPP_END

#endif
