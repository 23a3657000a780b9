// Memory of a GPU: buffers, alone and shared with another process.
#include "devices.hpp"

#include <lava_vulkan.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static constexpr std::size_t BUFFER_SIZE = 1000003;

void skip(const char *why) {
    std::fprintf(stderr, "skipped: %s\n", why);
    std::exit(77);
}

lava::context new_device_context() {
    lava::context_options options;
    options.gpus = lava::gpus::all;
    auto context = lava::context::create(options);
    const auto devices = context.try_devices();
    if (!devices && devices.error().status() == lava::status::device) skip("no Vulkan device");
    EXPECT(devices, ok);
    CHECK(!devices->empty());
    for (const lava::device &device : *devices) {
        CHECK(!device.name().empty() && !device.heaps().empty() && device.max_allocation() > 0);
        if (device.usable() && device.exportable()) return context;
        CHECK(device.usable() || !device.reason().empty());
    }
    skip("no Vulkan device whose memory can be shared");
}

static lava::buffer_options required(lava::memory memory) {
    lava::buffer_options options;
    options.size = BUFFER_SIZE;
    options.memory = memory;
    options.require = true;
    return options;
}

// Whether the buffer's bytes from `offset` are the first `size` of a pattern.
static bool has(const lava::buffer &buffer, std::uint64_t offset, std::uint64_t number, std::size_t size) {
    std::vector<unsigned char> data(size);
    buffer.read(offset, data.data(), size);
    return is_filled(data.data(), number, size);
}

static void put(lava::buffer &buffer, std::uint64_t offset, std::uint64_t number, std::size_t size) {
    std::vector<unsigned char> data(size);
    fill(data.data(), number, size);
    buffer.write(offset, data.data(), size);
}

static bool is_all(const lava::buffer &buffer, std::uint64_t offset, std::size_t size, unsigned char value) {
    std::vector<unsigned char> data(size);
    buffer.read(offset, data.data(), size);
    return std::all_of(data.begin(), data.end(), [value](unsigned char byte) { return byte == value; });
}

static void use_host_buffers(const lava::context &context, lava::buffer &device) {
    auto host = lava::buffer::allocate(context, required(lava::memory::standard));
    EXPECT(lava::vulkan::try_view(host), unsupported);
    host.copy(9, device, 500001, 50000);
    CHECK(is_filled(host.as<char>().subspan(9).data(), 6, 50000));
    fill(host.data(), 7, 1000);
    device.copy(BUFFER_SIZE - 1000, host, 0, 1000);
    CHECK(has(device, BUFFER_SIZE - 1000, 7, 1000));
    auto uninitialized = required(lava::memory::device);
    uninitialized.uninitialized = true;
    auto second = lava::buffer::allocate(context, uninitialized);
    second.copy(0, device, 0, BUFFER_SIZE);
    CHECK(has(second, BUFFER_SIZE - 1000, 7, 1000) && has(second, 500001, 6, 50000));
    EXPECT(device.try_copy(0, host, 1, BUFFER_SIZE), too_large);
    auto visible = required(lava::memory::device);
    visible.host_visible = true;
    auto mapped = lava::buffer::allocate(context, visible);
    CHECK(mapped.data() != nullptr);
    fill(mapped.data(), 8, 5000);
    CHECK(has(mapped, 0, 8, 5000));
    second.copy(0, mapped, 0, 5000);
    CHECK(has(second, 0, 8, 5000));
}

static void use_device_buffer() {
    auto context = new_device_context();
    auto device = lava::buffer::allocate(context, required(lava::memory::device));
    const lava::buffer_info info = device.info();
    CHECK(info.memory() == lava::memory::device && info.size() == BUFFER_SIZE);
    CHECK(info.device() != lava::uuid() && info.driver() != lava::uuid());
    CHECK(device.data() == nullptr);
    const auto view = lava::vulkan::view_of(device);
    CHECK(view.device != VK_NULL_HANDLE && view.buffer != VK_NULL_HANDLE && view.memory != VK_NULL_HANDLE);
    CHECK(view.size == BUFFER_SIZE);
    CHECK(is_all(device, 0, BUFFER_SIZE, 0));

    put(device, 1, 5, 70001);
    CHECK(has(device, 1, 5, 70001));
    device.fill(3, 10, 0xa5);
    CHECK(is_all(device, 3, 10, 0xa5) && is_all(device, 70002, 100, 0));
    put(device, 100000, 6, 50000);
    device.copy(500001, device, 100000, 50000);
    CHECK(has(device, 500001, 6, 50000));
    // As if through a third place.
    device.copy(100007, device, 100000, 50000);
    CHECK(has(device, 100007, 6, 50000));
    use_host_buffers(context, device);
    EXPECT(device.try_fill(1, BUFFER_SIZE, 0), too_large);
    EXPECT(device.try_export(), unsupported);
    context.reset();
    CHECK(has(device, 500001, 6, 50000));
}

void device_buffer_producer(const std::string &) { use_device_buffer(); }
void device_buffer_consumer(const std::string &) { use_device_buffer(); }

