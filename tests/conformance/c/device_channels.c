/* Channels whose pool is memory of a GPU. */
#include "devices.h"

static const size_t SIZES[] = { 8, 41, 4096, 65537, 1048576, 0, 100 };
#define SIZE_COUNT (sizeof SIZES / sizeof SIZES[0])
#define ROUNDS 3

static sender open_device_sender(const char *channel, uint32_t consumers) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.memory = LAVA_MEMORY_DEVICE;
    options.flags = LAVA_PRODUCER_REQUIRE_MEMORY;
    options.capacity = 4;
    sender side;
    side.context = new_device_context();
    side.producer = new_producer(side.context, channel, &options);
    if (consumers > 0) OK(lava_producer_wait_consumers(side.producer, consumers, LONG, &detail));
    return side;
}

static lava_consumer *open_wanting(const lava_context *context, const char *channel, uint32_t memory) {
    lava_consumer_options options = LAVA_CONSUMER_OPTIONS_INIT;
    options.memory = memory;
    lava_consumer *consumer;
    OK(lava_consumer_create(context, channel, &options, &consumer, &detail));
    return consumer;
}

/* Every other frame is written in place, the others are sent from host memory. */
static void send_patterns(lava_producer *producer, bool on_device) {
    unsigned char *data = malloc(1048576);
    for (uint64_t number = 0; number < ROUNDS * SIZE_COUNT; number++) {
        size_t size = SIZES[number % SIZE_COUNT];
        fill(data, number, size);
        if (number % 2 == 0) {
            OK(lava_producer_send_bytes(producer, size ? data : NULL, size, LONG));
            continue;
        }
        lava_frame *frame;
        OK(lava_producer_loan(producer, size, LONG, &frame));
        CHECK((lava_frame_data_mut(frame) == NULL) == (on_device && size > LAVA_FRAME_INLINE_SIZE));
        OK(lava_frame_write(frame, 0, data, size));
        EXPECT(lava_frame_write(frame, size, data, 1), LAVA_ERROR_TOO_LARGE);
        OK(lava_producer_send(producer, frame, LONG));
    }
    free(data);
}

static void check_frame(lava_frame *frame, uint64_t number, uint32_t transport, bool on_device) {
    size_t size = SIZES[number % SIZE_COUNT];
    bool in_slot = size > LAVA_FRAME_INLINE_SIZE;
    lava_frame_info info = info_of(frame);
    CHECK(info.size == size && info.transport == transport && info.sequence == number);
    CHECK(!in_slot || (info.memory == LAVA_MEMORY_DEVICE) == on_device);
    CHECK((lava_frame_data(frame) == NULL) == (in_slot && on_device));
    OK(lava_frame_wait_ready(frame, LONG));
    unsigned char *data = malloc(size + 1);
    OK(lava_frame_read(frame, 0, data, size));
    CHECK(is_filled(data, number, size));
    free(data);
    if (!in_slot) return;
    lava_buffer *buffer;
    uint64_t offset;
    OK(lava_frame_get_buffer(frame, &buffer, &offset, &detail));
    lava_vulkan_buffer vulkan = LAVA_VULKAN_BUFFER_INIT;
    EXPECT(lava_buffer_get_vulkan(buffer, &vulkan, &detail), on_device ? LAVA_OK : LAVA_ERROR_UNSUPPORTED);
    CHECK(!on_device || (vulkan.buffer != 0 && vulkan.size >= offset + size));
    lava_buffer_destroy(buffer);
}

