/// @file
/// @brief One allocation, alone or shared with other processes.
#ifndef LAVA_BUFFER_HPP
#define LAVA_BUFFER_HPP

#include "context.hpp"
#include "elements.hpp"
#include "error.hpp"
#include "handle.hpp"
#include "kinds.hpp"
#include "location.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <unistd.h>

LAVA_HPP_BEGIN

/// What a buffer is to be; zero and false are the defaults.
struct buffer_options {
    /// Bytes; at least 1.
    std::uint64_t size = 0;
    lava::memory memory = lava::memory::automatic;
    /// What to try if that cannot be had.
    fallbacks fallback {};
    /// Alignment of the first byte: a power of two, at most 2 MiB.
    std::uint64_t alignment = 0;
    /// No fallback: the memory asked for, or `status::requirement`.
    bool require = false;
    /// Other processes can import it, and channels can send it without copying.
    bool shareable = false;
    /// Importers may write too. Such a buffer cannot be sent through a channel.
    bool writable_by_importers = false;
    /// Commit all pages now, so that a machine without memory fails here and not later by SIGBUS.
    bool commit = false;
    /// Device memory that the CPU can reach too.
    bool host_visible = false;
    /// Device memory is not zeroed first.
    bool uninitialized = false;
    /// NUMA node of the pages.
    std::optional<std::uint32_t> numa_node {};
    /// Whom it is for, a hint for `automatic`. Borrowed for the call.
    const location *peer = nullptr;
    /// The GPU whose memory it is to be; zeros: the best.
    uuid device {};

    lava_buffer_options native() const noexcept {
        lava_buffer_options raw = LAVA_BUFFER_OPTIONS_INIT;
        raw.size = size;
        raw.memory = static_cast<std::uint32_t>(memory);
        raw.alignment = alignment;
        raw.flags = (require ? LAVA_BUFFER_REQUIRE : 0u) | (shareable ? LAVA_BUFFER_SHAREABLE : 0u)
            | (writable_by_importers ? LAVA_BUFFER_WRITABLE_BY_IMPORTERS : 0u) | (commit ? LAVA_BUFFER_COMMIT : 0u)
            | (host_visible ? LAVA_BUFFER_HOST_VISIBLE : 0u) | (uninitialized ? LAVA_BUFFER_UNINITIALIZED : 0u)
            | (numa_node ? LAVA_BUFFER_ON_NODE : 0u);
        raw.numa_node = numa_node.value_or(0);
        raw.peer = peer != nullptr ? &peer->native() : nullptr;
        fallback.put(raw);
        std::copy(device.begin(), device.end(), std::begin(raw.device_uuid));
        return raw;
    }
};

/// What a buffer is, and why.
class buffer_info {
public:
    explicit buffer_info(const lava_buffer_info &raw) noexcept : raw_(raw) {}

    std::uint64_t size() const noexcept { return raw_.size; }
    /// Never `automatic`.
    lava::memory memory() const noexcept { return static_cast<lava::memory>(raw_.memory); }
    /// Why it is what it is, and what was tried before.
    std::string_view reason() const noexcept { return raw_.reason; }
    bool imported() const noexcept { return (raw_.flags & LAVA_BUFFER_IMPORTED) != 0; }
    bool read_only() const noexcept { return (raw_.flags & LAVA_BUFFER_READ_ONLY) != 0; }
    bool shareable() const noexcept { return (raw_.flags & LAVA_BUFFER_SHAREABLE) != 0; }
    uuid device() const noexcept { return detail::uuid_of(raw_.device_uuid); }
    uuid driver() const noexcept { return detail::uuid_of(raw_.driver_uuid); }
    const lava_buffer_info &native() const noexcept { return raw_; }

private:
    lava_buffer_info raw_;
};

/// An exported buffer: a descriptor, which this owns and closes, and the recipe that an importer needs. Send the descriptor
/// over a Unix socket (`SCM_RIGHTS`) and the bytes of `native()` with it; the importer puts its descriptor into them.
class buffer_handle {
public:
    /// Takes over the descriptor of `raw`.
    explicit buffer_handle(const lava_buffer_handle &raw) noexcept : raw_(raw) {}
    buffer_handle(buffer_handle &&other) noexcept : raw_(other.raw_) { other.raw_.fd = -1; }
    buffer_handle &operator=(buffer_handle &&other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    buffer_handle(const buffer_handle &) = delete;
    buffer_handle &operator=(const buffer_handle &) = delete;
    ~buffer_handle() {
        if (raw_.fd >= 0) ::close(raw_.fd);
    }

    /// The descriptor, still owned by this.
    int fd() const noexcept { return raw_.fd; }
    /// Gives the descriptor away.
    [[nodiscard]] int release_fd() noexcept { return std::exchange(raw_.fd, -1); }
    const lava_buffer_handle &native() const noexcept { return raw_; }

private:
    lava_buffer_handle raw_;
};

/// One allocation. It is freed when this and every frame that lies in it have gone.
class buffer : public detail::handle<buffer, lava_buffer, lava_buffer_destroy> {
public:
    /// Its bytes are zero, unless they are device memory and `uninitialized` was asked for.
    [[nodiscard]] static result<buffer> try_allocate(const context &context, const buffer_options &options) noexcept {
        const lava_buffer_options raw = options.native();
        return detail::make<buffer, lava_buffer>([&](lava_buffer **made, lava_error *error) {
            return lava_buffer_allocate(context.native_handle(), &raw, made, error);
        });
    }

