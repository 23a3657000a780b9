/* What waits and what does not: timeouts, full channels under each policy. */
#include "conformance.h"

#include <poll.h>

static lava_producer_options options_of(uint32_t policy, uint32_t capacity, uint32_t queue_length) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.policy = policy;
    options.capacity = capacity;
    options.queue_length = queue_length;
    return options;
}

void wait_timeouts_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    EXPECT(lava_producer_wait_consumers(side.producer, 2, LAVA_NO_WAIT, &detail), LAVA_WOULD_BLOCK);
    uint64_t start = now();
    EXPECT(lava_producer_wait_consumers(side.producer, 2, SHORT, &detail), LAVA_TIMED_OUT);
    CHECK(now() - start >= SHORT);
    meet("waited");
    send_number(side.producer, 0);
    close_sender(side);
}

void wait_timeouts_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame;
    EXPECT(lava_consumer_receive(side.consumer, LAVA_NO_WAIT, &frame), LAVA_WOULD_BLOCK);
    CHECK(frame == NULL);
    uint64_t start = now();
    EXPECT(lava_consumer_receive(side.consumer, SHORT, &frame), LAVA_TIMED_OUT);
    CHECK(now() - start >= SHORT && frame == NULL);
    size_t received = 1;
    EXPECT(lava_consumer_receive_many(side.consumer, &frame, 1, LAVA_NO_WAIT, &received), LAVA_WOULD_BLOCK);
    CHECK(received == 0);
    meet("waited");
    OK(lava_consumer_receive(side.consumer, LAVA_FOREVER, &frame));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}

void block_nobody_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 0);
    EXPECT(lava_producer_send_bytes(side.producer, "x", 1, LAVA_NO_WAIT), LAVA_WOULD_BLOCK);
    uint64_t start = now();
    EXPECT(lava_producer_send_bytes(side.producer, "x", 1, SHORT), LAVA_TIMED_OUT);
    CHECK(now() - start >= SHORT);
    lava_frame *frame;
    OK(lava_producer_loan(side.producer, 4096, LAVA_NO_WAIT, &frame));
    fill(lava_frame_data_mut(frame), 0, 4096);
    EXPECT(lava_producer_send(side.producer, frame, LAVA_NO_WAIT), LAVA_WOULD_BLOCK);
    EXPECT(lava_producer_send(side.producer, frame, SHORT), LAVA_TIMED_OUT);
    meet("waited");
    /* Nobody said that the consumer is there: the send itself waits for it. */
    OK(lava_producer_send(side.producer, frame, LONG));
    close_sender(side);
}

void block_nobody_consumer(const char *channel) {
    meet("waited");
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    CHECK(info_of(frame).sequence == 0);
    CHECK(lava_frame_size(frame) == 4096 && is_filled(lava_frame_data(frame), 0, 4096));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}

void block_slots_producer(const char *channel) {
    lava_producer_options options = options_of(LAVA_POLICY_BLOCK, 2, 0);
    sender side = open_sender(channel, &options, 1);
    send_pattern(side.producer, 0, 4096);
    send_pattern(side.producer, 1, 4096);
    lava_frame *frame;
    EXPECT(lava_producer_loan(side.producer, 4096, LAVA_NO_WAIT, &frame), LAVA_WOULD_BLOCK);
    CHECK(frame == NULL);
    EXPECT(lava_producer_loan(side.producer, 4096, SHORT, &frame), LAVA_TIMED_OUT);
    /* Small ones need no slot. */
    OK(lava_producer_loan(side.producer, LAVA_FRAME_INLINE_SIZE, LAVA_NO_WAIT, &frame));
    OK(lava_frame_release(frame));
    meet("full");
    send_pattern(side.producer, 2, 4096);
    close_sender(side);
}

void block_slots_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    meet("full");
    for (uint64_t number = 0; number < 3; number++) receive_pattern(side.consumer, number, 4096);
    receive_end(side.consumer);
    close_receiver(side);
}

void block_queue_producer(const char *channel) {
    lava_producer_options options = options_of(LAVA_POLICY_BLOCK, 0, 4);
    sender side = open_sender(channel, &options, 1);
    for (uint64_t number = 0; number < 4; number++) send_number(side.producer, number);
    EXPECT(lava_producer_send_bytes(side.producer, "x", 1, LAVA_NO_WAIT), LAVA_WOULD_BLOCK);
    EXPECT(lava_producer_send_bytes(side.producer, "x", 1, SHORT), LAVA_TIMED_OUT);
    meet("full");
    send_number(side.producer, 4);
    close_sender(side);
}

void block_queue_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    meet("full");
    for (uint64_t number = 0; number < 5; number++) receive_number(side.consumer, number, number);
    receive_end(side.consumer);
    close_receiver(side);
}

void block_after_leaving_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    send_number(side.producer, 0);
    meet("left");
    for (uint64_t start = now(); lava_producer_connection_count(side.producer) > 0; sleep_ms(1))
        CHECK(now() - start < LONG);
    EXPECT(lava_producer_send_bytes(side.producer, "x", 1, LAVA_NO_WAIT), LAVA_WOULD_BLOCK);
    meet("blocked");
    send_number(side.producer, 1);
    close_sender(side);
}

void block_after_leaving_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    receive_number(side.consumer, 0, 0);
    close_receiver(side);
    meet("left");
    meet("blocked");
    side = open_receiver(channel);
    receive_number(side.consumer, 1, 1);
    receive_end(side.consumer);
    close_receiver(side);
}