static void receive_patterns(lava_consumer *consumer, uint32_t transport, bool on_device) {
    lava_connection_info connection = LAVA_CONNECTION_INFO_INIT;
    OK(lava_consumer_get_connection(consumer, &connection, NULL, &detail));
    CHECK(connection.transport == transport && connection.reason[0] != 0);
    bool uploaded = on_device && transport != LAVA_TRANSPORT_VULKAN;
    CHECK(connection.copies == (transport == LAVA_TRANSPORT_STAGED ? 1u : 0u) + (uploaded ? 1u : 0u));
    for (uint64_t number = 0; number < ROUNDS * SIZE_COUNT; number++) {
        lava_frame *frame = receive(consumer);
        check_frame(frame, number, transport, on_device);
        OK(lava_frame_release(frame));
    }
    receive_end(consumer);
}

void device_frames_producer(const char *channel) {
    sender side = open_device_sender(channel, 1);
    send_patterns(side.producer, true);
    close_sender(side);
}

void device_frames_consumer(const char *channel) {
    receiver side;
    side.context = new_device_context();
    side.consumer = new_consumer(side.context, channel);
    receive_patterns(side.consumer, LAVA_TRANSPORT_VULKAN, true);
    close_receiver(side);
}

void device_staged_producer(const char *channel) { device_frames_producer(channel); }

void device_staged_consumer(const char *channel) {
    receiver side;
    side.context = new_device_context();
    side.consumer = open_wanting(side.context, channel, LAVA_MEMORY_STANDARD);
    receive_patterns(side.consumer, LAVA_TRANSPORT_STAGED, false);
    close_receiver(side);
}

void device_no_vulkan_producer(const char *channel) { device_frames_producer(channel); }

void device_no_vulkan_consumer(const char *channel) {
    /* To be skipped where the producer is. */
    lava_context_destroy(new_device_context());
    lava_context_options options = LAVA_CONTEXT_OPTIONS_INIT;
    options.vulkan_devices = LAVA_VULKAN_OFF;
    receiver side;
    OK(lava_context_create(&options, &side.context, &detail));
    side.consumer = new_consumer(side.context, channel);
    lava_rejection rejection = LAVA_REJECTION_INIT;
    bool found = false;
    for (uint32_t at = 0; !found && lava_consumer_get_rejection(side.consumer, at, &rejection, &detail) == LAVA_OK; at++)
        found = rejection.transport == LAVA_TRANSPORT_VULKAN;
    CHECK(found && strstr(rejection.reason, "Vulkan") != NULL);
    receive_patterns(side.consumer, LAVA_TRANSPORT_STAGED, false);
    close_receiver(side);
}

void device_both_producer(const char *channel) {
    sender side = open_device_sender(channel, 2);
    send_patterns(side.producer, true);
    close_sender(side);
}

void device_both_consumer(const char *channel) {
    receiver side;
    side.context = new_device_context();
    side.consumer = open_wanting(side.context, channel, LAVA_MEMORY_DEVICE);
    lava_consumer *second = open_wanting(side.context, channel, LAVA_MEMORY_PINNED);
    for (uint64_t number = 0; number < ROUNDS * SIZE_COUNT; number++) {
        lava_frame *first = receive(side.consumer), *other = receive(second);
        check_frame(first, number, LAVA_TRANSPORT_VULKAN, true);
        check_frame(other, number, LAVA_TRANSPORT_STAGED, false);
        OK(lava_frame_release(first));
        OK(lava_frame_release(other));
    }
    receive_end(side.consumer);
    receive_end(second);
    lava_consumer_destroy(second);
    close_receiver(side);
}

void device_wanted_producer(const char *channel) {
    sender side;
    side.context = new_device_context();
    side.producer = new_producer(side.context, channel, NULL);
    OK(lava_producer_wait_consumers(side.producer, 1, LONG, &detail));
    send_patterns(side.producer, false);
    close_sender(side);
}

