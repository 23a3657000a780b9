/*
 * lava over MPI beside MPI itself, in one run: two ranks, rounds of both in turn, the median of the rounds.
 *
 *     mpirun -n 2 compare [--rounds N] [--shm]
 *
 * One way latency is half a round trip: of MPI_Send and MPI_Recv, of persistent requests, and of a channel each way.
 * Bandwidth and small frames: MPI_Isend with a window of 64 into MPI_Irecv, and a channel with as many slots.
 * The program initialises MPI; lava attaches to a communicator of it. The scope must be remote (LAVA_SCOPE=remote where
 * both ranks are on one host).
 */
#define _GNU_SOURCE
#include <lava.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS_MAX = 201, WINDOW = 64, TAG = 7 };

static int rank, rounds = 15;
static MPI_Comm comm;
static lava_context *context;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec * 1e-3;
}

static void check(lava_status status, const char *what) {
    if (status == LAVA_OK) return;
    fprintf(stderr, "rank %d: %s: %s\n", rank, what, lava_status_name(status));
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static int smaller(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, smaller);
    return values[count / 2];
}

/* Two channels: from rank 0 to rank 1, and back. */
typedef struct {
    lava_producer *producer;
    lava_consumer *consumer;
} ends;

static ends open_ends(const char *name, size_t size, unsigned capacity) {
    lava_error error = LAVA_ERROR_INIT;
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    char mine[64], theirs[64];
    ends pair;
    options.max_frame_size = size < 64 ? 64 : size;
    options.capacity = capacity;
    options.queue_length = 4 * WINDOW;
    options.flags = LAVA_PRODUCER_NO_TIMESTAMP;
    snprintf(mine, sizeof mine, "compare/%s.%d", name, rank);
    snprintf(theirs, sizeof theirs, "compare/%s.%d", name, 1 - rank);
    if (lava_producer_create(context, mine, &options, &pair.producer, &error) != LAVA_OK ||
        lava_consumer_create(context, theirs, NULL, &pair.consumer, &error) != LAVA_OK ||
        lava_producer_wait_consumers(pair.producer, 1, 10000000000u, &error) != LAVA_OK) {
        fprintf(stderr, "rank %d: %s\n", rank, error.message);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return pair;
}

static void close_ends(ends *pair) {
    MPI_Barrier(comm);
    lava_consumer_destroy(pair->consumer);
    lava_producer_destroy(pair->producer);
    MPI_Barrier(comm);
}

static void send_frame(lava_producer *producer, size_t size) {
    static const char bytes[40];
    lava_frame *frame;
    if (size <= sizeof bytes) {
        check(lava_producer_send_bytes(producer, bytes, size, LAVA_FOREVER), "send");
        return;
    }
    check(lava_producer_loan(producer, size, LAVA_FOREVER, &frame), "loan");
    check(lava_producer_send(producer, frame, LAVA_FOREVER), "send");
}

static void take_frame(lava_consumer *consumer) {
    lava_frame *frame;
    check(lava_consumer_receive(consumer, LAVA_FOREVER, &frame), "receive");
    lava_frame_release(frame);
}

static double blocking(char *buffer, size_t size, int count) {
    MPI_Barrier(comm);
    double start = now();
    for (int i = 0; i < count; i++) {
        if (rank == 0) MPI_Send(buffer, (int)size, MPI_BYTE, 1, TAG, comm);
        MPI_Recv(buffer, (int)size, MPI_BYTE, 1 - rank, TAG, comm, MPI_STATUS_IGNORE);
        if (rank == 1) MPI_Send(buffer, (int)size, MPI_BYTE, 0, TAG, comm);
    }
    return (now() - start) / count / 2;
}

static double persistent(char *buffer, size_t size, int count) {
    MPI_Request send, receive;
    MPI_Send_init(buffer, (int)size, MPI_BYTE, 1 - rank, TAG, comm, &send);
    MPI_Recv_init(buffer + size, (int)size, MPI_BYTE, 1 - rank, TAG, comm, &receive);
    MPI_Start(&receive);
    MPI_Barrier(comm);
    double start = now();
    for (int i = 0; i < count; i++) {
        if (rank == 0) MPI_Start(&send);
        MPI_Wait(&receive, MPI_STATUS_IGNORE);
        if (i + 1 < count) MPI_Start(&receive);
        if (rank == 1) MPI_Start(&send);
        MPI_Wait(&send, MPI_STATUS_IGNORE);
    }
    double time = (now() - start) / count / 2;
    MPI_Request_free(&send);
    MPI_Request_free(&receive);
    return time;
}

static double channel(ends *pair, size_t size, int count) {
    MPI_Barrier(comm);
    double start = now();
    for (int i = 0; i < count; i++) {
        if (rank == 0) send_frame(pair->producer, size);
        take_frame(pair->consumer);
        if (rank == 1) send_frame(pair->producer, size);
    }
    return (now() - start) / count / 2;
}

/* Microseconds a message, one way, until the last one was received. */
static double window(char *buffer, size_t size, int count, int in_flight) {
    MPI_Request requests[WINDOW];
    char done = 0;
    MPI_Barrier(comm);
    double start = now();
    for (int i = 0; i < count; i += in_flight) {
        for (int j = 0; j < in_flight; j++) {
            char *at = buffer + (size_t)j * size;
            if (rank == 0)
                MPI_Isend(at, (int)size, MPI_BYTE, 1, TAG, comm, &requests[j]);
            else
                MPI_Irecv(at, (int)size, MPI_BYTE, 0, TAG, comm, &requests[j]);
        }
        MPI_Waitall(in_flight, requests, MPI_STATUSES_IGNORE);
    }
    if (rank == 1) MPI_Send(&done, 1, MPI_BYTE, 0, TAG, comm);
    if (rank == 0) MPI_Recv(&done, 1, MPI_BYTE, 1, TAG, comm, MPI_STATUS_IGNORE);
    return (now() - start) / count;
}

static double stream(ends *pair, size_t size, int count) {
    MPI_Barrier(comm);
    double start = now();
    for (int i = 0; i < count; i++) {
        if (rank == 0)
            send_frame(pair->producer, size);
        else
            take_frame(pair->consumer);
    }
    if (rank == 1) send_frame(pair->producer, 1);
    if (rank == 0) take_frame(pair->consumer);
    return (now() - start) / count;
}

static void latency(size_t size, int count) {
    static double times[3][ROUNDS_MAX];
    char name[32], *buffer = aligned_alloc(4096, (2 * size + 8191) / 4096 * 4096);
    memset(buffer, 1, 2 * size);
    snprintf(name, sizeof name, "latency-%zu", size);
    ends pair = open_ends(name, size, 4);
    blocking(buffer, size, count / 4 + 1);
    channel(&pair, size, count / 4 + 1);
    for (int round = 0; round < rounds; round++) {
        times[0][round] = blocking(buffer, size, count);
        times[1][round] = persistent(buffer, size, count);
        times[2][round] = channel(&pair, size, count);
    }
    double simple = median(times[0], rounds), set = median(times[1], rounds), lava = median(times[2], rounds);
    double best = simple < set ? simple : set;
    if (rank == 0)
        printf("one way %8zu B: MPI_Send %9.2f us, persistent %9.2f us, lava %9.2f us = %.2f x, %+.2f us\n", size,
               simple, set, lava, lava / best, lava - best);
    close_ends(&pair);
    free(buffer);
}

static void bandwidth(size_t size, int count, int in_flight) {
    static double times[2][ROUNDS_MAX];
    char name[32], *buffer = aligned_alloc(4096, ((size_t)in_flight * size + 4095) / 4096 * 4096);
    memset(buffer, 1, (size_t)in_flight * size);
    snprintf(name, sizeof name, "stream-%zu", size);
    ends pair = open_ends(name, size, (unsigned)in_flight);
    window(buffer, size, in_flight, in_flight);
    stream(&pair, size, 2 * in_flight);
    for (int round = 0; round < rounds; round++) {
        times[0][round] = window(buffer, size, count, in_flight);
        times[1][round] = stream(&pair, size, count);
    }
    double mpi = median(times[0], rounds), lava = median(times[1], rounds);
    if (rank == 0)
        printf("stream  %8zu B: MPI_Isend x%d %9.1f MB/s %8.0f /ms, lava %9.1f MB/s %8.0f /ms = %.2f x\n", size,
               in_flight, size / mpi, 1e3 / mpi, size / lava, 1e3 / lava, mpi / lava);
    close_ends(&pair);
    free(buffer);
}

int main(int argc, char **argv) {
    int provided, size;
    for (int i = 1; i + 1 < argc; i += 2)
        if (!strcmp(argv[i], "--rounds")) rounds = atoi(argv[i + 1]);
    if (rounds < 1 || rounds > ROUNDS_MAX) rounds = 15;
    signal(SIGPIPE, SIG_IGN); /* else each entry to MPI from a thread of the program would have to block it */
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size != 2) {
        fprintf(stderr, "two ranks, please\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    lava_error error = LAVA_ERROR_INIT;
    lava_context_options options = LAVA_CONTEXT_OPTIONS_INIT;
    options.has_mpi_communicator = 1;
    options.mpi_communicator = MPI_Comm_c2f(comm);
    if (lava_context_create(&options, &context, &error) != LAVA_OK) {
        fprintf(stderr, "rank %d: %s\n", rank, error.message);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    latency(8, 2000);
    if (argc > 3) return 0;
    latency(1024, 2000);
    latency(65536, 400);
    bandwidth(64, 64 * 200, WINDOW);
    bandwidth(1 << 20, 128, WINDOW);
    bandwidth(16 << 20, 8, 4);
    lava_context_destroy(context);
    MPI_Comm_free(&comm);
    MPI_Finalize();
    return 0;
}
