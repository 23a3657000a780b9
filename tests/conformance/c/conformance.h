/* What every scenario uses: checks, patterns, meeting points. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#define _GNU_SOURCE
#include <lava.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ull
#define LONG (10 * SECOND)
#define SHORT 20000000ull

/* Ends the program with a message unless the condition holds. */
#define CHECK(condition) \
    do { \
        if (!(condition)) fail(__FILE__, __LINE__, #condition); \
    } while (0)

/* Ends the program unless the call gives this status. */
#define EXPECT(call, wanted) expect(__FILE__, __LINE__, #call, (call), (wanted))
#define OK(call) EXPECT(call, LAVA_OK)

/* The detail of the last call that was given it. */
extern lava_error detail;

void fail(const char *file, int line, const char *text);
void expect(const char *file, int line, const char *call, lava_status found, lava_status wanted);

/* The transport of frames in host memory, between the two parts, and its word in descriptions. */
uint32_t expected_transport(void);
const char *expected_transport_word(void);
/* Copies that lava makes of its frames. */
uint32_t expected_copies(void);

/* Waits until every other part has come to the same word. */
void meet(const char *word);
/* Says that this process is about to kill itself, and does so. */
void die(void);

uint64_t now(void);
void sleep_ms(unsigned milliseconds);

void fill(void *data, uint64_t number, size_t size);
bool is_filled(const void *data, uint64_t number, size_t size);

lava_context *new_context(void);

typedef struct {
    lava_context *context;
    lava_producer *producer;
} sender;

typedef struct {
    lava_context *context;
    lava_consumer *consumer;
} receiver;

/* A channel of these options; it waits for its consumers if `consumers` is not 0. */
sender open_sender(const char *channel, const lava_producer_options *options, uint32_t consumers);
void close_sender(sender side);
receiver open_receiver(const char *channel);
void close_receiver(receiver side);

/* The same on an existing context. */
lava_producer *new_producer(const lava_context *context, const char *channel, const lava_producer_options *options);
lava_consumer *new_consumer(const lava_context *context, const char *channel);

void send_number(lava_producer *producer, uint64_t number);
/* Receives the next frame, which must be this number with this sequence, and releases it. */
void receive_number(lava_consumer *consumer, uint64_t number, uint64_t sequence);
void send_pattern(lava_producer *producer, uint64_t number, size_t size);
void receive_pattern(lava_consumer *consumer, uint64_t number, size_t size);
lava_frame *receive(lava_consumer *consumer);
lava_frame_info info_of(const lava_frame *frame);
/* The channel has ended for this consumer. */
void receive_end(lava_consumer *consumer);
/* CHANNEL followed by `suffix`, in static memory of two rotating places. */
const char *named(const char *channel, const char *suffix);

#endif
