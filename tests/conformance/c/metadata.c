/* Tags, timestamps, tensors. */
#include "conformance.h"

void metadata_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.flags = LAVA_PRODUCER_NO_TIMESTAMP;
    sender quiet = open_sender(named(channel, ".quiet"), &options, 1);
    lava_frame *frame;
    OK(lava_producer_loan(side.producer, 100, LONG, &frame));
    OK(lava_frame_set_tag(frame, 7));
    OK(lava_frame_set_timestamp(frame, 123456789));
    OK(lava_producer_send(side.producer, frame, LONG));
    meet("before");
    send_number(side.producer, 1);
    send_number(quiet.producer, 0);
    close_sender(quiet);
    close_sender(side);
}

void metadata_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    receiver quiet = open_receiver(named(channel, ".quiet"));
    lava_frame *frame = receive(side.consumer);
    lava_frame_info info = info_of(frame);
    CHECK(info.tag == 7 && info.timestamp_ns == 123456789 && info.sequence == 0);
    CHECK(info.memory == LAVA_MEMORY_STANDARD && info.transport == expected_transport());
    OK(lava_frame_release(frame));
    uint64_t before = now();
    meet("before");
    frame = receive(side.consumer);
    info = info_of(frame);
    CHECK(info.tag == 0 && info.sequence == 1);
    CHECK(info.timestamp_ns >= before && info.timestamp_ns <= now());
    OK(lava_frame_release(frame));
    frame = receive(quiet.consumer);
    CHECK(info_of(frame).timestamp_ns == 0);
    OK(lava_frame_release(frame));
    receive_end(quiet.consumer);
    receive_end(side.consumer);
    close_receiver(quiet);
    close_receiver(side);
}

static lava_tensor tensor_of(uint8_t dtype, uint8_t bits, uint32_t dimensions, const int64_t *shape) {
    lava_tensor tensor = LAVA_TENSOR_INIT;
    tensor.dtype = dtype;
    tensor.bits = bits;
    tensor.lanes = 1;
    tensor.dimensions = dimensions;
    for (uint32_t at = 0; at < dimensions && at < LAVA_TENSOR_MAX_DIMENSIONS; at++) tensor.shape[at] = shape[at];
    return tensor;
}

static void send_tensor(lava_producer *producer, uint64_t size, const lava_tensor *tensor, const void *data) {
    lava_frame *frame;
    OK(lava_producer_loan(producer, size, LONG, &frame));
    memcpy(lava_frame_data_mut(frame), data, size);
    if (tensor) OK(lava_frame_set_tensor(frame, tensor, &detail));
    OK(lava_producer_send(producer, frame, LONG));
}

void tensor_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    float floats[40];
    for (int at = 0; at < 40; at++) floats[at] = (float)(at - 16) * 0.5f;
    lava_tensor tensor = tensor_of(LAVA_DTYPE_FLOAT, 32, 3, (int64_t[]) { 2, 3, 4 });
    tensor.byte_offset = 64;
    send_tensor(side.producer, sizeof floats, &tensor, floats);
    const int64_t integers[4] = { 10, -20, 30, -40 };
    tensor = tensor_of(LAVA_DTYPE_INT, 64, 1, (int64_t[]) { 4 });
    tensor.byte_offset = 24;
    tensor.has_strides = 1;
    tensor.strides[0] = -1;
    send_tensor(side.producer, sizeof integers, &tensor, integers);
    tensor = tensor_of(LAVA_DTYPE_UINT, 8, 0, NULL);
    send_tensor(side.producer, 1, &tensor, "A");
    tensor = tensor_of(LAVA_DTYPE_COMPLEX, 128, 2, (int64_t[]) { 5, 0 });
    send_tensor(side.producer, 16, &tensor, floats);
    send_tensor(side.producer, 16, NULL, floats);
    close_sender(side);
}

static lava_frame *receive_tensor(lava_consumer *consumer, lava_tensor *tensor) {
    lava_frame *frame = receive(consumer);
    lava_tensor found = LAVA_TENSOR_INIT;
    CHECK((info_of(frame).flags & LAVA_FRAME_HAS_TENSOR) != 0);
    OK(lava_frame_get_tensor(frame, &found, &detail));
    CHECK(found.lanes == 1 && found.has_strides == 1);
    for (uint32_t at = found.dimensions; at < LAVA_TENSOR_MAX_DIMENSIONS; at++)
        CHECK(found.shape[at] == 0 && found.strides[at] == 0);
    *tensor = found;
    return frame;
}

