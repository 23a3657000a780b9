/// @file
/// @brief The writing end of a channel.
#ifndef LAVA_PRODUCER_HPP
#define LAVA_PRODUCER_HPP

#include "batch.hpp"
#include "buffer.hpp"
#include "connection.hpp"
#include "context.hpp"
#include "error.hpp"
#include "handle.hpp"
#include "kinds.hpp"
#include "loan.hpp"
#include "tensor.hpp"
#include "timeout.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

LAVA_HPP_BEGIN

/// How a channel is made; zero and false are the defaults.
struct producer_options {
    /// Bytes of the largest frame; 0: 1 MiB.
    std::uint64_t max_frame_size = 0;
    /// Slots: frames of more than `LAVA_FRAME_INLINE_SIZE` bytes that can be loaned, queued or held at once; 0: 8.
    std::uint32_t capacity = 0;
    /// Frames that wait in each consumer's queue at most; 0: `capacity`, at least 64.
    std::uint32_t queue_length = 0;
    /// What happens when a queue is full.
    lava::policy policy = lava::policy::block;
    /// Memory of the pool.
    lava::memory memory = lava::memory::automatic;
    /// What to try if that cannot be had.
    fallbacks fallback {};
    /// No fallback: the memory asked for, or `status::requirement`.
    bool require_memory = false;
    /// Commit all pages now, so that a machine without memory fails here and not later by SIGBUS.
    bool commit = false;
    /// Frames get no timestamp.
    bool no_timestamp = false;
    /// Most consumers at once; 0: `LAVA_CONSUMERS_MAX`.
    std::uint32_t max_consumers = 0;
    /// Alignment of every slot: a power of two, at most 2 MiB.
    std::uint32_t alignment = 0;
    /// NUMA node of the pool.
    std::optional<std::uint32_t> numa_node {};
    /// Transports that consumers may have; others are refused with the reason.
    lava::transport require_transports = lava::transport::any;
    /// The pool's GPU, with `memory::device`; zeros: the best.
    uuid device {};

    lava_producer_options native() const noexcept {
        lava_producer_options raw = LAVA_PRODUCER_OPTIONS_INIT;
        raw.policy = static_cast<std::uint32_t>(policy);
        raw.max_frame_size = max_frame_size;
        raw.capacity = capacity;
        raw.queue_length = queue_length;
        raw.memory = static_cast<std::uint32_t>(memory);
        raw.flags = (commit ? LAVA_PRODUCER_COMMIT : 0u) | (no_timestamp ? LAVA_PRODUCER_NO_TIMESTAMP : 0u)
            | (require_memory ? LAVA_PRODUCER_REQUIRE_MEMORY : 0u) | (numa_node ? LAVA_PRODUCER_ON_NODE : 0u);
        raw.max_consumers = max_consumers;
        raw.alignment = alignment;
        raw.numa_node = numa_node.value_or(0);
        raw.require_transports = static_cast<std::uint32_t>(require_transports);
        fallback.put(raw);
        std::copy(device.begin(), device.end(), std::begin(raw.device_uuid));
        return raw;
    }
};

/// The writing end of a channel: its name, its pool of slots. When it ends, consumers receive what was sent, and then that
/// the channel is closed. One thread at a time.
class producer : public detail::handle<producer, lava_producer, lava_producer_destroy> {
public:
    /// `status::already_exists`: a live producer has this name.
    [[nodiscard]] static result<producer> try_create(
        const context &context, detail::c_string name, const producer_options &options = {}) noexcept {
        const lava_producer_options raw = options.native();
        return detail::make<producer, lava_producer>([&](lava_producer **made, lava_error *error) {
            return lava_producer_create(context.native_handle(), name.get(), &raw, made, error);
        });
    }

    /// A free slot, to write a frame of up to `size` bytes into. Waits for one with policy `block`; with a drop policy it
    /// is `status::would_block` when consumers hold every slot, and the frame counts as dropped.
    [[nodiscard]] outcome<lava::loan> try_loan(std::uint64_t size, timeout wait = forever) noexcept {
        lava_frame *frame = nullptr;
        const lava_status status = lava_producer_loan(native_handle(), size, wait.nanoseconds(), &frame);
        if (status != LAVA_OK) return unexpected<lava::status>(static_cast<lava::status>(status));
        return lava::loan::adopt(frame);
    }

