/* Memory of a GPU: buffers, alone and shared with another process. */
#include "devices.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BUFFER_SIZE 1000003ull

void skip(const char *why) {
    fprintf(stderr, "skipped: %s\n", why);
    exit(77);
}

lava_context *new_device_context(void) {
    lava_context_options options = LAVA_CONTEXT_OPTIONS_INIT;
    options.vulkan_devices = LAVA_VULKAN_ALL;
    lava_context *context;
    OK(lava_context_create(&options, &context, &detail));
    uint32_t count = 0;
    lava_status status = lava_context_get_device_count(context, &count, &detail);
    if (status == LAVA_ERROR_DEVICE) skip("no Vulkan device");
    OK(status);
    CHECK(count > 0);
    for (uint32_t at = 0; at < count; at++) {
        lava_device_info info = LAVA_DEVICE_INFO_INIT;
        OK(lava_context_get_device(context, at, &info, &detail));
        CHECK(info.name[0] != 0 && info.heap_count > 0 && info.max_allocation > 0);
        uint32_t needed = LAVA_DEVICE_USABLE | LAVA_DEVICE_EXPORTABLE;
        if ((info.flags & needed) == needed) return context;
        CHECK((info.flags & LAVA_DEVICE_USABLE) != 0 || info.reason[0] != 0);
    }
    skip("no Vulkan device whose memory can be shared");
    return context;
}

static lava_buffer *allocate(const lava_context *context, uint32_t memory, uint32_t flags) {
    lava_buffer_options options = LAVA_BUFFER_OPTIONS_INIT;
    options.size = BUFFER_SIZE;
    options.memory = memory;
    options.flags = flags | LAVA_BUFFER_REQUIRE;
    lava_buffer *buffer;
    OK(lava_buffer_allocate(context, &options, &buffer, &detail));
    return buffer;
}

/* Whether the buffer's bytes from `offset` are the first `size` of a pattern. */
static bool has(const lava_buffer *buffer, uint64_t offset, uint64_t number, size_t size) {
    unsigned char *data = malloc(size);
    OK(lava_buffer_read(buffer, offset, data, size, &detail));
    bool same = is_filled(data, number, size);
    free(data);
    return same;
}

static void put(lava_buffer *buffer, uint64_t offset, uint64_t number, size_t size) {
    unsigned char *data = malloc(size);
    fill(data, number, size);
    OK(lava_buffer_write(buffer, offset, data, size, &detail));
    free(data);
}

static bool is_all(const lava_buffer *buffer, uint64_t offset, size_t size, unsigned char value) {
    unsigned char *data = malloc(size);
    bool same = true;
    OK(lava_buffer_read(buffer, offset, data, size, &detail));
    for (size_t at = 0; at < size; at++) same = same && data[at] == value;
    free(data);
    return same;
}