// A Unix socket beside the runtime directory.
static sockaddr_un meeting_place() {
    sockaddr_un address {};
    address.sun_family = AF_UNIX;
    const char *directory = std::getenv("LAVA_RUNTIME_DIR");
    CHECK(directory != nullptr);
    const int size = std::snprintf(address.sun_path, sizeof address.sun_path, "%s.fd", directory);
    CHECK(size < static_cast<int>(sizeof address.sun_path));
    return address;
}

// A message of a handle and its descriptor, to be sent or to receive into.
struct packet {
    explicit packet(lava_buffer_handle &handle) {
        bytes.iov_base = &handle;
        bytes.iov_len = sizeof handle;
        header.msg_iov = &bytes;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
    }
    packet(const packet &) = delete;
    packet &operator=(const packet &) = delete;

    msghdr header {};
    iovec bytes {};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] {};
};

static void send_handle(int to, const lava::buffer_handle &handle) {
    lava_buffer_handle raw = handle.native();
    packet packet(raw);
    cmsghdr *const control = CMSG_FIRSTHDR(&packet.header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(control), &raw.fd, sizeof(int));
    CHECK(sendmsg(to, &packet.header, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof raw));
}

static lava::buffer_handle receive_handle(int from) {
    lava_buffer_handle raw {};
    packet packet(raw);
    CHECK(recvmsg(from, &packet.header, MSG_CMSG_CLOEXEC) == static_cast<ssize_t>(sizeof raw));
    cmsghdr *const control = CMSG_FIRSTHDR(&packet.header);
    CHECK(control != nullptr && control->cmsg_type == SCM_RIGHTS);
    std::memcpy(&raw.fd, CMSG_DATA(control), sizeof(int));
    return lava::buffer_handle(raw);
}

void device_import_producer(const std::string &) {
    auto context = new_device_context();
    auto options = required(lava::memory::device);
    options.shareable = true;
    auto own = lava::buffer::allocate(context, options);
    options.writable_by_importers = true;
    auto buffer = lava::buffer::allocate(context, options);
    put(buffer, 0, 1, BUFFER_SIZE);
    put(own, 0, 4, 5000);
    const sockaddr_un place = meeting_place();
    const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, reinterpret_cast<const sockaddr *>(&place), sizeof place) == 0 && listen(listener, 1) == 0);
    meet("listening");
    const int peer = accept(listener, nullptr, nullptr);
    CHECK(peer >= 0);
    // One of them twice: each export has a descriptor of its own.
    for (const lava::buffer *exported : { &buffer, &own, &own }) {
        const auto handle = exported->export_handle();
        CHECK(handle.native().kind == LAVA_HANDLE_VULKAN_OPAQUE_FD && handle.native().allocation_size >= BUFFER_SIZE);
        send_handle(peer, handle);
    }
    meet("written");
    CHECK(has(buffer, 0, 2, 5000) && is_all(buffer, BUFFER_SIZE - 5000, 5000, 0x5a));
    CHECK(buffer.data() == nullptr);
    put(buffer, 1001, 3, 5000);
    own.reset();
    buffer.reset();
    context.reset();
    close(peer);
    close(listener);
    meet("gone");
}

static void import_read_only(const lava::context &context, const lava::buffer_handle &theirs, const lava::buffer &other) {
    auto closed = lava::buffer::import_from(context, theirs);
    const lava::buffer_info info = closed.info();
    CHECK(info.imported() && info.read_only());
    CHECK(has(closed, 0, 4, 5000));
    EXPECT(closed.try_fill(0, 1, 0), permission);
    EXPECT(closed.try_copy(0, other, 0, 1), permission);
}

static void import_wrongly(const lava::context &context, lava::buffer_handle again, int socket) {
    lava_buffer_handle raw = again.native();
    (void)again.release_fd();
    raw.driver_uuid[3] ^= 1;
    const lava::buffer_handle foreign(raw);
    EXPECT(lava::buffer::try_import(context, foreign), device);
    raw.driver_uuid[3] ^= 1;
    raw.fd = dup(socket);
    const lava::buffer_handle no_memory(raw);
    const auto found = lava::buffer::try_import(context, no_memory);
    CHECK(!found && is_error(found.error().status()));
}

void device_import_consumer(const std::string &) {
    const auto context = new_device_context();
    meet("listening");
    const sockaddr_un place = meeting_place();
    const int peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(connect(peer, reinterpret_cast<const sockaddr *>(&place), sizeof place) == 0);
    lava::buffer buffer;
    {
        const auto handle = receive_handle(peer), theirs = receive_handle(peer);
        buffer = lava::buffer::import_from(context, handle);
        import_read_only(context, theirs, buffer);
        import_wrongly(context, receive_handle(peer), peer);
        const auto uuid = buffer.info().device();
        CHECK(std::equal(uuid.begin(), uuid.end(), std::begin(handle.native().device_uuid)));
    }
    const lava::buffer_info info = buffer.info();
    CHECK(info.memory() == lava::memory::device && info.size() == BUFFER_SIZE);
    CHECK(info.imported() && !info.read_only());
    CHECK(has(buffer, 0, 1, BUFFER_SIZE));
    put(buffer, 0, 2, 5000);
    buffer.fill(BUFFER_SIZE - 5000, 5000, 0x5a);
    meet("written");
    meet("gone");
    CHECK(has(buffer, 1001, 3, 5000) && has(buffer, 0, 2, 1001));
    close(peer);
}