static lava_connection_info connection_of(lava_producer *producer) {
    lava_connection_info info = LAVA_CONNECTION_INFO_INIT;
    OK(lava_producer_get_connection(producer, 0, &info, NULL, &detail));
    return info;
}

static void drop_producer(const char *channel, uint32_t policy) {
    lava_producer_options options = options_of(policy, 0, 4);
    sender side = open_sender(channel, &options, 1);
    for (uint64_t number = 0; number < 10; number++) send_number(side.producer, number);
    CHECK(connection_of(side.producer).dropped == 6);
    meet("dropped");
    meet("received");
    send_number(side.producer, 10);
    CHECK(connection_of(side.producer).dropped == 6);
    close_sender(side);
}

static void drop_consumer(const char *channel, uint64_t first) {
    receiver side = open_receiver(channel);
    meet("dropped");
    for (uint64_t number = first; number < first + 4; number++) receive_number(side.consumer, number, number);
    lava_frame *frame;
    EXPECT(lava_consumer_receive(side.consumer, LAVA_NO_WAIT, &frame), LAVA_WOULD_BLOCK);
    meet("received");
    receive_number(side.consumer, 10, 10);
    receive_end(side.consumer);
    close_receiver(side);
}

void drop_newest_producer(const char *channel) { drop_producer(channel, LAVA_POLICY_DROP_NEWEST); }
void drop_newest_consumer(const char *channel) { drop_consumer(channel, 0); }
void drop_oldest_producer(const char *channel) { drop_producer(channel, LAVA_POLICY_DROP_OLDEST); }
void drop_oldest_consumer(const char *channel) { drop_consumer(channel, 6); }

void drop_slots_producer(const char *channel) {
    lava_producer_options options = options_of(LAVA_POLICY_DROP_NEWEST, 2, 0);
    options.max_frame_size = 4096;
    sender side = open_sender(channel, &options, 1);
    send_pattern(side.producer, 0, 4096);
    send_pattern(side.producer, 1, 4096);
    meet("held");
    lava_frame *frame;
    EXPECT(lava_producer_loan(side.producer, 4096, LONG, &frame), LAVA_WOULD_BLOCK);
    CHECK(frame == NULL);
    char data[4096] = { 0 };
    OK(lava_producer_send_bytes(side.producer, data, sizeof data, LONG));
    CHECK(connection_of(side.producer).dropped == 2);
    meet("dropped");
    meet("released");
    send_pattern(side.producer, 4, 4096);
    close_sender(side);
}

void drop_slots_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frames[2] = { receive(side.consumer), receive(side.consumer) };
    meet("held");
    meet("dropped");
    CHECK(is_filled(lava_frame_data(frames[0]), 0, 4096));
    CHECK(is_filled(lava_frame_data(frames[1]), 1, 4096));
    OK(lava_frame_release_many(frames, 2));
    meet("released");
    lava_frame *frame = receive(side.consumer);
    CHECK(info_of(frame).sequence == 4 && is_filled(lava_frame_data(frame), 4, 4096));
    OK(lava_frame_release(frame));
    receive_end(side.consumer);
    close_receiver(side);
}

void late_joiner_producer(const char *channel) {
    lava_producer_options options = options_of(LAVA_POLICY_DROP_NEWEST, 0, 0);
    sender side = open_sender(channel, &options, 0);
    for (uint64_t number = 0; number < 3; number++) send_number(side.producer, number);
    meet("sent");
    OK(lava_producer_wait_consumers(side.producer, 1, LONG, &detail));
    send_number(side.producer, 3);
    close_sender(side);
}

void late_joiner_consumer(const char *channel) {
    meet("sent");
    receiver side = open_receiver(channel);
    receive_number(side.consumer, 3, 3);
    receive_end(side.consumer);
    close_receiver(side);
}

static bool is_readable(int fd, int milliseconds) {
    struct pollfd wait = { fd, POLLIN, 0 };
    int found = poll(&wait, 1, milliseconds);
    CHECK(found >= 0);
    return found == 1;
}

void event_fd_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    meet("armed");
    send_number(side.producer, 0);
    send_number(side.producer, 1);
    meet("received");
    meet("armed again");
    send_pattern(side.producer, 2, 4096);
    meet("received again");
    close_sender(side);
}

void event_fd_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame;
    int32_t fd, again;
    OK(lava_consumer_get_event_fd(side.consumer, &fd, &detail));
    OK(lava_consumer_get_event_fd(side.consumer, &again, &detail));
    CHECK(fd >= 0 && fd == again);
    EXPECT(lava_consumer_receive(side.consumer, LAVA_NO_WAIT, &frame), LAVA_WOULD_BLOCK);
    CHECK(!is_readable(fd, 0));
    meet("armed");
    CHECK(is_readable(fd, 10000));
    receive_number(side.consumer, 0, 0);
    receive_number(side.consumer, 1, 1);
    meet("received");
    EXPECT(lava_consumer_receive(side.consumer, LAVA_NO_WAIT, &frame), LAVA_WOULD_BLOCK);
    CHECK(!is_readable(fd, 0));
    meet("armed again");
    CHECK(is_readable(fd, 10000));
    receive_pattern(side.consumer, 2, 4096);
    EXPECT(lava_consumer_receive(side.consumer, LAVA_NO_WAIT, &frame), LAVA_WOULD_BLOCK);
    meet("received again");
    CHECK(is_readable(fd, 10000));
    EXPECT(lava_consumer_receive(side.consumer, LAVA_NO_WAIT, &frame), LAVA_CLOSED);
    CHECK(is_readable(fd, 0));
    close_receiver(side);
}