static void use_device_buffer(void) {
    lava_context *context = new_device_context();
    lava_buffer *device = allocate(context, LAVA_MEMORY_DEVICE, 0);
    lava_buffer_info info = LAVA_BUFFER_INFO_INIT;
    OK(lava_buffer_get_info(device, &info, &detail));
    const uint8_t nothing[16] = { 0 };
    CHECK(info.memory == LAVA_MEMORY_DEVICE && info.size == BUFFER_SIZE && info.allocated_size >= BUFFER_SIZE);
    CHECK(memcmp(info.device_uuid, nothing, 16) != 0 && memcmp(info.driver_uuid, nothing, 16) != 0);
    CHECK(lava_buffer_data(device) == NULL);
    lava_vulkan_buffer vulkan = LAVA_VULKAN_BUFFER_INIT;
    OK(lava_buffer_get_vulkan(device, &vulkan, &detail));
    CHECK(vulkan.device != NULL && vulkan.buffer != 0 && vulkan.memory != 0 && vulkan.size == BUFFER_SIZE);
    CHECK(is_all(device, 0, BUFFER_SIZE, 0));

    put(device, 1, 5, 70001);
    CHECK(has(device, 1, 5, 70001));
    OK(lava_buffer_fill(device, 3, 10, 0xa5, &detail));
    CHECK(is_all(device, 3, 10, 0xa5) && is_all(device, 70002, 100, 0));
    put(device, 100000, 6, 50000);
    OK(lava_buffer_copy(device, 500001, device, 100000, 50000, &detail));
    CHECK(has(device, 500001, 6, 50000));
    /* As if through a third place. */
    OK(lava_buffer_copy(device, 100007, device, 100000, 50000, &detail));
    CHECK(has(device, 100007, 6, 50000));

    lava_buffer *host = allocate(context, LAVA_MEMORY_STANDARD, 0);
    EXPECT(lava_buffer_get_vulkan(host, &vulkan, &detail), LAVA_ERROR_UNSUPPORTED);
    OK(lava_buffer_copy(host, 9, device, 500001, 50000, &detail));
    CHECK(is_filled((const char *)lava_buffer_data(host) + 9, 6, 50000));
    fill(lava_buffer_data(host), 7, 1000);
    OK(lava_buffer_copy(device, BUFFER_SIZE - 1000, host, 0, 1000, &detail));
    CHECK(has(device, BUFFER_SIZE - 1000, 7, 1000));
    lava_buffer *second = allocate(context, LAVA_MEMORY_DEVICE, LAVA_BUFFER_UNINITIALIZED);
    OK(lava_buffer_copy(second, 0, device, 0, BUFFER_SIZE, &detail));
    CHECK(has(second, BUFFER_SIZE - 1000, 7, 1000) && has(second, 500001, 6, 50000));

    EXPECT(lava_buffer_fill(device, 1, BUFFER_SIZE, 0, &detail), LAVA_ERROR_TOO_LARGE);
    EXPECT(lava_buffer_copy(device, 0, host, 1, BUFFER_SIZE, &detail), LAVA_ERROR_TOO_LARGE);
    EXPECT(lava_buffer_export(device, &(lava_buffer_handle)LAVA_BUFFER_HANDLE_INIT, &detail), LAVA_ERROR_UNSUPPORTED);
    lava_buffer *mapped = allocate(context, LAVA_MEMORY_DEVICE, LAVA_BUFFER_HOST_VISIBLE);
    CHECK(lava_buffer_data(mapped) != NULL);
    fill(lava_buffer_data(mapped), 8, 5000);
    CHECK(has(mapped, 0, 8, 5000));
    OK(lava_buffer_copy(second, 0, mapped, 0, 5000, &detail));
    CHECK(has(second, 0, 8, 5000));
    lava_context_destroy(context);
    lava_buffer_destroy(mapped);
    lava_buffer_destroy(second);
    lava_buffer_destroy(host);
    lava_buffer_destroy(device);
}

void device_buffer_producer(const char *channel) {
    (void)channel;
    use_device_buffer();
}

void device_buffer_consumer(const char *channel) {
    (void)channel;
    use_device_buffer();
}

/* A Unix socket beside the runtime directory. */
static struct sockaddr_un meeting_place(void) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *directory = getenv("LAVA_RUNTIME_DIR");
    CHECK(directory != NULL);
    CHECK(snprintf(address.sun_path, sizeof address.sun_path, "%s.fd", directory) < (int)sizeof address.sun_path);
    return address;
}

/* A message of a handle and its descriptor, to be sent or to receive into. */
typedef struct {
    struct msghdr header;
    struct iovec bytes;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
} message;

static void prepare(message *packet, lava_buffer_handle *handle) {
    memset(packet, 0, sizeof *packet);
    packet->bytes.iov_base = handle;
    packet->bytes.iov_len = sizeof *handle;
    packet->header.msg_iov = &packet->bytes;
    packet->header.msg_iovlen = 1;
    packet->header.msg_control = packet->control;
    packet->header.msg_controllen = sizeof packet->control;
}

static void send_handle(int to, lava_buffer_handle *handle) {
    message packet;
    prepare(&packet, handle);
    struct cmsghdr *control = CMSG_FIRSTHDR(&packet.header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(control), &handle->fd, sizeof(int));
    CHECK(sendmsg(to, &packet.header, MSG_NOSIGNAL) == (ssize_t)sizeof *handle);
}

static lava_buffer_handle receive_handle(int from) {
    lava_buffer_handle handle;
    message packet;
    prepare(&packet, &handle);
    CHECK(recvmsg(from, &packet.header, MSG_CMSG_CLOEXEC) == (ssize_t)sizeof handle);
    struct cmsghdr *control = CMSG_FIRSTHDR(&packet.header);
    CHECK(control != NULL && control->cmsg_type == SCM_RIGHTS);
    memcpy(&handle.fd, CMSG_DATA(control), sizeof(int));
    return handle;
}

