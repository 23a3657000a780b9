/* The comparison's part in C: `program calls | ping NAME | pong NAME`; see main.rs. */
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <lava.h>

#include <stdlib.h>

#define TRY(call) \
    do { \
        lava_status found = (call); \
        if (found != LAVA_OK) fprintf(stderr, "%s: %s\n", #call, lava_status_name(found)), exit(1); \
    } while (0)

static lava_context *context;

static lava_producer *new_producer(const char *name, const char *suffix) {
    char channel[LAVA_NAME_MAX + 1];
    lava_producer *producer;
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.flags = LAVA_PRODUCER_NO_TIMESTAMP;
    snprintf(channel, sizeof channel, "%s.%s", name, suffix);
    TRY(lava_producer_create(context, channel, &options, &producer, NULL));
    return producer;
}

static lava_consumer *new_consumer(const char *name, const char *suffix) {
    char channel[LAVA_NAME_MAX + 1];
    lava_consumer *consumer;
    snprintf(channel, sizeof channel, "%s.%s", name, suffix);
    TRY(lava_consumer_create(context, channel, NULL, &consumer, NULL));
    return consumer;
}

static void round_trips(lava_producer *producer, lava_consumer *consumer, uint64_t count) {
    for (uint64_t number = 0; number < count; number++) {
        lava_frame *frame;
        TRY(lava_producer_send_bytes(producer, &number, sizeof number, LAVA_FOREVER));
        TRY(lava_consumer_receive(consumer, LAVA_FOREVER, &frame));
        if (*(const uint64_t *)lava_frame_data(frame) != number) exit(1);
        TRY(lava_frame_release(frame));
    }
}

static void calls(void) {
    lava_producer *producer = new_producer("calls", "own");
    lava_consumer *consumer = new_consumer("calls", "own");
    lava_frame *loan;
    TRY(lava_producer_loan(producer, 4096, LAVA_FOREVER, &loan));
    char name[32];
    uint64_t count;
    volatile uint64_t sink = 0;
    while (next_order(name, &count)) {
        const uint64_t start = now();
        if (strcmp(name, "lava_abi_version") == 0) {
            for (uint64_t at = 0; at < count; at++) sink += lava_abi_version();
        } else if (strcmp(name, "lava_frame_size") == 0) {
            for (uint64_t at = 0; at < count; at++) sink += lava_frame_size(loan);
        } else if (strcmp(name, "lava_frame_data") == 0) {
            for (uint64_t at = 0; at < count; at++) sink += (uintptr_t)lava_frame_data(loan);
        } else {
            round_trips(producer, consumer, count);
        }
        answer(start, count);
    }
    lava_frame_release(loan);
    lava_consumer_destroy(consumer);
    lava_producer_destroy(producer);
}

static void ping(const char *channel) {
    lava_producer *producer = new_producer(channel, "ping");
    lava_consumer *consumer = new_consumer(channel, "pong");
    char name[32];
    uint64_t count;
    while (next_order(name, &count)) {
        const uint64_t start = now();
        round_trips(producer, consumer, count);
        answer(start, count);
    }
    lava_producer_destroy(producer);
    lava_consumer_destroy(consumer);
}

static void pong(const char *channel) {
    lava_producer *producer = new_producer(channel, "pong");
    lava_consumer *consumer = new_consumer(channel, "ping");
    lava_frame *frame;
    while (lava_consumer_receive(consumer, LAVA_FOREVER, &frame) == LAVA_OK) {
        const uint64_t number = *(const uint64_t *)lava_frame_data(frame);
        TRY(lava_frame_release(frame));
        TRY(lava_producer_send_bytes(producer, &number, sizeof number, LAVA_FOREVER));
    }
    lava_consumer_destroy(consumer);
    lava_producer_destroy(producer);
}

int main(int argc, char **argv) {
    TRY(lava_context_create(NULL, &context, NULL));
    if (argc == 2) calls();
    if (argc == 3) (strcmp(argv[1], "ping") == 0 ? ping : pong)(argv[2]);
    lava_context_destroy(context);
    return 0;
}
