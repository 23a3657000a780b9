/* Many frames in one call, and frames given back in every order. */
#include "conformance.h"

#include <pthread.h>

#define PARTS 100

void batch_bytes_producer(const char *channel) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.max_frame_size = PARTS;
    options.capacity = PARTS;
    options.queue_length = 128;
    sender side = open_sender(channel, &options, 1);
    unsigned char data[PARTS][PARTS];
    lava_bytes parts[PARTS];
    for (size_t number = 0; number < PARTS; number++) {
        fill(data[number], number, number);
        parts[number].data = number ? data[number] : NULL;
        parts[number].size = number;
    }
    size_t sent;
    OK(lava_producer_send_bytes_many(side.producer, parts, PARTS, LONG, &sent));
    CHECK(sent == PARTS);
    OK(lava_producer_send_bytes_many(side.producer, parts, 0, LONG, &sent));
    CHECK(sent == 0);
    close_sender(side);
}

void batch_bytes_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frames[32];
    size_t received, number = 0;
    uint64_t timestamp = 0;
    while (number < PARTS) {
        OK(lava_consumer_receive_many(side.consumer, frames, 32, LONG, &received));
        CHECK(received >= 1 && received <= 32);
        for (size_t at = 0; at < received; at++, number++) {
            lava_frame_info info = info_of(frames[at]);
            if (number == 0) timestamp = info.timestamp_ns;
            CHECK(info.sequence == number && info.size == number && info.timestamp_ns == timestamp);
            CHECK(is_filled(lava_frame_data(frames[at]), number, number));
        }
        OK(lava_frame_release_many(frames, received));
    }
    EXPECT(lava_consumer_receive_many(side.consumer, frames, 32, LONG, &received), LAVA_CLOSED);
    CHECK(received == 0);
    close_receiver(side);
}

#define BATCH 16

void batch_loans_producer(const char *channel) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.capacity = BATCH;
    options.max_frame_size = 4096;
    sender side = open_sender(channel, &options, 1);
    for (size_t round = 0; round < 20; round++) {
        lava_frame *frames[BATCH];
        size_t loaned, sent, at = 0;
        while (at < BATCH) {
            OK(lava_producer_loan_many(side.producer, 4096, frames + at, BATCH - at, LONG, &loaned));
            CHECK(loaned >= 1 && at + loaned <= BATCH);
            at += loaned;
        }
        lava_frame *extra;
        EXPECT(lava_producer_loan_many(side.producer, 4096, &extra, 1, LAVA_NO_WAIT, &loaned), LAVA_WOULD_BLOCK);
        CHECK(loaned == 0);
        for (at = 0; at < BATCH; at++) fill(lava_frame_data_mut(frames[at]), round * BATCH + at, 4096);
        OK(lava_producer_send_many(side.producer, frames, BATCH, LONG, &sent));
        CHECK(sent == BATCH);
    }
    close_sender(side);
}

void batch_loans_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    size_t number = 0;
    while (number < 20 * BATCH) {
        lava_frame *frames[BATCH];
        size_t received;
        OK(lava_consumer_receive_many(side.consumer, frames, BATCH, LONG, &received));
        for (size_t at = 0; at < received; at++, number++)
            CHECK(is_filled(lava_frame_data(frames[at]), number, 4096));
        OK(lava_frame_release_many(frames, received));
    }
    receive_end(side.consumer);
    close_receiver(side);
}

static void send_patterns(const char *channel, uint64_t count, size_t size) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.capacity = 4;
    options.max_frame_size = size;
    sender side = open_sender(channel, &options, 1);
    for (uint64_t number = 0; number < count; number++) send_pattern(side.producer, number, size);
    close_sender(side);
}

void release_order_producer(const char *channel) { send_patterns(channel, 200, 1000); }

void release_order_consumer(const char *channel) {
    static const int order[4] = { 2, 0, 3, 1 };
    receiver side = open_receiver(channel);
    for (uint64_t round = 0; round < 50; round++) {
        lava_frame *frames[4];
        for (uint64_t at = 0; at < 4; at++) frames[at] = receive(side.consumer);
        for (uint64_t at = 0; at < 4; at++) CHECK(is_filled(lava_frame_data(frames[at]), round * 4 + at, 1000));
        for (int at = 0; at < 4; at++) OK(lava_frame_release(frames[order[at]]));
    }
    receive_end(side.consumer);
    close_receiver(side);
}

void release_thread_producer(const char *channel) { send_patterns(channel, 1000, 512); }

/* Four places between the thread that receives and the one that releases. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    lava_frame *frames[4];
    uint64_t put, taken;
} queue;

static void *release_all(void *argument) {
    queue *waiting = argument;
    for (uint64_t number = 0; number < 1000; number++) {
        pthread_mutex_lock(&waiting->lock);
        while (waiting->put == number) pthread_cond_wait(&waiting->changed, &waiting->lock);
        lava_frame *frame = waiting->frames[number % 4];
        waiting->taken = number + 1;
        pthread_cond_signal(&waiting->changed);
        pthread_mutex_unlock(&waiting->lock);
        CHECK(is_filled(lava_frame_data(frame), number, 512));
        OK(lava_frame_release(frame));
    }
    return NULL;
}

void release_thread_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    queue waiting = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, { NULL }, 0, 0 };
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, release_all, &waiting) == 0);
    for (uint64_t number = 0; number < 1000; number++) {
        lava_frame *frame = receive(side.consumer);
        pthread_mutex_lock(&waiting.lock);
        while (waiting.put - waiting.taken == 4) pthread_cond_wait(&waiting.changed, &waiting.lock);
        waiting.frames[number % 4] = frame;
        waiting.put = number + 1;
        pthread_cond_signal(&waiting.changed);
        pthread_mutex_unlock(&waiting.lock);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    receive_end(side.consumer);
    close_receiver(side);
}