void device_import_producer(const char *channel) {
    (void)channel;
    lava_context *context = new_device_context();
    const uint32_t writable = LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_WRITABLE_BY_IMPORTERS;
    lava_buffer *buffer = allocate(context, LAVA_MEMORY_DEVICE, writable);
    lava_buffer *own = allocate(context, LAVA_MEMORY_DEVICE, LAVA_BUFFER_SHAREABLE);
    put(buffer, 0, 1, BUFFER_SIZE);
    put(own, 0, 4, 5000);
    struct sockaddr_un place = meeting_place();
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&place, sizeof place) == 0 && listen(listener, 1) == 0);
    meet("listening");
    int peer = accept(listener, NULL, NULL);
    CHECK(peer >= 0);
    /* One of them twice: each export has a descriptor of its own. */
    lava_buffer *exported[] = { buffer, own, own };
    for (int at = 0; at < 3; at++) {
        lava_buffer_handle handle = LAVA_BUFFER_HANDLE_INIT;
        OK(lava_buffer_export(exported[at], &handle, &detail));
        CHECK(handle.kind == LAVA_HANDLE_VULKAN_OPAQUE_FD && handle.allocation_size >= BUFFER_SIZE);
        send_handle(peer, &handle);
        close(handle.fd);
    }
    meet("written");
    CHECK(has(buffer, 0, 2, 5000) && is_all(buffer, BUFFER_SIZE - 5000, 5000, 0x5a));
    CHECK(lava_buffer_data(buffer) == NULL);
    put(buffer, 1001, 3, 5000);
    lava_buffer_destroy(own);
    lava_buffer_destroy(buffer);
    lava_context_destroy(context);
    close(peer);
    close(listener);
    meet("gone");
}

void device_import_consumer(const char *channel) {
    (void)channel;
    lava_context *context = new_device_context();
    meet("listening");
    struct sockaddr_un place = meeting_place();
    int peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(connect(peer, (struct sockaddr *)&place, sizeof place) == 0);
    lava_buffer_handle handle = receive_handle(peer), theirs = receive_handle(peer), again = receive_handle(peer);
    lava_buffer *buffer, *closed, *wrong;
    OK(lava_buffer_import(context, &handle, &buffer, &detail));
    OK(lava_buffer_import(context, &theirs, &closed, &detail));
    close(theirs.fd);
    lava_buffer_info info = LAVA_BUFFER_INFO_INIT;
    OK(lava_buffer_get_info(closed, &info, &detail));
    CHECK((info.flags & LAVA_BUFFER_IMPORTED) != 0 && (info.flags & LAVA_BUFFER_READ_ONLY) != 0);
    CHECK(has(closed, 0, 4, 5000));
    EXPECT(lava_buffer_fill(closed, 0, 1, 0, &detail), LAVA_ERROR_PERMISSION);
    EXPECT(lava_buffer_copy(closed, 0, buffer, 0, 1, &detail), LAVA_ERROR_PERMISSION);
    lava_buffer_destroy(closed);
    lava_buffer_handle other = again;
    other.driver_uuid[3] ^= 1;
    EXPECT(lava_buffer_import(context, &other, &wrong, &detail), LAVA_ERROR_DEVICE);
    other = again;
    other.fd = peer;
    CHECK(lava_buffer_import(context, &other, &wrong, &detail) < 0);
    CHECK(wrong == NULL);
    close(again.fd);
    close(handle.fd);
    OK(lava_buffer_get_info(buffer, &info, &detail));
    CHECK(info.memory == LAVA_MEMORY_DEVICE && info.size == BUFFER_SIZE);
    CHECK((info.flags & LAVA_BUFFER_IMPORTED) != 0 && (info.flags & LAVA_BUFFER_READ_ONLY) == 0);
    CHECK(memcmp(info.device_uuid, handle.device_uuid, 16) == 0);
    CHECK(has(buffer, 0, 1, BUFFER_SIZE));
    put(buffer, 0, 2, 5000);
    OK(lava_buffer_fill(buffer, BUFFER_SIZE - 5000, 5000, 0x5a, &detail));
    meet("written");
    meet("gone");
    CHECK(has(buffer, 1001, 3, 5000) && has(buffer, 0, 2, 1001));
    lava_buffer_destroy(buffer);
    lava_context_destroy(context);
    close(peer);
}