    /// Sends a loan to every consumer, without copying. On failure the loan stays the caller's, to be sent again.
    [[nodiscard]] outcome<void> try_send(lava::loan &&loan, timeout wait = forever) noexcept {
        const lava_status status = lava_producer_send(native_handle(), loan.native_handle(), wait.nanoseconds());
        if (status == LAVA_OK) (void)loan.release();
        return detail::done(status);
    }

    /// Loan, copy and send in one call.
    [[nodiscard]] outcome<void> try_send_bytes(const void *data, std::size_t size, timeout wait = forever) noexcept {
        return detail::done(lava_producer_send_bytes(native_handle(), data, size, wait.nanoseconds()));
    }

    /// Sends copies of many pieces of memory with one wake-up; `sent` says in every case how many were.
    [[nodiscard]] outcome<void> try_send_bytes_many(
        span<const lava_bytes> parts, std::size_t &sent, timeout wait = forever) noexcept {
        sent = 0;
        return detail::done(
            lava_producer_send_bytes_many(native_handle(), parts.data(), parts.size(), wait.nanoseconds(), &sent));
    }

    /// Adds loans of `size` bytes each to `into` until it is full; waits for the first only.
    [[nodiscard]] outcome<std::size_t> try_loan_many(loans &into, std::uint64_t size, timeout wait = forever) noexcept {
        std::size_t loaned = 0;
        const lava_status status = lava_producer_loan_many(
            native_handle(), size, into.free_places(), into.free_count(), wait.nanoseconds(), &loaned);
        into.grow(loaned);
        if (status != LAVA_OK) return unexpected<lava::status>(static_cast<lava::status>(status));
        return loaned;
    }

    /// Sends all of them in order, with one wake-up. Those that were not sent stay in `from`.
    [[nodiscard]] outcome<void> try_send_many(loans &from, timeout wait = forever) noexcept {
        std::size_t sent = 0;
        const lava_status status = lava_producer_send_many(
            native_handle(), from.native_handles(), from.size(), wait.nanoseconds(), &sent);
        from.drop_first(sent);
        return detail::done(status);
    }

    /// Sends a range of a shareable buffer without copying. Its bytes must not be changed before `wait_released`.
    [[nodiscard]] result<void> try_send_buffer(const lava::buffer &buffer, std::uint64_t offset, std::uint64_t size,
        std::uint64_t tag = 0, const lava::tensor *tensor = nullptr, timeout wait = forever) noexcept {
        return detail::check([&](lava_error *error) {
            return lava_producer_send_buffer(native_handle(), buffer.native_handle(), offset, size, tag,
                tensor != nullptr ? &tensor->native() : nullptr, wait.nanoseconds(), error);
        });
    }

    /// Waits until so many consumers are connected.
    [[nodiscard]] result<void> try_wait_consumers(std::uint32_t count, timeout wait = forever) noexcept {
        return detail::check([&](lava_error *error) {
            return lava_producer_wait_consumers(native_handle(), count, wait.nanoseconds(), error);
        });
    }

    /// Waits until no consumer has, or is still to receive, a frame of this buffer; null: any frame.
    [[nodiscard]] result<void> try_wait_released(const lava::buffer *buffer = nullptr, timeout wait = forever) noexcept {
        return detail::check([&](lava_error *error) {
            return lava_producer_wait_released(
                native_handle(), buffer != nullptr ? buffer->native_handle() : nullptr, wait.nanoseconds(), error);
        });
    }

    std::uint32_t consumer_count() const noexcept { return lava_producer_connection_count(native_handle()); }

    /// One of the connections, from 0; the numbers change when a consumer goes.
    [[nodiscard]] result<lava::connection> try_connection(std::uint32_t at) const noexcept {
        return detail::read_connection(
            [&](lava_connection_info *info, lava_location *peer, lava_error *error) {
                return lava_producer_get_connection(native_handle(), at, info, peer, error);
            },
            [&](std::uint32_t index, lava_rejection *rejection, lava_error *error) {
                return lava_producer_get_rejection(native_handle(), at, index, rejection, error);
            });
    }

    /// The channel and all its connections, as JSON.
    [[nodiscard]] result<std::string> try_describe() const noexcept {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed, lava_error *error) {
            return lava_producer_describe(native_handle(), buffer, capacity, needed, error);
        });
    }

