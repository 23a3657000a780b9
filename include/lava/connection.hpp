/// @file
/// @brief One pair of a producer and a consumer: transport, reason, counters.
#ifndef LAVA_CONNECTION_HPP
#define LAVA_CONNECTION_HPP

#include "error.hpp"
#include "kinds.hpp"
#include "location.hpp"

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

LAVA_HPP_BEGIN

/// A transport that a connection could not have, and why.
class rejection {
public:
    explicit rejection(const lava_rejection &raw) noexcept : raw_(raw) {}
    lava::transport transport() const noexcept { return static_cast<lava::transport>(raw_.transport); }
    std::string_view reason() const noexcept { return raw_.reason; }

private:
    lava_rejection raw_;
};

/// A connection as one side sees it, at the time of the call that gave it. Counters count from its beginning.
class connection {
public:
    connection(const lava_connection_info &raw, const location &peer, std::vector<rejection> rejections) noexcept
        : raw_(raw), peer_(peer), rejections_(std::move(rejections)) {}

    lava::transport transport() const noexcept { return static_cast<lava::transport>(raw_.transport); }
    /// Copies that lava makes of each frame on its way.
    std::uint32_t copies() const noexcept { return raw_.copies; }
    connection_state state() const noexcept { return static_cast<connection_state>(raw_.state); }
    /// Why this transport.
    std::string_view reason() const noexcept { return raw_.reason; }
    /// The others, and why not.
    const std::vector<rejection> &rejections() const & noexcept { return rejections_; }
    std::vector<rejection> rejections() && noexcept { return std::move(rejections_); }
    /// Where the other end is.
    const location &peer() const & noexcept { return peer_; }
    location peer() && noexcept { return peer_; }
    /// Its process id as this process sees it; 0 if it cannot.
    std::uint32_t peer_process() const noexcept { return raw_.peer_process; }
    std::uint64_t frames() const noexcept { return raw_.frames; }
    std::uint64_t bytes() const noexcept { return raw_.bytes; }
    std::uint64_t dropped() const noexcept { return raw_.dropped; }
    /// Published and not yet received.
    std::uint64_t queued() const noexcept { return raw_.queued; }
    /// Received and not yet released.
    std::uint64_t held() const noexcept { return raw_.held; }
    const lava_connection_info &native() const noexcept { return raw_; }

private:
    lava_connection_info raw_;
    location peer_;
    std::vector<rejection> rejections_;
};

namespace detail {

/// `get_info(info, peer, error)` and `get_rejection(index, rejection, error)` of either side.
template <class GetInfo, class GetRejection>
result<connection> read_connection(GetInfo get_info, GetRejection get_rejection) {
    lava_connection_info info = LAVA_CONNECTION_INFO_INIT;
    location peer;
    failure why;
    lava_status status = get_info(&info, &peer.native(), why.out());
    if (status != LAVA_OK) return fail(why, status);
    std::vector<rejection> rejections;
    for (std::uint32_t at = 0; at < info.rejection_count; at++) {
        lava_rejection raw = LAVA_REJECTION_INIT;
        status = get_rejection(at, &raw, why.out());
        if (status != LAVA_OK) return fail(why, status);
        rejections.emplace_back(raw);
    }
    return connection(info, peer, std::move(rejections));
}

}

LAVA_HPP_END

#endif
