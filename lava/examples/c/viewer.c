/* Looks at the images of `camera`, until it ends. */
#include <lava.h>

#include <inttypes.h>
#include <stdio.h>

static void look_at(const lava_frame *image) {
    lava_tensor tensor = LAVA_TENSOR_INIT;
    lava_frame_info info = LAVA_FRAME_INFO_INIT;
    if (lava_frame_get_tensor(image, &tensor, NULL) != LAVA_OK || lava_frame_get_info(image, &info) != LAVA_OK) return;
    const unsigned char *pixels = lava_frame_data(image);
    uint64_t sum = 0;
    for (uint64_t at = 0; at < info.size; at++) sum += pixels[at];
    printf("image %" PRIu64 ": [", info.tag);
    for (uint32_t at = 0; at < tensor.dimensions; at++) printf(at > 0 ? ", %" PRId64 : "%" PRId64, tensor.shape[at]);
    printf("], mean %" PRIu64 "\n", info.size > 0 ? sum / info.size : 0);
}

int main(void) {
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context;
    lava_consumer *consumer = NULL;
    lava_consumer_options options = LAVA_CONSUMER_OPTIONS_INIT;
    options.memory = LAVA_MEMORY_STANDARD; /* the CPU looks at them, wherever the camera has them */
    lava_status status = lava_context_create(NULL, &context, &error);
    if (status == LAVA_OK) status = lava_consumer_create(context, "camera", &options, &consumer, &error);
    lava_connection_info connection = LAVA_CONNECTION_INFO_INIT;
    if (status == LAVA_OK) status = lava_consumer_get_connection(consumer, &connection, NULL, &error);
    if (status == LAVA_OK) printf("%u copies: %s\n", connection.copies, connection.reason);
    lava_frame *image;
    while (status == LAVA_OK && (status = lava_consumer_receive(consumer, LAVA_FOREVER, &image)) == LAVA_OK) {
        look_at(image);
        lava_frame_release(image);
    }
    lava_consumer_destroy(consumer);
    lava_context_destroy(context);
    if (status == LAVA_CLOSED) {
        puts("the camera has ended");
        return 0;
    }
    fprintf(stderr, "%s: %s\n", lava_status_name(status), error.message);
    return 1;
}
