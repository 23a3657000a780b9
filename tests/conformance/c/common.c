#include "conformance.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

lava_error detail = LAVA_ERROR_INIT;

void fail(const char *file, int line, const char *text) {
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, text);
    exit(1);
}

void expect(const char *file, int line, const char *call, lava_status found, lava_status wanted) {
    if (found == wanted) return;
    fprintf(stderr, "%s:%d: %s gave %s, wanted %s", file, line, call, lava_status_name(found), lava_status_name(wanted));
    if (detail.status == found && found != LAVA_OK) fprintf(stderr, ": %s", detail.message);
    fputc('\n', stderr);
    exit(1);
}

uint32_t expected_transport(void) {
    const char *wanted = getenv("CONFORMANCE_TRANSPORT");
    return wanted != NULL && strcmp(wanted, "mpi") == 0 ? LAVA_TRANSPORT_MPI : LAVA_TRANSPORT_SHM;
}

const char *expected_transport_word(void) { return expected_transport() == LAVA_TRANSPORT_MPI ? "\"mpi\"" : "\"shm\""; }

uint32_t expected_copies(void) { return expected_transport() == LAVA_TRANSPORT_MPI; }

void meet(const char *word) {
    char line[128], wanted[128];
    snprintf(wanted, sizeof wanted, "go %s\n", word);
    printf("meet %s\n", word);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin) || strcmp(line, wanted) != 0) {
        fprintf(stderr, "the other part did not come to `%s`\n", word);
        exit(1);
    }
}

void die(void) {
    puts("dying");
    fflush(stdout);
    raise(SIGKILL);
}

uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

void sleep_ms(unsigned milliseconds) {
    usleep(milliseconds * 1000);
}

static unsigned char pattern(uint64_t number, size_t at) {
    return (unsigned char)(number * 131 + at * 7 + at / 256);
}

void fill(void *data, uint64_t number, size_t size) {
    for (size_t at = 0; at < size; at++) ((unsigned char *)data)[at] = pattern(number, at);
}

bool is_filled(const void *data, uint64_t number, size_t size) {
    for (size_t at = 0; at < size; at++)
        if (((const unsigned char *)data)[at] != pattern(number, at)) return false;
    return true;
}

lava_context *new_context(void) {
    lava_context *context;
    OK(lava_context_create(NULL, &context, &detail));
    return context;
}

lava_producer *new_producer(const lava_context *context, const char *channel, const lava_producer_options *options) {
    lava_producer *producer;
    OK(lava_producer_create(context, channel, options, &producer, &detail));
    return producer;
}

lava_consumer *new_consumer(const lava_context *context, const char *channel) {
    lava_consumer *consumer;
    OK(lava_consumer_create(context, channel, NULL, &consumer, &detail));
    return consumer;
}

sender open_sender(const char *channel, const lava_producer_options *options, uint32_t consumers) {
    sender side;
    side.context = new_context();
    side.producer = new_producer(side.context, channel, options);
    if (consumers > 0) OK(lava_producer_wait_consumers(side.producer, consumers, LONG, &detail));
    return side;
}

void close_sender(sender side) {
    lava_producer_destroy(side.producer);
    lava_context_destroy(side.context);
}

receiver open_receiver(const char *channel) {
    receiver side;
    side.context = new_context();
    side.consumer = new_consumer(side.context, channel);
    return side;
}

void close_receiver(receiver side) {
    lava_consumer_destroy(side.consumer);
    lava_context_destroy(side.context);
}

void send_number(lava_producer *producer, uint64_t number) {
    unsigned char bytes[8];
    for (int at = 0; at < 8; at++) bytes[at] = (unsigned char)(number >> (8 * at));
    OK(lava_producer_send_bytes(producer, bytes, sizeof bytes, LONG));
}

lava_frame *receive(lava_consumer *consumer) {
    lava_frame *frame;
    OK(lava_consumer_receive(consumer, LONG, &frame));
    CHECK(frame != NULL);
    return frame;
}

lava_frame_info info_of(const lava_frame *frame) {
    lava_frame_info info = LAVA_FRAME_INFO_INIT;
    OK(lava_frame_get_info(frame, &info));
    return info;
}

void receive_number(lava_consumer *consumer, uint64_t number, uint64_t sequence) {
    lava_frame *frame = receive(consumer);
    CHECK(lava_frame_size(frame) == 8);
    const unsigned char *bytes = lava_frame_data(frame);
    uint64_t found = 0;
    for (int at = 0; at < 8; at++) found |= (uint64_t)bytes[at] << (8 * at);
    if (found != number || info_of(frame).sequence != sequence) {
        fprintf(stderr, "frame %llu has number %llu, sequence %llu; wanted sequence %llu\n", (unsigned long long)number,
            (unsigned long long)found, (unsigned long long)info_of(frame).sequence, (unsigned long long)sequence);
        exit(1);
    }
    OK(lava_frame_release(frame));
}

void send_pattern(lava_producer *producer, uint64_t number, size_t size) {
    lava_frame *frame;
    OK(lava_producer_loan(producer, size, LONG, &frame));
    fill(lava_frame_data_mut(frame), number, size);
    OK(lava_producer_send(producer, frame, LONG));
}

void receive_pattern(lava_consumer *consumer, uint64_t number, size_t size) {
    lava_frame *frame = receive(consumer);
    CHECK(lava_frame_size(frame) == size);
    CHECK(is_filled(lava_frame_data(frame), number, size));
    OK(lava_frame_release(frame));
}

void receive_end(lava_consumer *consumer) {
    lava_frame *frame;
    EXPECT(lava_consumer_receive(consumer, LONG, &frame), LAVA_CLOSED);
    CHECK(frame == NULL);
}

const char *named(const char *channel, const char *suffix) {
    static char names[2][LAVA_NAME_MAX + 1];
    static int turn;
    char *name = names[turn++ % 2];
    CHECK(snprintf(name, sizeof names[0], "%s%s", channel, suffix) < (int)sizeof names[0]);
    return name;
}
