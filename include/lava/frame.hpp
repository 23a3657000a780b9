/// @file
/// @brief A received message, to be read.
#ifndef LAVA_FRAME_HPP
#define LAVA_FRAME_HPP

#include "buffer.hpp"
#include "elements.hpp"
#include "error.hpp"
#include "handle.hpp"
#include "kinds.hpp"
#include "span.hpp"
#include "tensor.hpp"
#include "timeout.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

LAVA_HPP_BEGIN

/// What a frame is.
class frame_info {
public:
    explicit frame_info(const lava_frame_info &raw) noexcept : raw_(raw) {}

    /// Bytes of payload.
    std::uint64_t size() const noexcept { return raw_.size; }
    /// Number in the channel, from 0; a gap tells of dropped frames. 0 for a loan.
    std::uint64_t sequence() const noexcept { return raw_.sequence; }
    /// The producer's own number.
    std::uint64_t tag() const noexcept { return raw_.tag; }
    /// Nanoseconds of `CLOCK_MONOTONIC` at the send, or what the producer set; 0 if it asked for none.
    std::uint64_t timestamp_ns() const noexcept { return raw_.timestamp_ns; }
    /// The same as a time of the clock that it is of.
    std::chrono::steady_clock::time_point timestamp() const noexcept {
        using clock = std::chrono::steady_clock;
        const std::chrono::nanoseconds time(static_cast<std::int64_t>(raw_.timestamp_ns));
        return clock::time_point(std::chrono::duration_cast<clock::duration>(time));
    }
    /// Bytes that a loan may grow to.
    std::uint64_t capacity() const noexcept { return raw_.capacity; }
    lava::memory memory() const noexcept { return static_cast<lava::memory>(raw_.memory); }
    /// What brought it; `any` for a loan.
    lava::transport transport() const noexcept { return static_cast<lava::transport>(raw_.transport); }
    bool is_loan() const noexcept { return (raw_.flags & LAVA_FRAME_LOAN) != 0; }
    bool has_tensor() const noexcept { return (raw_.flags & LAVA_FRAME_HAS_TENSOR) != 0; }
    /// Whether the payload came inside the descriptor; it is private to this process then.
    bool is_inline() const noexcept { return (raw_.flags & LAVA_FRAME_INLINE) != 0; }
    /// Whether the payload lies in a buffer of the producer's, from `producer::send_buffer`.
    bool in_buffer() const noexcept { return (raw_.flags & LAVA_FRAME_BUFFER) != 0; }
    const lava_frame_info &native() const noexcept { return raw_; }

private:
    lava_frame_info raw_;
};

/// A frame or loan that somebody else owns: what can be read of it. Valid as long as its owner has it.
class frame_view {
public:
    explicit frame_view(const lava_frame *raw) noexcept : raw_(raw) {}

    const lava_frame *native_handle() const noexcept { return raw_; }
    /// Bytes of payload.
    std::size_t size() const noexcept { return static_cast<std::size_t>(lava_frame_size(raw_)); }
    /// The first byte; null if the CPU cannot reach the memory. The payload of a received frame of more than
    /// `LAVA_FRAME_INLINE_SIZE` bytes lies in memory that its producer can still write to: copy what must not change
    /// between two looks.
    const void *data() const noexcept { return lava_frame_data(raw_); }

    frame_info info() const noexcept {
        lava_frame_info raw = LAVA_FRAME_INFO_INIT;
        lava_frame_get_info(raw_, &raw);
        return frame_info(raw);
    }

    /// The payload in place, as bytes.
    [[nodiscard]] result<span<const std::byte>> try_bytes() const noexcept { return try_as<std::byte>(); }

    /// The payload in place, as elements of a trivially copyable type.
    template <class T>
    [[nodiscard]] result<span<const T>> try_as() const noexcept {
        return detail::elements<const T>(data(), size());
    }

    /// Copies a part of the payload, also of memory that the CPU cannot reach; waits until it is there.
    [[nodiscard]] outcome<void> try_read(std::uint64_t offset, void *to, std::size_t size) const noexcept {
        return detail::done(lava_frame_read(raw_, offset, to, size));
    }

    /// The payload as an array, if the producer described it; checked to lie within the payload.
    [[nodiscard]] result<std::optional<lava::tensor>> try_tensor() const noexcept {
        lava_tensor raw = LAVA_TENSOR_INIT;
        failure why;
        const lava_status status = lava_frame_get_tensor(raw_, &raw, why.out());
        if (status == LAVA_OK) return std::optional<lava::tensor>(lava::tensor(raw));
        if (status == LAVA_ERROR_NOT_FOUND) return std::optional<lava::tensor>();
        return detail::fail(why, status);
    }

    /// The buffer in which the payload lies. It keeps the memory, not the frame: hold the frame while reading it.
    [[nodiscard]] result<buffer_range> try_buffer() const noexcept {
        lava_buffer *found = nullptr;
        buffer_range range;
        failure why;
        const lava_status status = lava_frame_get_buffer(raw_, &found, &range.offset, why.out());
        if (status != LAVA_OK) return detail::fail(why, status);
        range.buffer = buffer::adopt(found);
        return range;
    }