    /// What another process exported, checked against the descriptor itself. The bytes are shared.
    [[nodiscard]] static result<buffer> try_import(const context &context, const buffer_handle &handle) noexcept {
        return detail::make<buffer, lava_buffer>([&](lava_buffer **made, lava_error *error) {
            return lava_buffer_import(context.native_handle(), &handle.native(), made, error);
        });
    }

    /// A handle with which another process can import it; any number of times.
    [[nodiscard]] result<buffer_handle> try_export() const noexcept {
        return detail::read<buffer_handle>(lava_buffer_handle(LAVA_BUFFER_HANDLE_INIT),
            [&](lava_buffer_handle *raw, lava_error *error) { return lava_buffer_export(native_handle(), raw, error); });
    }

    [[nodiscard]] result<buffer_info> try_info() const noexcept {
        return detail::read<buffer_info>(lava_buffer_info(LAVA_BUFFER_INFO_INIT),
            [&](lava_buffer_info *raw, lava_error *error) { return lava_buffer_get_info(native_handle(), raw, error); });
    }

    /// The first byte; null if the CPU cannot reach it. Writing to a buffer that is `read_only` raises SIGSEGV.
    void *data() const noexcept { return lava_buffer_data(native_handle()); }

    /// All of it as elements, to be read or, unless it is `read_only`, written.
    template <class T>
    [[nodiscard]] result<span<T>> try_as() const noexcept {
        auto found = try_info();
        if (!found) return unexpected<failure>(found.error());
        const auto size = static_cast<std::size_t>(found->size());
        return detail::elements<T>(data(), size);
    }

    [[nodiscard]] result<void> try_read(std::uint64_t offset, void *to, std::size_t size) const noexcept {
        return detail::check(
            [&](lava_error *error) { return lava_buffer_read(native_handle(), offset, to, size, error); });
    }
    [[nodiscard]] result<void> try_write(std::uint64_t offset, const void *from, std::size_t size) noexcept {
        return detail::check(
            [&](lava_error *error) { return lava_buffer_write(native_handle(), offset, from, size, error); });
    }
    /// From another buffer or from itself, also where the ranges overlap.
    [[nodiscard]] result<void> try_copy(std::uint64_t to, const buffer &from, std::uint64_t offset, std::uint64_t size) noexcept {
        return detail::check([&](lava_error *error) {
            return lava_buffer_copy(native_handle(), to, from.native_handle(), offset, size, error);
        });
    }
    [[nodiscard]] result<void> try_fill(std::uint64_t offset, std::uint64_t size, std::uint8_t value) noexcept {
        return detail::check(
            [&](lava_error *error) { return lava_buffer_fill(native_handle(), offset, size, value, error); });
    }

#if LAVA_HPP_EXCEPTIONS
    [[nodiscard]] static buffer allocate(const context &context, const buffer_options &options) {
        return detail::unwrap(try_allocate(context, options));
    }
    [[nodiscard]] static buffer import_from(const context &context, const buffer_handle &handle) {
        return detail::unwrap(try_import(context, handle));
    }
    buffer_handle export_handle() const { return detail::unwrap(try_export()); }
    buffer_info info() const { return detail::unwrap(try_info()); }
    template <class T>
    span<T> as() const {
        return detail::unwrap(try_as<T>());
    }
    void read(std::uint64_t offset, void *to, std::size_t size) const { detail::unwrap(try_read(offset, to, size)); }
    void write(std::uint64_t offset, const void *from, std::size_t size) {
        detail::unwrap(try_write(offset, from, size));
    }
    void copy(std::uint64_t to, const buffer &from, std::uint64_t offset, std::uint64_t size) {
        detail::unwrap(try_copy(to, from, offset, size));
    }
    void fill(std::uint64_t offset, std::uint64_t size, std::uint8_t value) {
        detail::unwrap(try_fill(offset, size, value));
    }
#endif
};

/// Where a payload lies: the buffer, and the payload's first byte in it.
struct buffer_range {
    lava::buffer buffer {};
    std::uint64_t offset = 0;
};

LAVA_HPP_END

#endif
