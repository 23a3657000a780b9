/*
 * lava over MPI beside MPI itself, in one run: two ranks, many short rounds of both in turn, the median of the rounds, and
 * the best round, which a busy machine disturbs least. `compare.sh` runs it with each MPI on each network.
 *
 *     mpirun -n 2 compare [--rounds N] [--only latency|stream|stall|memory]
 *
 * latency  one way is half a round trip: of MPI_Send and MPI_Recv, of persistent requests, and of a channel each way
 * stream   MPI_Isend with a window of 64 (4 of 16 MiB) into MPI_Irecv, and a channel with as many slots
 * stall    the receiver is busy elsewhere for 400 ms: the longest call of a producer that has room
 * memory   a million frames to a receiver that has stopped: what the processes grow by
 *
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

enum { ROUNDS_MAX = 1001, WINDOW = 64, TAG = 7 };

static int rank, rounds = 0;
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

/* Sorts: the first is the best, the middle one the median. */
static void sort(double *values, int count) { qsort(values, (size_t)count, sizeof *values, smaller); }

/* Two channels: from rank 0 to rank 1, and back. */
typedef struct {
    lava_producer *producer;
    lava_consumer *consumer;
} ends;

static ends open_ends(const char *name, size_t size, unsigned capacity, unsigned policy) {
    lava_error error = LAVA_ERROR_INIT;
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    char mine[64], theirs[64];
    ends pair;
    options.max_frame_size = size < 64 ? 64 : size;
    options.capacity = capacity;
    options.queue_length = 4 * WINDOW;
    options.policy = policy;
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
    lava_status loaned = lava_producer_loan(producer, size, LAVA_FOREVER, &frame);
    if (loaned == LAVA_WOULD_BLOCK) return; /* a policy drops it */
    check(loaned, "loan");
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
    MPI_Status statuses[WINDOW];
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
        MPI_Waitall(in_flight, requests, statuses);
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

static void latency(size_t size, int count, int many) {
    static double times[3][ROUNDS_MAX];
    char name[32], *buffer = aligned_alloc(4096, (2 * size + 8191) / 4096 * 4096);
    memset(buffer, 1, 2 * size);
    snprintf(name, sizeof name, "latency-%zu", size);
    ends pair = open_ends(name, size, 0, LAVA_POLICY_BLOCK);
    blocking(buffer, size, count);
    channel(&pair, size, count);
    for (int round = 0; round < many; round++) {
        times[0][round] = blocking(buffer, size, count);
        times[1][round] = persistent(buffer, size, count);
        times[2][round] = channel(&pair, size, count);
    }
    for (int of = 0; of < 3; of++) sort(times[of], many);
    for (int best = 0; best < 2 && rank == 0; best++) {
        int at = best ? 0 : many / 2;
        double simple = times[0][at], set = times[1][at], lava = times[2][at], mpi = simple < set ? simple : set;
        printf("%-6s one way %8zu B: MPI_Send %8.2f us, persistent %8.2f us, lava %8.2f us = %5.2f x, %+.2f us\n",
               best ? "best" : "median", size, simple, set, lava, lava / mpi, lava - mpi);
    }
    close_ends(&pair);
    free(buffer);
}

static void bandwidth(size_t size, int count, int in_flight, int many) {
    static double times[2][ROUNDS_MAX];
    char name[32], *buffer = aligned_alloc(4096, ((size_t)in_flight * size + 4095) / 4096 * 4096);
    memset(buffer, 1, (size_t)in_flight * size);
    snprintf(name, sizeof name, "stream-%zu", size);
    ends pair = open_ends(name, size, (unsigned)in_flight, LAVA_POLICY_BLOCK);
    window(buffer, size, in_flight, in_flight);
    stream(&pair, size, 2 * in_flight);
    for (int round = 0; round < many; round++) {
        times[0][round] = window(buffer, size, count, in_flight);
        times[1][round] = stream(&pair, size, count);
    }
    for (int of = 0; of < 2; of++) sort(times[of], many);
    for (int best = 0; best < 2 && rank == 0; best++) {
        double mpi = times[0][best ? 0 : many / 2], lava = times[1][best ? 0 : many / 2];
        printf("%-6s stream  %8zu B: MPI_Isend x%-2d %9.1f MB/s %8.1f /ms, lava %9.1f MB/s %8.1f /ms = %5.2f x\n",
               best ? "best" : "median", size, in_flight, size / mpi, 1e3 / mpi, size / lava, 1e3 / lava, mpi / lava);
    }
    close_ends(&pair);
    free(buffer);
}

static void pause_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* The receiver does nothing for 400 ms: its producer has room for all that it sends meanwhile. */
static void stall(size_t size, int count) {
    char name[32];
    double longest = 0, all = 0;
    snprintf(name, sizeof name, "stall-%zu", size);
    ends pair = open_ends(name, size, (unsigned)count, LAVA_POLICY_BLOCK);
    MPI_Barrier(comm);
    double start = now();
    for (int i = 0; i < count && rank == 0; i++) {
        double before = now();
        send_frame(pair.producer, size);
        double took = now() - before;
        if (took > longest) longest = took;
    }
    all = now() - start;
    if (rank == 1) {
        pause_ms(400);
        for (int i = 0; i < count; i++) take_frame(pair.consumer);
    }
    if (rank == 0)
        printf("busy receiver %4zu B: %d frames sent in %.2f ms, the longest send %.3f ms, while it did nothing for 400 ms\n",
               size, count, all * 1e-3, longest * 1e-3);
    close_ends(&pair);
}

static long resident_kib(void) {
    char line[128];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "VmRSS: %ld", &kib);
    if (status) fclose(status);
    return kib;
}

