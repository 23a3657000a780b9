/// @file
/// @brief A reading end of a channel.
#ifndef LAVA_CONSUMER_HPP
#define LAVA_CONSUMER_HPP

#include "batch.hpp"
#include "connection.hpp"
#include "context.hpp"
#include "error.hpp"
#include "frame.hpp"
#include "handle.hpp"
#include "kinds.hpp"
#include "location.hpp"
#include "timeout.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#if LAVA_HPP_STD_STOP_TOKEN
#include "stop.hpp"
#endif

LAVA_HPP_BEGIN

class frame_range;

/// How a channel is opened.
struct consumer_options {
    /// How long to wait for the producer to exist and accept; default: ten seconds.
    std::optional<lava::timeout> timeout {};
    /// Transports that will do. None of them possible: `status::requirement` with the reason.
    lava::transport require_transports = lava::transport::any;
    /// Most copies that lava may make of a frame on its way.
    std::optional<std::uint32_t> max_copies {};
    /// Where received frames are to lie: `automatic`: as they come; `device`: on a GPU; any other: in host memory.
    lava::memory memory = lava::memory::automatic;
    /// The GPU on which they are wanted; zeros: the producer's, else the best.
    uuid device {};
    /// Where the producer is, if it is not on this host. Borrowed for the call.
    const location *producer = nullptr;

    lava_consumer_options native() const noexcept {
        lava_consumer_options raw = LAVA_CONSUMER_OPTIONS_INIT;
        // 0 means the default there; 1 ns is as good as not waiting.
        if (timeout) raw.timeout_ns = std::max<std::uint64_t>(timeout->nanoseconds(), 1);
        raw.require_transports = static_cast<std::uint32_t>(require_transports);
        raw.flags = max_copies ? LAVA_CONSUMER_LIMIT_COPIES : 0u;
        raw.max_copies = max_copies.value_or(0);
        raw.memory = static_cast<std::uint32_t>(memory);
        raw.producer = producer != nullptr ? &producer->native() : nullptr;
        std::copy(device.begin(), device.end(), std::begin(raw.device_uuid));
        return raw;
    }
};

/// A reading end of a channel. Frames that it received stay valid after it. One thread at a time.
class consumer : public detail::handle<consumer, lava_consumer, lava_consumer_destroy> {
public:
    /// Connects to the producer, waiting for one that does not exist yet: `status::timed_out` if none came. It gets every
    /// frame that is sent after this returns.
    [[nodiscard]] static result<consumer> try_open(
        const context &context, detail::c_string name, const consumer_options &options = {}) noexcept {
        const lava_consumer_options raw = options.native();
        return detail::make<consumer, lava_consumer>([&](lava_consumer **made, lava_error *error) {
            return lava_consumer_create(context.native_handle(), name.get(), &raw, made, error);
        });
    }

    /// The next frame, without copying. `would_block`, `timed_out`: there is none; `closed`: the channel has ended.
    [[nodiscard]] outcome<frame> try_receive(timeout wait = forever) noexcept {
        lava_frame *next = nullptr;
        const lava_status status = lava_consumer_receive(native_handle(), wait.nanoseconds(), &next);
        if (status != LAVA_OK) return unexpected<lava::status>(static_cast<lava::status>(status));
        return frame::adopt(next);
    }

    /// Adds frames that are there to `into` until it is full; waits for the first only.
    [[nodiscard]] outcome<std::size_t> try_receive_many(lava::frames &into, timeout wait = forever) noexcept {
        std::size_t received = 0;
        const lava_status status = lava_consumer_receive_many(
            native_handle(), into.free_places(), into.free_count(), wait.nanoseconds(), &received);
        into.grow(received);
        if (status != LAVA_OK) return unexpected<lava::status>(static_cast<lava::status>(status));
        return received;
    }

