/* Buffers of the user, sent without copying. */
#include "conformance.h"

#define BUFFER_SIZE 1048576
#define OFFSET 4096
#define SIZE 65536

static lava_buffer *allocate(lava_context *context, uint32_t flags) {
    lava_buffer_options options = LAVA_BUFFER_OPTIONS_INIT;
    options.size = BUFFER_SIZE;
    options.flags = flags;
    lava_buffer *buffer;
    OK(lava_buffer_allocate(context, &options, &buffer, &detail));
    return buffer;
}

void send_buffer_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    lava_buffer *buffer = allocate(side.context, LAVA_BUFFER_SHAREABLE);
    unsigned char *data = lava_buffer_data(buffer);
    for (uint64_t number = 0; number < 100; number++) {
        fill(data + OFFSET, number, SIZE);
        OK(lava_producer_send_buffer(side.producer, buffer, OFFSET, SIZE, number, NULL, LONG, &detail));
        OK(lava_producer_wait_released(side.producer, buffer, LONG, &detail));
    }
    lava_tensor tensor = LAVA_TENSOR_INIT;
    tensor.dtype = LAVA_DTYPE_UINT;
    tensor.bits = 8;
    tensor.lanes = 1;
    tensor.dimensions = 1;
    tensor.shape[0] = SIZE + 1;
    EXPECT(lava_producer_send_buffer(side.producer, buffer, OFFSET, SIZE, 0, &tensor, LONG, &detail), LAVA_ERROR_TOO_LARGE);
    tensor.shape[0] = SIZE;
    OK(lava_producer_send_buffer(side.producer, buffer, OFFSET, SIZE, 100, &tensor, LONG, &detail));
    /* The frame keeps the memory. */
    lava_buffer_destroy(buffer);
    meet("destroyed");
    close_sender(side);
}

void send_buffer_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    const void *address = NULL;
    for (uint64_t number = 0; number < 100; number++) {
        lava_frame *frame = receive(side.consumer);
        lava_frame_info info = info_of(frame);
        CHECK((info.flags & LAVA_FRAME_BUFFER) != 0);
        CHECK(info.size == SIZE && info.tag == number);
        if (!address) address = lava_frame_data(frame);
        CHECK(lava_frame_data(frame) == address);
        CHECK(is_filled(address, number, SIZE));
        OK(lava_frame_release(frame));
    }
    meet("destroyed");
    lava_frame *frame = receive(side.consumer);
    lava_tensor tensor = LAVA_TENSOR_INIT;
    OK(lava_frame_get_tensor(frame, &tensor, &detail));
    CHECK(tensor.dimensions == 1 && tensor.shape[0] == SIZE);
    lava_buffer *buffer;
    uint64_t offset;
    OK(lava_frame_get_buffer(frame, &buffer, &offset, &detail));
    CHECK((const char *)lava_buffer_data(buffer) + offset == (const char *)lava_frame_data(frame));
    lava_buffer_info info = LAVA_BUFFER_INFO_INIT;
    OK(lava_buffer_get_info(buffer, &info, &detail));
    CHECK(info.size >= offset + SIZE && (info.flags & LAVA_BUFFER_READ_ONLY) != 0);
    EXPECT(lava_buffer_fill(buffer, 0, 1, 0, &detail), LAVA_ERROR_PERMISSION);
    CHECK(is_filled(lava_frame_data(frame), 99, SIZE));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
    lava_buffer_destroy(buffer);
}

void send_buffer_refused_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    lava_buffer *own = allocate(side.context, 0);
    EXPECT(lava_producer_send_buffer(side.producer, own, 0, SIZE, 0, NULL, LONG, &detail), LAVA_ERROR_UNSUPPORTED);
    CHECK(detail.message[0] != 0);
    lava_buffer *open = allocate(side.context, LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_WRITABLE_BY_IMPORTERS);
    EXPECT(lava_producer_send_buffer(side.producer, open, 0, SIZE, 0, NULL, LONG, &detail), LAVA_ERROR_UNSUPPORTED);
    lava_buffer *good = allocate(side.context, LAVA_BUFFER_SHAREABLE);
    EXPECT(lava_producer_send_buffer(side.producer, good, 1, BUFFER_SIZE, 0, NULL, LONG, &detail), LAVA_ERROR_TOO_LARGE);
    EXPECT(lava_producer_send_buffer(side.producer, good, UINT64_MAX, 2, 0, NULL, LONG, &detail), LAVA_ERROR_TOO_LARGE);
    send_number(side.producer, 1);
    lava_buffer_destroy(own);
    lava_buffer_destroy(open);
    lava_buffer_destroy(good);
    close_sender(side);
}

void send_buffer_refused_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    receive_number(side.consumer, 1, 0);
    receive_end(side.consumer);
    close_receiver(side);
}

void wait_released_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    OK(lava_producer_wait_released(side.producer, NULL, LAVA_NO_WAIT, &detail));
    send_pattern(side.producer, 6, 4096);
    EXPECT(lava_producer_wait_released(side.producer, NULL, LAVA_NO_WAIT, &detail), LAVA_WOULD_BLOCK);
    meet("held");
    EXPECT(lava_producer_wait_released(side.producer, NULL, SHORT, &detail), LAVA_TIMED_OUT);
    meet("waited");
    OK(lava_producer_wait_released(side.producer, NULL, LONG, &detail));
    close_sender(side);
}

void wait_released_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    meet("held");
    meet("waited");
    CHECK(is_filled(lava_frame_data(frame), 6, 4096));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}
