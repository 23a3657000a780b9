/* Sends ten images a second, whether anybody looks or not. Start it, and `viewer` any number of times: `camera 100` sends 100
 * images. */
#define _POSIX_C_SOURCE 200809L
#include <lava.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEIGHT 480
#define WIDTH 640
#define COLOURS 3
#define SIZE (HEIGHT * WIDTH * COLOURS)

static lava_status send_image(lava_producer *producer, const lava_tensor *tensor, uint64_t number, lava_error *error) {
    lava_frame *image;
    lava_status status = lava_producer_loan(producer, SIZE, LAVA_NO_WAIT, &image);
    /* No slot is free if slow viewers hold them all: this image is lost, and the next one is tried. */
    if (status == LAVA_WOULD_BLOCK) return LAVA_OK;
    if (status != LAVA_OK) return status;
    memset(lava_frame_data_mut(image), (int)(number % 256), SIZE); /* the camera writes here, where the viewers read */
    status = lava_frame_set_tensor(image, tensor, error);
    if (status == LAVA_OK) status = lava_frame_set_tag(image, number);
    if (status == LAVA_OK) status = lava_producer_send(producer, image, LAVA_FOREVER);
    if (status != LAVA_OK) lava_frame_release(image);
    return status;
}

static lava_status send_images(lava_producer *producer, uint64_t count, lava_error *error) {
    const int64_t shape[] = { HEIGHT, WIDTH, COLOURS };
    const struct timespec interval = { 0, 100000000 };
    lava_tensor tensor = LAVA_TENSOR_INIT;
    tensor.dtype = LAVA_DTYPE_UINT;
    tensor.bits = 8;
    tensor.lanes = 1;
    tensor.dimensions = 3;
    memcpy(tensor.shape, shape, sizeof shape);
    lava_status status = LAVA_OK;
    for (uint64_t number = 0; number < count && status == LAVA_OK; number++) {
        status = send_image(producer, &tensor, number, error);
        nanosleep(&interval, NULL);
    }
    return status;
}

static void tell_viewers(lava_producer *producer) {
    for (uint32_t at = 0; at < lava_producer_connection_count(producer); at++) {
        lava_connection_info viewer = LAVA_CONNECTION_INFO_INIT;
        if (lava_producer_get_connection(producer, at, &viewer, NULL, NULL) != LAVA_OK) continue;
        printf("process %u: %llu images, %llu dropped\n", viewer.peer_process, (unsigned long long)viewer.frames,
            (unsigned long long)viewer.dropped);
    }
}

int main(int argc, char **argv) {
    const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context;
    lava_producer *producer = NULL;
    lava_status status = lava_context_create(NULL, &context, &error);
    if (status == LAVA_OK) {
        lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
        options.max_frame_size = SIZE;
        options.policy = LAVA_POLICY_DROP_OLDEST;
        status = lava_producer_create(context, "camera", &options, &producer, &error);
    }
    if (status == LAVA_OK) status = send_images(producer, count, &error);
    if (status == LAVA_OK) tell_viewers(producer);
    lava_producer_destroy(producer);
    lava_context_destroy(context);
    if (status != LAVA_OK) fprintf(stderr, "%s: %s\n", lava_status_name(status), error.message);
    return status != LAVA_OK;
}
