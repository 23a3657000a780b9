/// @file
/// @brief All state of one user of the library.
#ifndef LAVA_CONTEXT_HPP
#define LAVA_CONTEXT_HPP

#include "device.hpp"
#include "error.hpp"
#include "handle.hpp"
#include "kinds.hpp"
#include "timeout.hpp"

#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

LAVA_HPP_BEGIN

/// How a context is made. What is set here wins over the environment variable of the same meaning.
struct context_options {
    /// Directory of the rendezvous sockets; empty: as the environment says.
    std::string runtime_directory {};
    /// Called with each log line, from any thread, also from several at once. It must neither throw nor call lava.
    std::function<void(log_level, std::string_view)> log {};
    /// The most talkative level that `log` wants.
    lava::log_level log_level = lava::log_level::warn;
    /// How long a waiting call spins before it sleeps.
    std::optional<timeout> spin {};
    lava::gpus gpus = lava::gpus::automatic;
    /// Forced scope of every peer, for tests.
    lava::scope scope = lava::scope::automatic;
    lava::mpi mpi = lava::mpi::automatic;
    /// `MPI_Comm_c2f` of a communicator of the application, which has initialised MPI: its ranks find each other, instead
    /// of all ranks of the job.
    std::optional<std::int64_t> mpi_communicator {};
    /// A Vulkan device of the application to work on; see `lava::vulkan::device` in `lava_vulkan.hpp`. The struct is
    /// borrowed for the call, its handles until the context and all that is made of it are gone.
    const lava_vulkan_device *vulkan = nullptr;
};

namespace detail {

using log_function = std::function<void(log_level, std::string_view)>;

inline lava_log_sink sink_of(const context_options &options) {
    lava_log_sink sink = LAVA_LOG_SINK_INIT;
    sink.level = static_cast<std::uint32_t>(options.log_level);
    sink.user = std::make_unique<log_function>(options.log).release();
    sink.write = [](void *user, std::uint32_t level, const char *message) noexcept {
        (*static_cast<log_function *>(user))(static_cast<log_level>(level), message);
    };
    sink.drop = [](void *user) noexcept { delete static_cast<log_function *>(user); };
    return sink;
}

}

/// All state of one user of the library: settings, log, service thread. There is no global state. What is made of a
/// context stays valid when the context goes.
class context : public detail::handle<context, lava_context, lava_context_destroy> {
public:
    [[nodiscard]] static result<context> try_create(const context_options &options = {}) noexcept {
        lava_context_options raw = LAVA_CONTEXT_OPTIONS_INIT;
        raw.scope = static_cast<std::uint32_t>(options.scope);
        if (!options.runtime_directory.empty()) raw.runtime_directory = options.runtime_directory.c_str();
        if (options.spin) raw.spin_ns = options.spin->nanoseconds();
        // 0 means the default there: the shortest spin stands for none.
        if (options.spin && raw.spin_ns == 0) raw.spin_ns = 1;
        raw.vulkan_devices = static_cast<std::uint32_t>(options.gpus);
        raw.vulkan = options.vulkan;
        raw.mpi = static_cast<std::uint32_t>(options.mpi);
        raw.has_mpi_communicator = options.mpi_communicator ? 1 : 0;
        raw.mpi_communicator = options.mpi_communicator.value_or(0);
        lava_log_sink sink;
        if (options.log) {
            // The library drops it, also when the creation fails.
            sink = detail::sink_of(options);
            raw.log = &sink;
        }
        return detail::make<context, lava_context>(
            [&](lava_context **made, lava_error *error) { return lava_context_create(&raw, made, error); });
    }

    /// The GPUs of this machine, best first, those that this context cannot use included.
    [[nodiscard]] result<std::vector<device>> try_devices() const noexcept {
        std::uint32_t count = 0;
        failure why;
        lava_status status = lava_context_get_device_count(native_handle(), &count, why.out());
        std::vector<device> devices;
        for (std::uint32_t at = 0; status == LAVA_OK && at < count; at++) {
            lava_device_info info = LAVA_DEVICE_INFO_INIT;
            status = lava_context_get_device(native_handle(), at, &info, why.out());
            if (status == LAVA_OK) devices.emplace_back(info);
        }
        if (status != LAVA_OK) return detail::fail(why, status);
        return devices;
    }

    /// Settings with their origin, location, channels, as JSON.
    [[nodiscard]] result<std::string> try_describe() const noexcept {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed, lava_error *error) {
            return lava_context_describe(native_handle(), buffer, capacity, needed, error);
        });
    }

    /// The live channels of the runtime directory, as JSON. A producer that does not answer in time is listed with that.
    [[nodiscard]] result<std::string> try_list_channels(timeout wait) const noexcept {
        return detail::text([this, wait](char *buffer, std::size_t capacity, std::size_t *needed, lava_error *error) {
            return lava_context_list_channels(native_handle(), wait.nanoseconds(), buffer, capacity, needed, error);
        });
    }

    /// The ranks of the MPI job, which is joined by this if it has not been; 0 outside of a job. See `lava.h` for when all
    /// ranks must do so.
    [[nodiscard]] result<std::uint32_t> try_peer_count(timeout wait) const noexcept {
        return detail::read<std::uint32_t>(std::uint32_t { 0 }, [&](std::uint32_t *count, lava_error *error) {
            return lava_context_get_peer_count(native_handle(), wait.nanoseconds(), count, error);
        });
    }

    /// Moves remote frames on, where MPI allows no thread of lava's.
    [[nodiscard]] result<void> try_progress(timeout wait) const noexcept {
        return detail::check(
            [&](lava_error *error) { return lava_context_progress(native_handle(), wait.nanoseconds(), error); });
    }

    /// MPI, its plug-in, and the job, as JSON.
    [[nodiscard]] result<std::string> try_describe_mpi() const noexcept {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed, lava_error *error) {
            return lava_context_describe_mpi(native_handle(), buffer, capacity, needed, error);
        });
    }

#if LAVA_HPP_EXCEPTIONS
    std::uint32_t peer_count(timeout wait = forever) const { return detail::unwrap(try_peer_count(wait)); }
    /// Whether something moved in time.
    bool progress(timeout wait) const { return detail::in_time(try_progress(wait)); }
    std::string describe_mpi() const { return detail::unwrap(try_describe_mpi()); }
    [[nodiscard]] static context create(const context_options &options = {}) { return detail::unwrap(try_create(options)); }
    std::vector<device> devices() const { return detail::unwrap(try_devices()); }
    std::string describe() const { return detail::unwrap(try_describe()); }
    std::string list_channels(timeout wait) const { return detail::unwrap(try_list_channels(wait)); }
#endif
};

/// The version of the library that the program runs with: major, minor, patch.
inline std::array<unsigned, 3> version() noexcept {
    const std::uint32_t packed = lava_version();
    return { packed >> 16, packed >> 8 & 255, packed & 255 };
}

/// Whether the library that the program runs with is of the ABI that it was compiled for.
inline bool abi_matches() noexcept { return lava_abi_version() == LAVA_ABI_VERSION; }

LAVA_HPP_END

#endif