#if LAVA_HPP_EXCEPTIONS
    [[nodiscard]] static producer create(const context &context, detail::c_string name, const producer_options &options = {}) {
        return detail::unwrap(try_create(context, name, options));
    }

    /// Waits for a free slot. With a drop policy it throws `status::would_block` if there is none: see `loan_for`.
    [[nodiscard]] lava::loan loan(std::uint64_t size) { return detail::unwrap(try_loan(size), "loan", size); }
    /// None if no slot came free in time.
    [[nodiscard]] std::optional<lava::loan> loan_for(std::uint64_t size, timeout wait) {
        auto found = try_loan(size, wait);
        if (found) return std::optional<lava::loan>(*std::move(found));
        if (is_error(found.error())) detail::raise(static_cast<lava_status>(found.error()), "loan", size);
        return std::nullopt;
    }
    /// Of elements: a range of `count` of them.
    template <class T>
    [[nodiscard]] typed_loan<T> loan(std::size_t count) {
        return detail::unwrap(typed_loan<T>::try_from(loan(bytes_of_elements<T>(count))));
    }
    template <class T>
    [[nodiscard]] std::optional<typed_loan<T>> loan_for(std::size_t count, timeout wait) {
        auto found = loan_for(bytes_of_elements<T>(count), wait);
        if (!found) return std::nullopt;
        return std::optional<typed_loan<T>>(detail::unwrap(typed_loan<T>::try_from(*std::move(found))));
    }

    /// Waits until every queue has room, with policy `block` also until a consumer is there.
    void send(lava::loan &&loan) { detail::unwrap(try_send(std::move(loan)), "send"); }
    /// Whether it was sent in time; if not, the loan is still the caller's.
    [[nodiscard]] bool send_for(lava::loan &&loan, timeout wait) {
        auto sent = try_send(std::move(loan), wait);
        return sent || detail::in_time(static_cast<lava_status>(sent.error()), "send");
    }
    void send_bytes(const void *data, std::size_t size) { detail::unwrap(try_send_bytes(data, size), "send_bytes", size); }
    void send_bytes(span<const std::byte> data) { send_bytes(data.data(), data.size()); }
    [[nodiscard]] bool send_bytes_for(const void *data, std::size_t size, timeout wait) {
        auto sent = try_send_bytes(data, size, wait);
        return sent || detail::in_time(static_cast<lava_status>(sent.error()), "send_bytes");
    }
    void send_bytes_many(span<const lava_bytes> parts) {
        std::size_t sent;
        detail::unwrap(try_send_bytes_many(parts, sent), "send_bytes_many");
    }
    std::size_t loan_many(loans &into, std::uint64_t size) {
        return detail::unwrap(try_loan_many(into, size), "loan_many");
    }
    void send_many(loans &from) { detail::unwrap(try_send_many(from), "send_many"); }
    void send_buffer(const lava::buffer &buffer, std::uint64_t offset, std::uint64_t size, std::uint64_t tag = 0,
        const lava::tensor *tensor = nullptr) {
        detail::unwrap(try_send_buffer(buffer, offset, size, tag, tensor));
    }
    /// Whether they came in time.
    bool wait_consumers(std::uint32_t count, timeout wait = forever) {
        return detail::in_time(try_wait_consumers(count, wait));
    }
    /// Whether all were given back in time.
    bool wait_released(const lava::buffer *buffer = nullptr, timeout wait = forever) {
        return detail::in_time(try_wait_released(buffer, wait));
    }
    /// All connections. One whose consumer goes meanwhile may be missing.
    std::vector<lava::connection> connections() const {
        std::vector<lava::connection> found;
        for (std::uint32_t at = 0; at < consumer_count(); at++) {
            auto one = try_connection(at);
            if (one) {
                found.push_back(*std::move(one));
            } else if (one.error().status() != status::not_found) {
                detail::raise(one.error());
            }
        }
        return found;
    }
    std::string describe() const { return detail::unwrap(try_describe()); }

private:
    template <class T>
    static std::uint64_t bytes_of_elements(std::size_t count) {
        detail::check_element<T>();
        if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
            detail::raise(failure(status::too_large, "so many elements have more bytes than memory can", count));
        return count * sizeof(T);
    }
#endif
};

LAVA_HPP_END

#endif
