/* Ends: of handles in every order, of channels, of processes. */
#include "conformance.h"

#include <sys/wait.h>
#include <unistd.h>

static lava_producer_options one_slot(void) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.capacity = 1;
    options.max_frame_size = 4096;
    return options;
}

void frame_after_consumer_producer(const char *channel) {
    lava_producer_options options = one_slot();
    sender side = open_sender(channel, &options, 1);
    send_pattern(side.producer, 1, 4096);
    meet("destroyed");
    lava_frame *frame;
    EXPECT(lava_producer_loan(side.producer, 4096, LAVA_NO_WAIT, &frame), LAVA_WOULD_BLOCK);
    meet("checked");
    OK(lava_producer_loan(side.producer, 4096, LONG, &frame));
    OK(lava_frame_release(frame));
    close_sender(side);
}

void frame_after_consumer_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    close_receiver(side);
    meet("destroyed");
    meet("checked");
    CHECK(is_filled(lava_frame_data(frame), 1, 4096));
    OK(lava_frame_release(frame));
}

void frame_after_producer_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    send_pattern(side.producer, 2, 4096);
    meet("received");
    close_sender(side);
    die();
}

void frame_after_producer_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    meet("received");
    /* The end is told only after the producer has gone. */
    receive_end(side.consumer);
    CHECK(is_filled(lava_frame_data(frame), 2, 4096));
    close_receiver(side);
    CHECK(is_filled(lava_frame_data(frame), 2, 4096));
    OK(lava_frame_release(frame));
}

void frames_after_context_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    lava_context_destroy(side.context);
    for (uint64_t number = 0; number < 20; number++) send_pattern(side.producer, number, 4096);
    lava_producer_destroy(side.producer);
}

void frames_after_context_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_context_destroy(side.context);
    for (uint64_t number = 0; number < 19; number++) receive_pattern(side.consumer, number, 4096);
    lava_frame *frame = receive(side.consumer);
    receive_end(side.consumer);
    lava_consumer_destroy(side.consumer);
    CHECK(is_filled(lava_frame_data(frame), 19, 4096));
    OK(lava_frame_release(frame));
}

void closed_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    for (uint64_t number = 0; number < 5; number++) send_pattern(side.producer, number, 1000);
    close_sender(side);
    meet("ended");
}

void closed_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    meet("ended");
    for (uint64_t number = 0; number < 5; number++) receive_pattern(side.consumer, number, 1000);
    for (int again = 0; again < 3; again++) receive_end(side.consumer);
    lava_connection_info info = LAVA_CONNECTION_INFO_INIT;
    OK(lava_consumer_get_connection(side.consumer, &info, NULL, &detail));
    CHECK(info.state == LAVA_CONNECTION_CLOSED && info.frames == 5);
    close_receiver(side);
}

void peer_lost_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    for (uint64_t number = 0; number < 5; number++) send_pattern(side.producer, number, 1000);
    meet("sent");
    die();
}

void peer_lost_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    meet("sent");
    for (uint64_t number = 0; number < 5; number++) receive_pattern(side.consumer, number, 1000);
    lava_frame *frame;
    for (int again = 0; again < 3; again++) {
        EXPECT(lava_consumer_receive(side.consumer, LONG, &frame), LAVA_ERROR_PEER_LOST);
        CHECK(frame == NULL);
    }
    lava_connection_info info = LAVA_CONNECTION_INFO_INIT;
    OK(lava_consumer_get_connection(side.consumer, &info, NULL, &detail));
    CHECK(info.state == LAVA_CONNECTION_LOST);
    close_receiver(side);
}

void consumer_lost_producer(const char *channel) {
    lava_producer_options options = one_slot();
    sender side = open_sender(channel, &options, 1);
    send_pattern(side.producer, 3, 4096);
    lava_frame *frame;
    OK(lava_producer_loan(side.producer, 4096, LONG, &frame));
    OK(lava_frame_release(frame));
    for (uint64_t start = now(); lava_producer_connection_count(side.producer) > 0; sleep_ms(1))
        CHECK(now() - start < LONG);
    close_sender(side);
}

void consumer_lost_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    CHECK(is_filled(lava_frame_data(frame), 3, 4096));
    die();
}

void reopen_producer(const char *channel) {
    lava_context *context = new_context();
    for (uint64_t number = 0; number < 5; number++) {
        lava_producer *producer = new_producer(context, channel, NULL);
        OK(lava_producer_wait_consumers(producer, 1, LONG, &detail));
        send_number(producer, number);
        lava_producer_destroy(producer);
        meet("closed");
    }
    lava_context_destroy(context);
}

void reopen_consumer(const char *channel) {
    lava_context *context = new_context();
    for (uint64_t number = 0; number < 5; number++) {
        lava_consumer *consumer = new_consumer(context, channel);
        receive_number(consumer, number, 0);
        receive_end(consumer);
        lava_consumer_destroy(consumer);
        meet("closed");
    }
    lava_context_destroy(context);
}

/* The child answers by its exit status: 0 if every call said that the handle is the parent's. */
static int forked_calls(sender side, lava_frame *loan, lava_buffer *buffer) {
    lava_frame *frame;
    lava_producer *producer;
    lava_location location = LAVA_LOCATION_INIT;
    if (lava_producer_send_bytes(side.producer, "x", 1, LAVA_NO_WAIT) != LAVA_ERROR_FORKED) return 1;
    if (lava_producer_loan(side.producer, 4096, LAVA_NO_WAIT, &frame) != LAVA_ERROR_FORKED) return 2;
    if (lava_producer_wait_consumers(side.producer, 1, LAVA_NO_WAIT, NULL) != LAVA_ERROR_FORKED) return 3;
    if (lava_producer_create(side.context, "forked.child", NULL, &producer, NULL) != LAVA_ERROR_FORKED) return 4;
    if (lava_location_current(side.context, &location, NULL) != LAVA_ERROR_FORKED) return 5;
    if (lava_producer_send(side.producer, loan, LAVA_NO_WAIT) != LAVA_ERROR_FORKED) return 6;
    lava_buffer_destroy(buffer);
    lava_producer_destroy(side.producer);
    lava_context_destroy(side.context);
    return 0;
}

void forked_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    send_number(side.producer, 0);
    lava_frame *loan;
    OK(lava_producer_loan(side.producer, 4096, LONG, &loan));
    lava_buffer_options options = LAVA_BUFFER_OPTIONS_INIT;
    options.size = 4096;
    options.flags = LAVA_BUFFER_SHAREABLE;
    lava_buffer *buffer;
    OK(lava_buffer_allocate(side.context, &options, &buffer, &detail));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) _exit(forked_calls(side, loan, buffer));
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    OK(lava_frame_release(loan));
    lava_buffer_destroy(buffer);
    send_number(side.producer, 1);
    close_sender(side);
}

void forked_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    receive_number(side.consumer, 0, 0);
    receive_number(side.consumer, 1, 1);
    receive_end(side.consumer);
    close_receiver(side);
}