void tensor_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_tensor tensor;
    lava_frame *frame = receive_tensor(side.consumer, &tensor);
    CHECK(tensor.dtype == LAVA_DTYPE_FLOAT && tensor.bits == 32 && tensor.dimensions == 3 && tensor.byte_offset == 64);
    CHECK(tensor.shape[0] == 2 && tensor.shape[1] == 3 && tensor.shape[2] == 4);
    CHECK(tensor.strides[0] == 12 && tensor.strides[1] == 4 && tensor.strides[2] == 1);
    float number;
    OK(lava_frame_read(frame, 64 + 23 * 4, &number, sizeof number));
    CHECK(number == 11.5f);
    OK(lava_frame_release(frame));

    frame = receive_tensor(side.consumer, &tensor);
    CHECK(tensor.dtype == LAVA_DTYPE_INT && tensor.bits == 64 && tensor.dimensions == 1 && tensor.byte_offset == 24);
    CHECK(tensor.shape[0] == 4 && tensor.strides[0] == -1);
    int64_t last;
    OK(lava_frame_read(frame, tensor.byte_offset, &last, sizeof last));
    CHECK(last == -40);
    OK(lava_frame_release(frame));

    frame = receive_tensor(side.consumer, &tensor);
    CHECK(tensor.dtype == LAVA_DTYPE_UINT && tensor.bits == 8 && tensor.dimensions == 0);
    CHECK(*(const char *)lava_frame_data(frame) == 'A');
    OK(lava_frame_release(frame));

    frame = receive_tensor(side.consumer, &tensor);
    CHECK(tensor.dtype == LAVA_DTYPE_COMPLEX && tensor.bits == 128 && tensor.dimensions == 2);
    CHECK(tensor.shape[0] == 5 && tensor.shape[1] == 0);
    OK(lava_frame_release(frame));

    frame = receive(side.consumer);
    CHECK((info_of(frame).flags & LAVA_FRAME_HAS_TENSOR) == 0);
    lava_tensor none = LAVA_TENSOR_INIT;
    EXPECT(lava_frame_get_tensor(frame, &none, &detail), LAVA_ERROR_NOT_FOUND);
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}

void tensor_refused_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    lava_frame *frame;
    OK(lava_producer_loan(side.producer, 64, LONG, &frame));
    fill(lava_frame_data_mut(frame), 5, 64);

    lava_tensor tensor = tensor_of(LAVA_DTYPE_FLOAT, 32, 1, (int64_t[]) { 17 });
    EXPECT(lava_frame_set_tensor(frame, &tensor, &detail), LAVA_ERROR_TOO_LARGE);
    tensor.shape[0] = 16;
    tensor.byte_offset = 4;
    EXPECT(lava_frame_set_tensor(frame, &tensor, &detail), LAVA_ERROR_TOO_LARGE);
    tensor = tensor_of(LAVA_DTYPE_FLOAT, 32, 2, (int64_t[]) { INT64_MAX, INT64_MAX });
    EXPECT(lava_frame_set_tensor(frame, &tensor, &detail), LAVA_ERROR_INVALID_ARGUMENT);
    tensor = tensor_of(LAVA_DTYPE_FLOAT, 32, 1, (int64_t[]) { 4 });
    tensor.has_strides = 1;
    tensor.strides[0] = -1;
    EXPECT(lava_frame_set_tensor(frame, &tensor, &detail), LAVA_ERROR_TOO_LARGE);
    tensor = tensor_of(LAVA_DTYPE_FLOAT, 32, 1, (int64_t[]) { -4 });
    EXPECT(lava_frame_set_tensor(frame, &tensor, &detail), LAVA_ERROR_INVALID_ARGUMENT);
    tensor = tensor_of(LAVA_DTYPE_FLOAT, 32, 1, (int64_t[]) { 4 });
    tensor.lanes = 0;
    EXPECT(lava_frame_set_tensor(frame, &tensor, &detail), LAVA_ERROR_INVALID_ARGUMENT);
    tensor = tensor_of(LAVA_DTYPE_FLOAT, 32, 1, (int64_t[]) { 4 });
    tensor.dimensions = LAVA_TENSOR_MAX_DIMENSIONS + 1;
    EXPECT(lava_frame_set_tensor(frame, &tensor, &detail), LAVA_ERROR_INVALID_ARGUMENT);
    CHECK(detail.message[0] != 0);
    OK(lava_frame_set_tensor(frame, NULL, &detail));
    OK(lava_producer_send(side.producer, frame, LONG));
    close_sender(side);
}

void tensor_refused_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    CHECK((info_of(frame).flags & LAVA_FRAME_HAS_TENSOR) == 0);
    CHECK(is_filled(lava_frame_data(frame), 5, 64));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}
