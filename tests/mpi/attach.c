/* An MPI program of its own that uses lava beside its own messages.
 *
 *   attach multiple|funneled [frames]   initialises MPI at that level, gives lava a communicator with the ranks reversed,
 *                                       and finalises MPI while lava's objects live
 *   attach none                         leaves MPI to lava, then finds it initialised
 *   attach finalized                    asks lava after MPI_Finalize
 *
 * With `frames` the first rank of the communicator sends to all others, while the program's own messages, which match
 * any source and tag, and its collective calls go on. Ends with 0, or says what is wrong. */
#define _POSIX_C_SOURCE 200809L
#include <lava.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)
#define FRAMES 200
#define FRAME_SIZE 100000

static void wrong(const char *what, lava_status status, const lava_error *error) {
    fprintf(stderr, "attach: %s: %s: %s\n", what, lava_status_name(status), error ? error->message : "");
    int initialised = 0;
    MPI_Initialized(&initialised);
    if (initialised) MPI_Abort(MPI_COMM_WORLD, 1);
    exit(1);
}

static void expect(int condition, const char *what) {
    if (!condition) wrong(what, LAVA_OK, NULL);
}

#define CALL(call) \
    do { \
        lava_status status_ = (call); \
        if (status_ != LAVA_OK) wrong(#call, status_, &error); \
    } while (0)

static lava_error error = LAVA_ERROR_INIT;
static MPI_Comm ring;
static int rank, size;

static lava_context *context_of(MPI_Comm communicator) {
    lava_context_options options = LAVA_CONTEXT_OPTIONS_INIT;
    lava_context *context;
    options.scope = LAVA_SCOPE_REMOTE;
    if (communicator != MPI_COMM_NULL) {
        options.has_mpi_communicator = 1;
        options.mpi_communicator = MPI_Comm_c2f(communicator);
    }
    CALL(lava_context_create(&options, &context, &error));
    return context;
}

static uint32_t peers(lava_context *context) {
    uint32_t count = 0;
    CALL(lava_context_get_peer_count(context, 30 * SECOND, &count, &error));
    return count;
}

/* Lets lava move frames where only this thread may call MPI; a moment's rest where lava has threads. */
static void progress(lava_context *context) {
    lava_status status = lava_context_progress(context, SECOND / 1000, &error);
    if (status < 0) wrong("lava_context_progress", status, &error);
}

static void finish(MPI_Request *request, MPI_Status *status, lava_context *context) {
    int complete = 0;
    while (MPI_Test(request, &complete, status), !complete)
        if (context) progress(context);
}

/* A round of the program's own messages on the communicator that lava was given; lava moves frames meanwhile. */
static void own_messages(int value, lava_context *context) {
    int sum = 0, got = -1;
    MPI_Request request;
    MPI_Status status;
    MPI_Irecv(&got, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, ring, &request);
    MPI_Send(&value, 1, MPI_INT, (rank + 1) % size, 7, ring);
    finish(&request, &status, context);
    expect(got == value && status.MPI_TAG == 7, "a message of the program's own came as another");
    MPI_Iallreduce(&value, &sum, 1, MPI_INT, MPI_SUM, ring, &request);
    finish(&request, &status, context);
    expect(sum == value * size, "the program's own sum is wrong");
}

static void send_frames(lava_context *context) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    lava_producer *producer;
    unsigned char *bytes = malloc(FRAME_SIZE);
    lava_status status;
    options.max_frame_size = FRAME_SIZE;
    CALL(lava_producer_create(context, "attach", &options, &producer, &error));
    do {
        progress(context);
        status = lava_producer_wait_consumers(producer, (uint32_t)size - 1, 0, &error);
    } while (status == LAVA_WOULD_BLOCK || status == LAVA_TIMED_OUT);
    if (status != LAVA_OK) wrong("lava_producer_wait_consumers", status, NULL);
    for (int number = 0; number < FRAMES; number++) {
        memset(bytes, number, FRAME_SIZE);
        while ((status = lava_producer_send_bytes(producer, bytes, FRAME_SIZE - (size_t)number, 0)) > 0) progress(context);
        if (status != LAVA_OK) wrong("lava_producer_send_bytes", status, NULL);
        if (number % 50 == 0) own_messages(number, context);
    }
    free(bytes);
    lava_producer_destroy(producer);
}

