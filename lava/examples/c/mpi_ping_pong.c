/* Frames there and back between two ranks of an MPI job, on one host or two: `mpirun -n 2 mpi_ping_pong 1000`. The program knows
 * nothing of MPI; between ranks of one host the frames take shared memory. */
#define _POSIX_C_SOURCE 200809L
#include <lava.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIZE 65536
#define MINUTE 60000000000ull

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static lava_status send(lava_producer *producer, int number) {
    lava_frame *frame;
    lava_status status = lava_producer_loan(producer, SIZE, LAVA_FOREVER, &frame);
    if (status != LAVA_OK) return status;
    memset(lava_frame_data_mut(frame), number % 256, SIZE);
    status = lava_producer_send(producer, frame, LAVA_FOREVER);
    if (status != LAVA_OK) lava_frame_release(frame);
    return status;
}

/* The number that a frame has, or -1. */
static lava_status receive(lava_consumer *consumer, int *number) {
    lava_frame *frame;
    const lava_status status = lava_consumer_receive(consumer, LAVA_FOREVER, &frame);
    if (status != LAVA_OK) return status;
    const unsigned char *bytes = lava_frame_data(frame);
    *number = bytes[0] == bytes[SIZE - 1] ? bytes[0] : -1;
    return lava_frame_release(frame);
}

static lava_status ping(lava_producer *producer, lava_consumer *consumer, int count) {
    lava_status status = LAVA_OK;
    const double start = now();
    for (int number = 0; number < count && status == LAVA_OK; number++) {
        int back = -1;
        status = send(producer, number);
        if (status == LAVA_OK) status = receive(consumer, &back);
        if (status == LAVA_OK && back != number % 256) status = LAVA_ERROR_PROTOCOL;
    }
    if (status != LAVA_OK) return status;
    lava_connection_info info = LAVA_CONNECTION_INFO_INIT;
    lava_consumer_get_connection(consumer, &info, NULL, NULL);
    printf("%d round trips of %d bytes, %.1f us each: %s\n", count, SIZE, (now() - start) / count * 1e6, info.reason);
    return LAVA_OK;
}

static lava_status pong(lava_producer *producer, lava_consumer *consumer) {
    lava_status status;
    int number;
    while ((status = receive(consumer, &number)) == LAVA_OK)
        if ((status = send(producer, number)) != LAVA_OK) break;
    return status == LAVA_CLOSED ? LAVA_OK : status;
}

static lava_status play(const lava_context *context, int32_t rank, int count, lava_error *error) {
    const char *names[] = { "ping", "pong" };
    lava_producer *producer = NULL;
    lava_consumer *consumer = NULL;
    lava_consumer_options options = LAVA_CONSUMER_OPTIONS_INIT;
    options.timeout_ns = MINUTE;
    lava_status status = lava_producer_create(context, names[rank], NULL, &producer, error);
    if (status == LAVA_OK) status = lava_consumer_create(context, names[1 - rank], &options, &consumer, error);
    if (status == LAVA_OK) status = rank == 0 ? ping(producer, consumer, count) : pong(producer, consumer);
    lava_producer_destroy(producer);
    lava_consumer_destroy(consumer);
    return status;
}

int main(int argc, char **argv) {
    const int count = argc > 1 ? atoi(argv[1]) : 1000;
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context;
    lava_location here = LAVA_LOCATION_INIT;
    uint32_t ranks = 0;
    lava_status status = lava_context_create(NULL, &context, &error);
    /* All ranks meet here. */
    if (status == LAVA_OK) status = lava_context_get_peer_count(context, MINUTE, &ranks, &error);
    if (status == LAVA_OK) status = lava_location_current(context, &here, &error);
    if (status == LAVA_OK && ranks < 2) {
        fputs("start it as `mpirun -n 2 mpi_ping_pong`\n", stderr);
        lava_context_destroy(context);
        return 2;
    }
    if (status == LAVA_OK && here.rank < 2) status = play(context, here.rank, count, &error);
    lava_context_destroy(context);
    if (status != LAVA_OK) fprintf(stderr, "rank %d: %s: %s\n", here.rank, lava_status_name(status), error.message);
    return status != LAVA_OK;
}
