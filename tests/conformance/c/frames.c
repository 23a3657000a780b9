/* Order, sizes, alignment, and what one does with a loan or a frame. */
#include "conformance.h"

#include <errno.h>
#include <unistd.h>

static const size_t SIZES[] = { 0, 1, 8, 31, 32, 33, 39, 40, 41, 63, 64, 65, 4095, 4096, 4097, 65536, 1048575, 1048576 };
#define SIZE_COUNT (sizeof SIZES / sizeof SIZES[0])
#define MEBIBYTE 1048576

static void send_numbers(const char *channel, uint64_t count, uint32_t consumers) {
    sender side = open_sender(channel, NULL, consumers);
    for (uint64_t number = 0; number < count; number++) send_number(side.producer, number);
    close_sender(side);
}

static void receive_numbers(const char *channel, uint64_t count) {
    receiver side = open_receiver(channel);
    for (uint64_t number = 0; number < count; number++) receive_number(side.consumer, number, number);
    receive_end(side.consumer);
    close_receiver(side);
}

void order_producer(const char *channel) { send_numbers(channel, 1000, 1); }
void order_consumer(const char *channel) { receive_numbers(channel, 1000); }
void two_consumers_producer(const char *channel) { send_numbers(channel, 1000, 2); }
void two_consumers_consumer(const char *channel) { receive_numbers(channel, 1000); }
void stream_producer(const char *channel) { send_numbers(channel, 20000, 1); }
void stream_consumer(const char *channel) { receive_numbers(channel, 20000); }

void sizes_producer(const char *channel) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.max_frame_size = MEBIBYTE;
    sender side = open_sender(channel, &options, 1);
    for (size_t number = 0; number < SIZE_COUNT; number++) send_pattern(side.producer, number, SIZES[number]);
    lava_frame *frame;
    EXPECT(lava_producer_loan(side.producer, MEBIBYTE + 1, LONG, &frame), LAVA_ERROR_TOO_LARGE);
    CHECK(frame == NULL);
    close_sender(side);
}

void sizes_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    for (size_t number = 0; number < SIZE_COUNT; number++) {
        lava_frame *frame = receive(side.consumer);
        lava_frame_info info = info_of(frame);
        CHECK(info.size == SIZES[number]);
        CHECK(lava_frame_size(frame) == SIZES[number]);
        CHECK(is_filled(lava_frame_data(frame), number, SIZES[number]));
        CHECK(((info.flags & LAVA_FRAME_INLINE) != 0) == (SIZES[number] <= LAVA_FRAME_INLINE_SIZE));
        CHECK((info.flags & LAVA_FRAME_LOAN) == 0);
        OK(lava_frame_release(frame));
    }
    receive_end(side.consumer);
    close_receiver(side);
}

void sizes_copied_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    unsigned char *data = malloc(MEBIBYTE);
    for (size_t number = 0; number < SIZE_COUNT; number++) {
        fill(data, number, SIZES[number]);
        OK(lava_producer_send_bytes(side.producer, SIZES[number] ? data : NULL, SIZES[number], LONG));
    }
    EXPECT(lava_producer_send_bytes(side.producer, data, MEBIBYTE + 1, LONG), LAVA_ERROR_TOO_LARGE);
    free(data);
    close_sender(side);
}

void sizes_copied_consumer(const char *channel) { sizes_consumer(channel); }

void sizes_tagged_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    for (size_t number = 0; number < SIZE_COUNT; number++) {
        lava_frame *frame;
        OK(lava_producer_loan(side.producer, SIZES[number], LONG, &frame));
        OK(lava_frame_set_tag(frame, 1000 + number));
        fill(lava_frame_data_mut(frame), number, SIZES[number]);
        OK(lava_producer_send(side.producer, frame, LONG));
    }
    close_sender(side);
}

void sizes_tagged_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    for (size_t number = 0; number < SIZE_COUNT; number++) {
        lava_frame *frame = receive(side.consumer);
        lava_frame_info info = info_of(frame);
        CHECK(info.size == SIZES[number]);
        CHECK(info.tag == 1000 + number);
        CHECK((info.flags & LAVA_FRAME_INLINE) != 0 || SIZES[number] > LAVA_FRAME_INLINE_SIZE - 8);
        CHECK(is_filled(lava_frame_data(frame), number, SIZES[number]));
        OK(lava_frame_release(frame));
    }
    receive_end(side.consumer);
    close_receiver(side);
}

#define HUGE_SIZE ((1ull << 32) + 8192)

void huge_frame_producer(const char *channel) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.max_frame_size = HUGE_SIZE;
    options.capacity = 1;
    sender side = open_sender(channel, &options, 1);
    lava_frame *frame;
    OK(lava_producer_loan(side.producer, HUGE_SIZE, LONG, &frame));
    unsigned char *data = lava_frame_data_mut(frame);
    fill(data, 1, 4096);
    fill(data + HUGE_SIZE - 4096, 2, 4096);
    OK(lava_producer_send(side.producer, frame, LONG));
    close_sender(side);
}

void huge_frame_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    CHECK(lava_frame_size(frame) == HUGE_SIZE);
    const unsigned char *data = lava_frame_data(frame);
    CHECK(is_filled(data, 1, 4096));
    CHECK(is_filled(data + HUGE_SIZE - 4096, 2, 4096));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}