static void receive_frames(lava_context *context) {
    lava_consumer_options options = LAVA_CONSUMER_OPTIONS_INIT;
    lava_consumer *consumer;
    lava_frame *frame;
    lava_status status;
    options.require_transports = LAVA_TRANSPORT_MPI;
    options.timeout_ns = 30 * SECOND;
    CALL(lava_consumer_create(context, "attach", &options, &consumer, &error));
    for (int number = 0; number < FRAMES; number++) {
        while ((status = lava_consumer_receive(consumer, 0, &frame)) == LAVA_WOULD_BLOCK || status == LAVA_TIMED_OUT)
            progress(context);
        if (status != LAVA_OK) wrong("lava_consumer_receive", status, NULL);
        const unsigned char *bytes = lava_frame_data(frame);
        size_t length = lava_frame_size(frame);
        expect(length == FRAME_SIZE - (size_t)number, "a frame has another length");
        expect(bytes[0] == (unsigned char)number && bytes[length - 1] == (unsigned char)number, "a frame has other bytes");
        lava_frame_release(frame);
        if (number % 50 == 0) own_messages(number, context);
    }
    while ((status = lava_consumer_receive(consumer, 0, &frame)) == LAVA_WOULD_BLOCK || status == LAVA_TIMED_OUT)
        progress(context);
    if (status != LAVA_CLOSED) wrong("the end of the channel", status, NULL);
    lava_consumer_destroy(consumer);
}

static void attached(int level, int with_frames) {
    int provided, world_rank;
    lava_location here = LAVA_LOCATION_INIT;
    MPI_Init_thread(NULL, NULL, level, &provided);
    expect(provided == level, "MPI does not give the thread level");
    MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
    MPI_Comm_split(MPI_COMM_WORLD, 0, -world_rank, &ring);
    MPI_Comm_rank(ring, &rank);
    MPI_Comm_size(ring, &size);
    lava_context *context = context_of(ring);
    if (level == MPI_THREAD_MULTIPLE) {
        /* The first one asks before the others come. */
        uint32_t count = 0;
        if (rank == 0) {
            lava_status status = lava_context_get_peer_count(context, 0, &count, &error);
            expect(size == 1 || status == LAVA_TIMED_OUT, "ranks that have not come are not missed");
        }
        MPI_Barrier(ring);
    }
    expect(peers(context) == (uint32_t)size, "the job has another number of ranks");
    CALL(lava_location_current(context, &here, &error));
    expect(here.rank == rank, "lava has another rank than the communicator");
    for (int one = 0; one < size; one++) {
        CALL(lava_context_get_peer_location(context, (uint32_t)one, &here, &error));
        expect(here.rank == one, "a location has another rank");
    }
    expect(lava_context_get_peer_location(context, (uint32_t)size, &here, &error) == LAVA_ERROR_NOT_FOUND, "a rank too many");
    /* A second context of the process is in the same job. */
    lava_context *second = context_of(ring);
    expect(peers(second) == (uint32_t)size, "a second context has another number of ranks");
    lava_context_destroy(second);
    own_messages(1000, context);
    if (with_frames) (rank == 0 ? send_frames : receive_frames)(context);
    own_messages(2000, context);
    lava_context_destroy(context);
    context = context_of(ring);
    expect(peers(context) == (uint32_t)size, "a context does not join after another one has left");
    own_messages(3000, NULL);
    MPI_Comm_free(&ring);
#ifdef MPICH_VERSION
    /* Its MPI_Finalize allows no other thread inside of MPI, and over TCP no other rank that looks for messages:
     * doc/guide_mpi.md. */
    lava_context_destroy(context);
    context = NULL;
    MPI_Barrier(MPI_COMM_WORLD);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
#endif
    MPI_Finalize();
    lava_context_destroy(context);
}

static void left_to_lava(void) {
    int initialised = 1, level, world;
    MPI_Initialized(&initialised);
    expect(!initialised, "MPI is initialised before anybody asked");
    lava_context *context = context_of(MPI_COMM_NULL);
    MPI_Initialized(&initialised);
    expect(!initialised, "MPI is initialised by a context alone");
    uint32_t count = peers(context);
    MPI_Initialized(&initialised);
    MPI_Query_thread(&level);
    MPI_Comm_size(MPI_COMM_WORLD, &world);
    expect(initialised && level == MPI_THREAD_MULTIPLE && (uint32_t)world == count, "lava initialises MPI otherwise");
    lava_context_destroy(context);
    context = context_of(MPI_COMM_NULL);
    expect(peers(context) == count, "MPI does not outlive its first context");
    lava_context_destroy(context);
}

static void after_the_end(void) {
    uint32_t count;
    MPI_Init(NULL, NULL);
    MPI_Finalize();
    lava_context *context = context_of(MPI_COMM_NULL);
    lava_status status = lava_context_get_peer_count(context, SECOND, &count, &error);
    if (status != LAVA_ERROR_UNSUPPORTED || !strstr(error.message, "finalised")) {
        fprintf(stderr, "attach: after MPI_Finalize: %s: %s\n", lava_status_name(status), error.message);
        exit(1);
    }
    lava_context_destroy(context);
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    int with_frames = argc > 2 && strcmp(argv[2], "frames") == 0;
    if (strcmp(mode, "multiple") == 0) attached(MPI_THREAD_MULTIPLE, with_frames);
    else if (strcmp(mode, "funneled") == 0) attached(MPI_THREAD_FUNNELED, with_frames);
    else if (strcmp(mode, "none") == 0) left_to_lava();
    else if (strcmp(mode, "finalized") == 0) after_the_end();
    else return 2;
    return 0;
}
