/// @file
/// @brief Kinds of memory, policies, transports: the constants of `lava.h` with types.
#ifndef LAVA_KINDS_HPP
#define LAVA_KINDS_HPP

#include "config.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

LAVA_HPP_BEGIN

/// Where bytes lie: `LAVA_MEMORY_*`.
enum class memory : std::uint32_t {
    automatic = LAVA_MEMORY_AUTO,
    standard = LAVA_MEMORY_STANDARD,
    numa = LAVA_MEMORY_NUMA,
    huge = LAVA_MEMORY_HUGE,
    pinned = LAVA_MEMORY_PINNED,
    device = LAVA_MEMORY_DEVICE,
};

/// What a full channel does: `LAVA_POLICY_*`.
enum class policy : std::uint32_t {
    block = LAVA_POLICY_BLOCK,
    drop_newest = LAVA_POLICY_DROP_NEWEST,
    drop_oldest = LAVA_POLICY_DROP_OLDEST,
};

/// How frames travel: `LAVA_TRANSPORT_*`; a set where several may do.
enum class transport : std::uint32_t {
    any = 0,
    shm = LAVA_TRANSPORT_SHM,
    vulkan = LAVA_TRANSPORT_VULKAN,
    staged = LAVA_TRANSPORT_STAGED,
    peer = LAVA_TRANSPORT_PEER,
    mpi = LAVA_TRANSPORT_MPI,
};

/// Either of two.
constexpr transport operator|(transport a, transport b) noexcept {
    return static_cast<transport>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}

/// `LAVA_CONNECTION_*`.
enum class connection_state : std::uint32_t {
    open = LAVA_CONNECTION_OPEN,
    closed = LAVA_CONNECTION_CLOSED,
    lost = LAVA_CONNECTION_LOST,
};

/// Whether two processes can share memory: `LAVA_SCOPE_*`.
enum class scope : std::uint32_t {
    automatic = LAVA_SCOPE_AUTO,
    local = LAVA_SCOPE_LOCAL,
    remote = LAVA_SCOPE_REMOTE,
};

/// What a scope was decided by: `LAVA_EVIDENCE_*`.
enum class evidence : std::uint32_t {
    none = 0,
    forced = LAVA_EVIDENCE_FORCED,
    process = LAVA_EVIDENCE_PROCESS,
    rendezvous = LAVA_EVIDENCE_RENDEZVOUS,
    boot_id = LAVA_EVIDENCE_BOOT_ID,
    runtime_directory = LAVA_EVIDENCE_RUNTIME_DIRECTORY,
    mount_namespace = LAVA_EVIDENCE_MOUNT_NAMESPACE,
    ipc_namespace = LAVA_EVIDENCE_IPC_NAMESPACE,
    pid_namespace = LAVA_EVIDENCE_PID_NAMESPACE,
    user = LAVA_EVIDENCE_USER,
    host = LAVA_EVIDENCE_HOST,
};

/// `LAVA_LOG_*`.
enum class log_level : std::uint32_t {
    error = LAVA_LOG_ERROR,
    warn = LAVA_LOG_WARN,
    info = LAVA_LOG_INFO,
    debug = LAVA_LOG_DEBUG,
};

/// Which GPUs a context uses: `LAVA_VULKAN_*`.
enum class gpus : std::uint32_t {
    automatic = LAVA_VULKAN_AUTO,
    off = LAVA_VULKAN_OFF,
    all = LAVA_VULKAN_ALL,
};

/// Which MPI reaches other hosts: `LAVA_MPI_*`.
enum class mpi : std::uint32_t {
    automatic = LAVA_MPI_AUTO,
    off = LAVA_MPI_OFF,
    openmpi = LAVA_MPI_OPENMPI,
    mpich = LAVA_MPI_MPICH,
};

/// UUID of a GPU or of its driver; zeros stand for none.
using uuid = std::array<std::uint8_t, 16>;

/// As `lava info` writes it: 8-4-4-4-12 hexadecimal digits.
inline std::string to_string(const uuid &value) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (std::size_t at = 0; at < value.size(); at++) {
        if (at == 4 || at == 6 || at == 8 || at == 10) text += '-';
        text += digits[value[at] >> 4];
        text += digits[value[at] & 15];
    }
    return text;
}

/// What to try in this order if the memory asked for cannot be had; more than `LAVA_FALLBACK_MAX` are refused.
class fallbacks {
public:
    constexpr fallbacks() noexcept = default;
    constexpr fallbacks(std::initializer_list<memory> kinds) noexcept
        : count_(static_cast<std::uint32_t>(kinds.size())) {
        std::size_t at = 0;
        for (const memory kind : kinds)
            if (at < LAVA_FALLBACK_MAX) kinds_[at++] = static_cast<std::uint32_t>(kind);
    }

    /// Writes itself into an options struct of C.
    template <class Options>
    void put(Options &options) const noexcept {
        options.fallback_count = count_;
        std::copy(std::begin(kinds_), std::end(kinds_), std::begin(options.fallback));
    }

private:
    std::uint32_t kinds_[LAVA_FALLBACK_MAX] = {};
    std::uint32_t count_ = 0;
};

LAVA_HPP_END

#endif