void alignment_producer(const char *channel) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.max_frame_size = 100;
    sender plain = open_sender(named(channel, ".plain"), &options, 1);
    options.alignment = 4096;
    sender pages = open_sender(channel, &options, 1);
    for (uint64_t number = 0; number < 8; number++) {
        send_pattern(plain.producer, number, 100);
        send_pattern(pages.producer, number, 100);
    }
    close_sender(plain);
    close_sender(pages);
}

static void receive_aligned(lava_consumer *consumer, uint64_t alignment) {
    lava_frame *frames[8];
    for (uint64_t number = 0; number < 8; number++) {
        frames[number] = receive(consumer);
        CHECK((uintptr_t)lava_frame_data(frames[number]) % alignment == 0);
        CHECK(is_filled(lava_frame_data(frames[number]), number, 100));
    }
    OK(lava_frame_release_many(frames, 8));
}

void alignment_consumer(const char *channel) {
    receiver plain = open_receiver(named(channel, ".plain"));
    receiver pages = open_receiver(channel);
    receive_aligned(plain.consumer, 64);
    receive_aligned(pages.consumer, 4096);
    close_receiver(plain);
    close_receiver(pages);
}

void loan_discarded_producer(const char *channel) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.capacity = 1;
    sender side = open_sender(channel, &options, 1);
    for (int round = 0; round < 10; round++) {
        lava_frame *frame;
        OK(lava_producer_loan(side.producer, 4096, LAVA_NO_WAIT, &frame));
        OK(lava_frame_release(frame));
    }
    send_pattern(side.producer, 9, 4096);
    close_sender(side);
}

void loan_discarded_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    CHECK(info_of(frame).sequence == 0);
    CHECK(is_filled(lava_frame_data(frame), 9, 4096));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}

void set_size_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    lava_frame *frame;
    OK(lava_producer_loan(side.producer, 4096, LONG, &frame));
    fill(lava_frame_data_mut(frame), 1, 4096);
    OK(lava_frame_set_size(frame, 100));
    CHECK(lava_frame_size(frame) == 100);
    OK(lava_producer_send(side.producer, frame, LONG));
    OK(lava_producer_loan(side.producer, 100, LONG, &frame));
    lava_frame_info info = info_of(frame);
    CHECK((info.flags & LAVA_FRAME_LOAN) != 0);
    CHECK(info.size == 100 && info.capacity >= 100);
    EXPECT(lava_frame_set_size(frame, info.capacity + 1), LAVA_ERROR_TOO_LARGE);
    OK(lava_frame_set_size(frame, info.capacity));
    OK(lava_frame_set_tag(frame, info.capacity));
    fill(lava_frame_data_mut(frame), 2, info.capacity);
    OK(lava_producer_send(side.producer, frame, LONG));
    close_sender(side);
}

void set_size_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    receive_pattern(side.consumer, 1, 100);
    lava_frame *frame = receive(side.consumer);
    lava_frame_info info = info_of(frame);
    CHECK(info.size == info.tag && info.capacity == info.size);
    CHECK(is_filled(lava_frame_data(frame), 2, info.size));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}

void read_write_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    unsigned char data[1000];
    fill(data, 3, sizeof data);
    lava_frame *frame;
    OK(lava_producer_loan(side.producer, 1000, LONG, &frame));
    OK(lava_frame_write(frame, 0, data, 10));
    OK(lava_frame_write(frame, 10, data + 10, 990));
    OK(lava_frame_write(frame, 1000, data, 0));
    EXPECT(lava_frame_write(frame, 901, data, 100), LAVA_ERROR_TOO_LARGE);
    EXPECT(lava_frame_write(frame, UINT64_MAX, data, 2), LAVA_ERROR_TOO_LARGE);
    OK(lava_producer_send(side.producer, frame, LONG));
    close_sender(side);
}

void read_write_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    unsigned char data[1000], part[100];
    fill(data, 3, sizeof data);
    OK(lava_frame_read(frame, 450, part, sizeof part));
    CHECK(memcmp(part, data + 450, sizeof part) == 0);
    OK(lava_frame_read(frame, 1000, part, 0));
    EXPECT(lava_frame_read(frame, 950, part, sizeof part), LAVA_ERROR_TOO_LARGE);
    EXPECT(lava_frame_read(frame, UINT64_MAX, part, 2), LAVA_ERROR_TOO_LARGE);
    CHECK(lava_frame_data_mut(frame) == NULL);
    EXPECT(lava_frame_write(frame, 0, part, 1), LAVA_ERROR_FRAME_STATE);
    EXPECT(lava_frame_set_tag(frame, 1), LAVA_ERROR_FRAME_STATE);
    EXPECT(lava_frame_set_timestamp(frame, 1), LAVA_ERROR_FRAME_STATE);
    EXPECT(lava_frame_set_size(frame, 1), LAVA_ERROR_FRAME_STATE);
    EXPECT(lava_frame_set_tensor(frame, NULL, &detail), LAVA_ERROR_FRAME_STATE);
    CHECK(is_filled(lava_frame_data(frame), 3, 1000));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}

void read_only_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    send_pattern(side.producer, 4, 4096);
    close_sender(side);
}

void read_only_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
    /* The kernel checks the page as the processor would; a process that wrote itself would die by SIGSEGV. */
    CHECK(read(ends[0], (void *)(uintptr_t)lava_frame_data(frame), 1) == -1 && errno == EFAULT);
    CHECK(is_filled(lava_frame_data(frame), 4, 4096));
    OK(lava_frame_release(frame));
    close(ends[0]);
    close(ends[1]);
    receive_end(side.consumer);
    close_receiver(side);
}
