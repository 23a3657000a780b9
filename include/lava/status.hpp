/// @file
/// @brief What a function of lava answers, as a `std::error_code`.
#ifndef LAVA_STATUS_HPP
#define LAVA_STATUS_HPP

#include "config.hpp"

#include <cstdint>
#include <string>
#include <system_error>

LAVA_HPP_BEGIN

/// `lava_status`. Above 0: nothing was done, and nothing is wrong. Below 0: an error. A newer library may give numbers that
/// are not named here.
enum class status : std::int32_t {
    ok = LAVA_OK,
    would_block = LAVA_WOULD_BLOCK,
    timed_out = LAVA_TIMED_OUT,
    closed = LAVA_CLOSED,
    invalid_argument = LAVA_ERROR_INVALID_ARGUMENT,
    invalid_pointer = LAVA_ERROR_INVALID_POINTER,
    invalid_handle = LAVA_ERROR_INVALID_HANDLE,
    unsupported = LAVA_ERROR_UNSUPPORTED,
    not_found = LAVA_ERROR_NOT_FOUND,
    already_exists = LAVA_ERROR_ALREADY_EXISTS,
    permission = LAVA_ERROR_PERMISSION,
    limit = LAVA_ERROR_LIMIT,
    out_of_memory = LAVA_ERROR_OUT_OF_MEMORY,
    os = LAVA_ERROR_OS,
    buffer_too_small = LAVA_ERROR_BUFFER_TOO_SMALL,
    too_large = LAVA_ERROR_TOO_LARGE,
    requirement = LAVA_ERROR_REQUIREMENT,
    frame_state = LAVA_ERROR_FRAME_STATE,
    peer_lost = LAVA_ERROR_PEER_LOST,
    protocol = LAVA_ERROR_PROTOCOL,
    refused = LAVA_ERROR_REFUSED,
    unreachable = LAVA_ERROR_UNREACHABLE,
    device = LAVA_ERROR_DEVICE,
    internal = LAVA_ERROR_INTERNAL,
    forked = LAVA_ERROR_FORKED,
};

/// Whether it tells of an error, and not only that nothing was done.
constexpr bool is_error(status value) noexcept { return static_cast<std::int32_t>(value) < 0; }

/// The name in C, such as `"LAVA_TIMED_OUT"`. Static text.
inline const char *name_of(status value) noexcept { return lava_status_name(static_cast<lava_status>(value)); }

namespace detail {

inline const char *text_of(status value) noexcept {
    switch (value) {
    case status::ok: return "done";
    case status::would_block: return "it would have had to wait";
    case status::timed_out: return "the time to wait is over";
    case status::closed: return "the producer ended the channel, and all is received";
    case status::invalid_argument: return "an argument has a value that is not allowed";
    case status::invalid_pointer: return "empty (moved from, or made without arguments), or a pointer is null or not aligned";
    case status::invalid_handle: return "a handle is empty, destroyed or of another kind";
    case status::unsupported: return "not offered here";
    case status::not_found: return "nothing has this name or number";
    case status::already_exists: return "a live producer has this name already";
    case status::permission: return "not permitted";
    case status::limit: return "a limit of the operating system is reached";
    case status::out_of_memory: return "no memory";
    case status::os: return "a system call failed";
    case status::buffer_too_small: return "the caller's buffer is too small";
    case status::too_large: return "larger than what it must fit into";
    case status::requirement: return "what was required cannot be had here";
    case status::frame_state: return "not a loan of this producer, or its producer has ended";
    case status::peer_lost: return "the peer died or went away; all that it published is received";
    case status::protocol: return "the peer broke the protocol";
    case status::refused: return "the peer refused the connection";
    case status::unreachable: return "no transport leads to the peer";
    case status::device: return "no usable GPU, or it failed";
    case status::internal: return "a fault inside lava";
    case status::forked: return "the handle belongs to the parent of this forked process";
    }
    return name_of(value);
}

inline std::error_condition condition_of(status value, const std::error_category &category) noexcept {
    switch (value) {
    case status::would_block: return std::errc::operation_would_block;
    case status::timed_out: return std::errc::timed_out;
    case status::invalid_argument: return std::errc::invalid_argument;
    case status::invalid_pointer: return std::errc::bad_address;
    case status::unsupported: return std::errc::not_supported;
    case status::already_exists: return std::errc::file_exists;
    case status::permission: return std::errc::permission_denied;
    case status::out_of_memory: return std::errc::not_enough_memory;
    case status::refused: return std::errc::connection_refused;
    case status::unreachable: return std::errc::host_unreachable;
    default: return { static_cast<int>(value), category };
    }
}

class category final : public std::error_category {
public:
    const char *name() const noexcept override { return "lava"; }
    std::string message(int value) const override { return text_of(static_cast<status>(value)); }
    std::error_condition default_error_condition(int value) const noexcept override {
        return condition_of(static_cast<status>(value), *this);
    }
};

}

/// The category of lava's error codes. Statuses that the standard has a word for equal it: a code of `status::timed_out`
/// equals `std::errc::timed_out`.
inline const std::error_category &lava_category() noexcept {
    static const detail::category category;
    return category;
}

inline std::error_code make_error_code(status value) noexcept { return { static_cast<int>(value), lava_category() }; }

LAVA_HPP_END

template <>
struct std::is_error_code_enum<lava::status> : std::true_type {};

#endif