    /// A descriptor for epoll, poll or an event loop: readable when a frame may be there, or the channel has ended. When it
    /// is, receive with `no_wait` until there is none; that arms it again. Owned by this; never read from it.
    [[nodiscard]] result<int> try_event_fd() noexcept {
        return detail::read<int>(std::int32_t { -1 }, [this](std::int32_t *fd, lava_error *error) {
            return lava_consumer_get_event_fd(native_handle(), fd, error);
        });
    }

#if LAVA_HPP_STD_STOP_TOKEN
    /// Waits until there is a frame, the channel has ended, or a stop is requested: `would_block`. It sleeps without
    /// spinning first, on the event descriptor and one of its own.
    [[nodiscard]] outcome<frame> try_receive(std::stop_token stop) noexcept {
        auto event = try_event_fd();
        if (!event) return unexpected<lava::status>(event.error().status());
        detail::stop_alarm alarm(std::move(stop));
        if (!alarm) return unexpected<lava::status>(status::limit);
        for (;;) {
            auto next = try_receive(no_wait);
            if (next || next.error() != status::would_block || alarm.wait(*event)) return next;
        }
    }
#endif

    [[nodiscard]] result<lava::connection> try_connection() const noexcept {
        return detail::read_connection(
            [&](lava_connection_info *info, lava_location *peer, lava_error *error) {
                return lava_consumer_get_connection(native_handle(), info, peer, error);
            },
            [&](std::uint32_t index, lava_rejection *rejection, lava_error *error) {
                return lava_consumer_get_rejection(native_handle(), index, rejection, error);
            });
    }

    /// The connection as JSON.
    [[nodiscard]] result<std::string> try_describe() const noexcept {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed, lava_error *error) {
            return lava_consumer_describe(native_handle(), buffer, capacity, needed, error);
        });
    }

#if LAVA_HPP_EXCEPTIONS
    [[nodiscard]] static consumer open(const context &context, detail::c_string name, const consumer_options &options = {}) {
        return detail::unwrap(try_open(context, name, options));
    }

    /// Waits for the next frame; none when the channel has ended and all of it is received.
    [[nodiscard]] std::optional<frame> receive() {
        auto next = try_receive();
        if (next) return std::optional<frame>(*std::move(next));
        if (next.error() != status::closed) detail::raise(static_cast<lava_status>(next.error()), "receive");
        return std::nullopt;
    }
    /// A frame, or why there is none: `would_block`, `timed_out` or `closed`.
    [[nodiscard]] outcome<frame> receive_for(timeout wait) { return checked(try_receive(wait)); }
    /// Frames of elements of one type. Throws `status::invalid_argument`, and gives the frame back, if one is not of whole
    /// elements.
    template <class T>
    [[nodiscard]] std::optional<typed_frame<T>> receive() {
        auto next = receive();
        if (!next) return std::nullopt;
        return std::optional<typed_frame<T>>(detail::unwrap(typed_frame<T>::try_from(*std::move(next))));
    }
#if LAVA_HPP_STD_STOP_TOKEN
    /// A frame, or why there is none: `would_block` (a stop was requested) or `closed`.
    [[nodiscard]] outcome<frame> receive(std::stop_token stop) { return checked(try_receive(std::move(stop))); }
#endif
    /// How many were added; 0 when the channel has ended. Waits for the first.
    std::size_t receive_many(lava::frames &into) {
        auto received = try_receive_many(into);
        if (received) return *received;
        if (received.error() != status::closed)
            detail::raise(static_cast<lava_status>(received.error()), "receive_many");
        return 0;
    }
    /// The frames until the channel ends, as a range: `for (lava::frame &frame : consumer.frames())`.
    frame_range frames() & noexcept;
    frame_range frames() && = delete;
    int event_fd() { return detail::unwrap(try_event_fd()); }
    lava::connection connection() const { return detail::unwrap(try_connection()); }
    std::string describe() const { return detail::unwrap(try_describe()); }

private:
    static outcome<frame> checked(outcome<frame> &&next) {
        if (!next && is_error(next.error())) detail::raise(static_cast<lava_status>(next.error()), "receive");
        return std::move(next);
    }
#endif
};

LAVA_HPP_END

#endif
