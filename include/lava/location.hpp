/// @file
/// @brief Who and where a process is, and whether two of them can share memory.
#ifndef LAVA_LOCATION_HPP
#define LAVA_LOCATION_HPP

#include "context.hpp"
#include "error.hpp"
#include "handle.hpp"
#include "kinds.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

LAVA_HPP_BEGIN

/// Who and where a process is. Plain data: send it to other processes as `text()`.
class location {
public:
    /// Nowhere: to be written to by a call of C.
    location() noexcept : raw_(LAVA_LOCATION_INIT) {}
    explicit location(const lava_location &raw) noexcept : raw_(raw) {}

    /// Where this process is.
    [[nodiscard]] static result<location> try_current(const context &context) noexcept {
        return detail::read<location>(lava_location(LAVA_LOCATION_INIT), [&](lava_location *raw, lava_error *error) {
            return lava_location_current(context.native_handle(), raw, error);
        });
    }

    /// Where a rank of the MPI job is.
    [[nodiscard]] static result<location> try_of_rank(const context &context, std::uint32_t rank) noexcept {
        return detail::read<location>(lava_location(LAVA_LOCATION_INIT), [&](lava_location *raw, lava_error *error) {
            return lava_context_get_peer_location(context.native_handle(), rank, raw, error);
        });
    }

    /// From another's `text()`.
    [[nodiscard]] static result<location> try_parse(detail::c_string text) noexcept {
        return detail::read<location>(lava_location(LAVA_LOCATION_INIT),
            [&](lava_location *raw, lava_error *error) { return lava_location_parse(text.get(), raw, error); });
    }

    /// One line of ASCII without spaces.
    [[nodiscard]] result<std::string> try_text() const noexcept {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed, lava_error *error) {
            return lava_location_format(&raw_, buffer, capacity, needed, error);
        });
    }

#if LAVA_HPP_EXCEPTIONS
    static location current(const context &context) { return detail::unwrap(try_current(context)); }
    static location of_rank(const context &context, std::uint32_t rank) {
        return detail::unwrap(try_of_rank(context, rank));
    }
    static location parse(detail::c_string text) { return detail::unwrap(try_parse(text)); }
    std::string text() const { return detail::unwrap(try_text()); }
#endif

    /// Process id in its own PID namespace.
    std::uint32_t process() const noexcept { return raw_.process; }
    std::uint32_t user() const noexcept { return raw_.user; }
    /// Rank in the MPI job, if it is in one.
    std::optional<std::uint32_t> rank() const noexcept {
        if (raw_.rank < 0) return std::nullopt;
        return static_cast<std::uint32_t>(raw_.rank);
    }
    std::string_view host() const noexcept { return raw_.host; }
    const lava_location &native() const noexcept { return raw_; }
    lava_location &native() noexcept { return raw_; }

private:
    lava_location raw_;
};

/// The answer of `detect_scope`, with what it rests on.
class scope_report {
public:
    explicit scope_report(const lava_scope_report &raw) noexcept : raw_(raw) {}

    lava::scope scope() const noexcept { return static_cast<lava::scope>(raw_.scope); }
    evidence decided_by() const noexcept { return static_cast<evidence>(raw_.decided_by); }
    /// Whether this piece of evidence speaks for one host.
    bool agrees(evidence piece) const noexcept { return (raw_.agrees & static_cast<std::uint32_t>(piece)) != 0; }
    /// Whether it speaks against it. What does neither is unknown.
    bool differs(evidence piece) const noexcept { return (raw_.differs & static_cast<std::uint32_t>(piece)) != 0; }
    /// In words, one piece a line.
    std::string_view text() const noexcept { return raw_.text; }

private:
    lava_scope_report raw_;
};

/// Decides from evidence whether two processes can share memory. Waits up to 100 ms for the peer's answer.
[[nodiscard]] inline result<scope_report> try_detect_scope(const context &context, const location &a, const location &b) noexcept {
    return detail::read<scope_report>(
        lava_scope_report(LAVA_SCOPE_REPORT_INIT), [&](lava_scope_report *raw, lava_error *error) {
            return lava_scope_detect(context.native_handle(), &a.native(), &b.native(), raw, error);
        });
}

#if LAVA_HPP_EXCEPTIONS
inline scope_report detect_scope(const context &context, const location &a, const location &b) {
    return detail::unwrap(try_detect_scope(context, a, b));
}
#endif

LAVA_HPP_END

#endif