void device_wanted_consumer(const char *channel) {
    receiver side;
    side.context = new_device_context();
    lava_consumer_options wanted = LAVA_CONSUMER_OPTIONS_INIT;
    wanted.memory = LAVA_MEMORY_DEVICE;
    lava_consumer_options uncopied = wanted;
    uncopied.flags = LAVA_CONSUMER_LIMIT_COPIES;
    EXPECT(lava_consumer_create(side.context, channel, &uncopied, &side.consumer, &detail), LAVA_ERROR_REQUIREMENT);
    CHECK(side.consumer == NULL && strstr(detail.message, "shm: it makes 1 copies") != NULL);
    lava_context_options off = LAVA_CONTEXT_OPTIONS_INIT;
    off.vulkan_devices = LAVA_VULKAN_OFF;
    lava_context *without;
    OK(lava_context_create(&off, &without, &detail));
    EXPECT(lava_consumer_create(without, channel, &wanted, &side.consumer, &detail), LAVA_ERROR_REQUIREMENT);
    CHECK(side.consumer == NULL && strstr(detail.message, "Vulkan is off") != NULL);
    lava_context_destroy(without);
    side.consumer = open_wanting(side.context, channel, LAVA_MEMORY_DEVICE);
    receive_patterns(side.consumer, LAVA_TRANSPORT_SHM, true);
    close_receiver(side);
}

void device_wanted_staged_producer(const char *channel) { device_frames_producer(channel); }

void device_wanted_staged_consumer(const char *channel) {
    receiver side;
    side.context = new_device_context();
    lava_consumer_options wanted = LAVA_CONSUMER_OPTIONS_INIT;
    wanted.memory = LAVA_MEMORY_DEVICE;
    wanted.require_transports = LAVA_TRANSPORT_STAGED;
    OK(lava_consumer_create(side.context, channel, &wanted, &side.consumer, &detail));
    receive_patterns(side.consumer, LAVA_TRANSPORT_STAGED, true);
    close_receiver(side);
}

void device_after_producer_producer(const char *channel) {
    sender side = open_device_sender(channel, 1);
    unsigned char data[4096];
    fill(data, 3, sizeof data);
    OK(lava_producer_send_bytes(side.producer, data, sizeof data, LONG));
    meet("received");
    die();
}

void device_after_producer_consumer(const char *channel) {
    receiver side;
    side.context = new_device_context();
    side.consumer = new_consumer(side.context, channel);
    lava_frame *frame = receive(side.consumer), *none;
    meet("received");
    EXPECT(lava_consumer_receive(side.consumer, LONG, &none), LAVA_ERROR_PEER_LOST);
    unsigned char data[4096];
    OK(lava_frame_read(frame, 0, data, sizeof data));
    CHECK(is_filled(data, 3, sizeof data));
    close_receiver(side);
    OK(lava_frame_read(frame, 0, data, sizeof data));
    CHECK(is_filled(data, 3, sizeof data));
    OK(lava_frame_release(frame));
}

void device_fallback_producer(const char *channel) {
    lava_context_options options = LAVA_CONTEXT_OPTIONS_INIT;
    options.vulkan_devices = LAVA_VULKAN_OFF;
    lava_producer_options device = LAVA_PRODUCER_OPTIONS_INIT;
    device.memory = LAVA_MEMORY_DEVICE;
    sender side;
    OK(lava_context_create(&options, &side.context, &detail));
    side.producer = new_producer(side.context, channel, &device);
    OK(lava_producer_wait_consumers(side.producer, 1, LONG, &detail));
    send_pattern(side.producer, 1, 5000);
    device.flags = LAVA_PRODUCER_REQUIRE_MEMORY;
    lava_producer *refused;
    const char *other = named(channel, ".other");
    EXPECT(lava_producer_create(side.context, other, &device, &refused, &detail), LAVA_ERROR_REQUIREMENT);
    CHECK(refused == NULL && detail.message[0] != 0);
    close_sender(side);
}

void device_fallback_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    lava_frame_info info = info_of(frame);
    CHECK(info.memory != LAVA_MEMORY_DEVICE && info.transport == LAVA_TRANSPORT_SHM);
    CHECK(is_filled(lava_frame_data(frame), 1, 5000));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}