/* Frames that the consumer does not take, and that a policy drops. */
static void memory(size_t size, int count) {
    char name[32];
    snprintf(name, sizeof name, "memory-%zu", size);
    ends pair = open_ends(name, size, 64, LAVA_POLICY_DROP_NEWEST);
    for (int i = 0; i < 1000 && rank == 0; i++) send_frame(pair.producer, size);
    MPI_Barrier(comm);
    pause_ms(100);
    long before = resident_kib(), grew[2];
    for (int i = 0; i < count && rank == 0; i++) send_frame(pair.producer, size);
    MPI_Barrier(comm);
    pause_ms(100);
    long mine = resident_kib() - before;
    MPI_Gather(&mine, 1, MPI_LONG, grew, 1, MPI_LONG, 0, comm);
    if (rank == 0)
        printf("stopped receiver %zu B: %d frames, the sender grew by %ld KiB, the receiver by %ld KiB\n", size, count,
               grew[0], grew[1]);
    close_ends(&pair);
}

static int is_wanted(const char *only, const char *what) { return !only || !strcmp(only, what); }

static void measure(const char *only) {
    int many = rounds ? rounds : 301, few = rounds ? rounds : 15;
    if (is_wanted(only, "latency")) {
        latency(8, 50, many);
        latency(1024, 50, many);
        latency(65536, 20, many);
    }
    if (is_wanted(only, "stream")) {
        bandwidth(64, 64 * 20, WINDOW, many);
        bandwidth(1 << 20, 128, WINDOW, few);
        bandwidth(16 << 20, 8, 4, few);
    }
    if (is_wanted(only, "stall")) {
        stall(8, 64);
        stall(1024, 64);
    }
    if (is_wanted(only, "memory")) memory(1024, 1000000);
}

int main(int argc, char **argv) {
    const char *only = NULL;
    int provided, size;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--rounds")) rounds = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--only")) only = argv[i + 1];
    }
    if (rounds < 0 || rounds > ROUNDS_MAX) rounds = 0;
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
    measure(only);
    lava_context_destroy(context);
    MPI_Comm_free(&comm);
    /* MPICH over TCP may hang if a rank ends while another still looks for messages: doc/guide_mpi.md. */
    MPI_Barrier(MPI_COMM_WORLD);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    MPI_Finalize();
    return 0;
}