    /// Waits on the CPU until the bytes of GPU memory are there; those of host memory always are.
    [[nodiscard]] outcome<void> try_wait_ready(timeout wait = forever) const noexcept {
        return detail::done(lava_frame_wait_ready(raw_, wait.nanoseconds()));
    }

#if LAVA_HPP_EXCEPTIONS
    span<const std::byte> bytes() const { return detail::unwrap(try_bytes()); }
    template <class T>
    span<const T> as() const {
        return detail::unwrap(try_as<T>());
    }
    void read(std::uint64_t offset, void *to, std::size_t size) const {
        detail::unwrap(try_read(offset, to, size), "read of a frame", size);
    }
    /// A copy of the payload, which no producer can change.
    template <class T>
    std::vector<T> copy() const {
        detail::check_element<T>();
        const std::size_t bytes = size();
        if (bytes % sizeof(T) != 0) detail::raise(detail::misfit<T>(bytes));
        std::vector<T> values(bytes / sizeof(T));
        read(0, values.data(), bytes);
        return values;
    }
    std::optional<lava::tensor> tensor() const { return detail::unwrap(try_tensor()); }
    buffer_range buffer() const { return detail::unwrap(try_buffer()); }
    /// Whether they were there in time.
    bool wait_ready(timeout wait = forever) const {
        return detail::in_time(lava_frame_wait_ready(raw_, wait.nanoseconds()), "wait for a frame's bytes");
    }
#endif

private:
    const lava_frame *raw_;
};

namespace detail {

inline void release_frame(lava_frame *frame) noexcept { lava_frame_release(frame); }

/// What `frame` and `loan` have in common: an owned frame, which can be read.
template <class Derived>
class readable : public handle<Derived, lava_frame, release_frame> {
public:
    /// For as long as this has the frame.
    frame_view view() const noexcept { return frame_view(this->native_handle()); }
    operator frame_view() const noexcept { return view(); }

    std::size_t size() const noexcept { return view().size(); }
    const void *data() const noexcept { return view().data(); }
    frame_info info() const noexcept { return view().info(); }
    [[nodiscard]] result<span<const std::byte>> try_bytes() const & noexcept { return view().try_bytes(); }
    template <class T>
    [[nodiscard]] result<span<const T>> try_as() const & noexcept {
        return view().template try_as<T>();
    }
    // One without a name is given back at the end of the statement, and its bytes with it.
    [[nodiscard]] result<span<const std::byte>> try_bytes() const && = delete;
    template <class T>
    [[nodiscard]] result<span<const T>> try_as() const && = delete;
    [[nodiscard]] outcome<void> try_read(std::uint64_t offset, void *to, std::size_t size) const noexcept {
        return view().try_read(offset, to, size);
    }
    [[nodiscard]] result<std::optional<lava::tensor>> try_tensor() const noexcept { return view().try_tensor(); }
    [[nodiscard]] result<buffer_range> try_buffer() const noexcept { return view().try_buffer(); }
    [[nodiscard]] outcome<void> try_wait_ready(timeout wait = forever) const noexcept { return view().try_wait_ready(wait); }

#if LAVA_HPP_EXCEPTIONS
    span<const std::byte> bytes() const & { return view().bytes(); }
    template <class T>
    span<const T> as() const & {
        return view().template as<T>();
    }
    span<const std::byte> bytes() const && = delete;
    template <class T>
    span<const T> as() const && = delete;
    void read(std::uint64_t offset, void *to, std::size_t size) const { view().read(offset, to, size); }
    template <class T>
    std::vector<T> copy() const {
        return view().template copy<T>();
    }
    std::optional<lava::tensor> tensor() const { return view().tensor(); }
    buffer_range buffer() const { return view().buffer(); }
    bool wait_ready(timeout wait = forever) const { return view().wait_ready(wait); }
#endif
};

}

/// A received message. It goes back to its producer when this ends, from any thread, also after its consumer.
class frame : public detail::readable<frame> {};

/// A received message of elements of one type: a range of them, empty once it was released or moved from.
template <class T>
class typed_frame : public frame {
public:
    /// Takes the frame over if its payload is a whole number of aligned elements that the CPU can reach. Else it stays the
    /// caller's.
    [[nodiscard]] static result<typed_frame> try_from(frame &&from) noexcept {
        auto values = from.try_as<T>();
        if (!values) return unexpected<failure>(values.error());
        typed_frame made;
        static_cast<frame &>(made) = std::move(from);
        made.values_ = *values;
        return made;
    }

    span<const T> values() const & noexcept { return *this ? values_ : span<const T>(); }
    span<const T> values() const && = delete;
    const T *data() const noexcept { return values().data(); }
    const T *begin() const noexcept { return values().data(); }
    const T *end() const noexcept { return begin() + size(); }
    const T &operator[](std::size_t at) const noexcept { return values_[at]; }
    /// Elements; `size_bytes()` is the payload's size.
    std::size_t size() const noexcept { return values().size(); }
    std::size_t size_bytes() const noexcept { return size() * sizeof(T); }
    bool empty() const noexcept { return size() == 0; }

private:
    span<const T> values_;
};

LAVA_HPP_END

#endif
