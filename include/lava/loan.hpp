/// @file
/// @brief A message that is being written.
#ifndef LAVA_LOAN_HPP
#define LAVA_LOAN_HPP

#include "elements.hpp"
#include "error.hpp"
#include "frame.hpp"
#include "span.hpp"
#include "tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

LAVA_HPP_BEGIN

/// A loan that somebody else owns: what can be written to it. Valid as long as its owner has it.
class loan_view : public frame_view {
public:
    explicit loan_view(lava_frame *raw) noexcept : frame_view(raw), raw_(raw) {}

    lava_frame *native_handle() const noexcept { return raw_; }
    /// The first byte, to be written; null if the CPU cannot reach the memory. What an earlier frame left is there.
    void *data() const noexcept { return lava_frame_data_mut(raw_); }

    [[nodiscard]] result<span<std::byte>> try_bytes() const noexcept { return try_as<std::byte>(); }
    template <class T>
    [[nodiscard]] result<span<T>> try_as() const noexcept {
        return detail::elements<T>(data(), size());
    }
    /// Copies into a part of the payload, also of memory that the CPU cannot reach.
    [[nodiscard]] outcome<void> try_write(std::uint64_t offset, const void *from, std::size_t bytes) const noexcept {
        return detail::done(lava_frame_write(raw_, offset, from, bytes));
    }
    /// How many bytes will be sent: at most `info().capacity()`.
    [[nodiscard]] outcome<void> try_set_size(std::uint64_t bytes) const noexcept {
        return detail::done(lava_frame_set_size(raw_, bytes));
    }
    [[nodiscard]] outcome<void> try_set_tag(std::uint64_t tag) const noexcept { return detail::done(lava_frame_set_tag(raw_, tag)); }
    /// Nanoseconds of `CLOCK_MONOTONIC`, such as the time of a camera's exposure; 0: the time of the send.
    [[nodiscard]] outcome<void> try_set_timestamp(std::uint64_t nanoseconds) const noexcept {
        return detail::done(lava_frame_set_timestamp(raw_, nanoseconds));
    }
    /// Describes the payload as an array; null removes the description.
    [[nodiscard]] result<void> try_set_tensor(const lava::tensor *tensor) const noexcept {
        return detail::check([&](lava_error *error) {
            return lava_frame_set_tensor(raw_, tensor != nullptr ? &tensor->native() : nullptr, error);
        });
    }
    [[nodiscard]] result<void> try_set_tensor(const lava::tensor &tensor) const noexcept { return try_set_tensor(&tensor); }

#if LAVA_HPP_EXCEPTIONS
    span<std::byte> bytes() const { return detail::unwrap(try_bytes()); }
    template <class T>
    span<T> as() const {
        return detail::unwrap(try_as<T>());
    }
    void write(std::uint64_t offset, const void *from, std::size_t bytes) const {
        detail::unwrap(try_write(offset, from, bytes), "write to a loan", bytes);
    }
    void set_size(std::uint64_t bytes) const { detail::unwrap(try_set_size(bytes), "size of a loan", bytes); }
    void set_tag(std::uint64_t tag) const { detail::unwrap(try_set_tag(tag), "tag of a loan"); }
    void set_timestamp(std::uint64_t nanoseconds) const {
        detail::unwrap(try_set_timestamp(nanoseconds), "timestamp of a loan");
    }
    void set_tensor(const lava::tensor *tensor) const { detail::unwrap(try_set_tensor(tensor)); }
    void set_tensor(const lava::tensor &tensor) const { set_tensor(&tensor); }
#endif

private:
    lava_frame *raw_;
};

/// A message that is being written, in memory that the consumers map. `producer::send` sends it; one that is not sent goes
/// back to its pool.
class loan : public detail::readable<loan> {
public:
    loan_view view() const noexcept { return loan_view(native_handle()); }
    operator loan_view() const noexcept { return view(); }

    void *data() noexcept { return view().data(); }
    [[nodiscard]] result<span<std::byte>> try_bytes() & noexcept { return view().try_bytes(); }
    template <class T>
    [[nodiscard]] result<span<T>> try_as() & noexcept {
        return view().template try_as<T>();
    }
    // A loan without a name is gone at the end of the statement, and its bytes with it.
    [[nodiscard]] result<span<std::byte>> try_bytes() && = delete;
    template <class T>
    [[nodiscard]] result<span<T>> try_as() && = delete;
    [[nodiscard]] outcome<void> try_write(std::uint64_t offset, const void *from, std::size_t bytes) noexcept {
        return view().try_write(offset, from, bytes);
    }
    [[nodiscard]] outcome<void> try_set_size(std::uint64_t bytes) noexcept { return view().try_set_size(bytes); }
    [[nodiscard]] outcome<void> try_set_tag(std::uint64_t tag) noexcept { return view().try_set_tag(tag); }
    [[nodiscard]] outcome<void> try_set_timestamp(std::uint64_t nanoseconds) noexcept { return view().try_set_timestamp(nanoseconds); }
    [[nodiscard]] result<void> try_set_tensor(const lava::tensor *tensor) noexcept { return view().try_set_tensor(tensor); }
    [[nodiscard]] result<void> try_set_tensor(const lava::tensor &tensor) noexcept { return view().try_set_tensor(tensor); }

#if LAVA_HPP_EXCEPTIONS
    span<std::byte> bytes() & { return view().bytes(); }
    template <class T>
    span<T> as() & {
        return view().template as<T>();
    }
    span<std::byte> bytes() && = delete;
    template <class T>
    span<T> as() && = delete;
    void write(std::uint64_t offset, const void *from, std::size_t bytes) { view().write(offset, from, bytes); }
    void set_size(std::uint64_t bytes) { view().set_size(bytes); }
    void set_tag(std::uint64_t tag) { view().set_tag(tag); }
    void set_timestamp(std::uint64_t nanoseconds) { view().set_timestamp(nanoseconds); }
    void set_tensor(const lava::tensor *tensor) { view().set_tensor(tensor); }
    void set_tensor(const lava::tensor &tensor) { view().set_tensor(tensor); }
#endif
};

/// A loan of elements of one type: a range of them, empty once it was sent or moved from.
template <class T>
class typed_loan : public loan {
public:
    /// Takes the loan over if it is a whole number of aligned elements that the CPU can reach. Else it stays the caller's.
    [[nodiscard]] static result<typed_loan> try_from(loan &&from) noexcept {
        auto values = from.try_as<T>();
        if (!values) return unexpected<failure>(values.error());
        typed_loan made;
        static_cast<loan &>(made) = std::move(from);
        made.values_ = *values;
        return made;
    }

    span<T> values() const & noexcept { return *this ? values_ : span<T>(); }
    span<T> values() const && = delete;
    T *data() const noexcept { return values().data(); }
    T *begin() const noexcept { return values().data(); }
    T *end() const noexcept { return begin() + size(); }
    T &operator[](std::size_t at) const noexcept { return values_[at]; }
    /// Elements; `size_bytes()` is the payload's size.
    std::size_t size() const noexcept { return values().size(); }
    std::size_t size_bytes() const noexcept { return size() * sizeof(T); }
    bool empty() const noexcept { return size() == 0; }

private:
    span<T> values_;
};

LAVA_HPP_END

#endif
