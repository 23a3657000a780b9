/* A program with a Vulkan device of its own, whose compute shader writes frames in place; and a consumer on the CPU, which has
 * no GPU. */
#include "gpu.h"

#include <lava.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WORDS (1u << 18)
#define SIZE (WORDS * 4)
#define FRAMES 100
#define SLOTS 4

static char channel[32];

static int fail(lava_status status, const lava_error *error) {
    fprintf(stderr, "%s: %s\n", lava_status_name(status), error->message);
    return 1;
}

static bool is_right(const uint32_t *words, uint32_t number) {
    for (uint32_t at = 0; at < WORDS; at++)
        if (words[at] != (at * 2654435761u ^ number)) return false;
    return true;
}

/* On the CPU: lava copies each frame once, whatever number of such consumers there is. */
static void *consume(void *argument) {
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context;
    lava_consumer *consumer = NULL;
    lava_consumer_options options = LAVA_CONSUMER_OPTIONS_INIT;
    options.memory = LAVA_MEMORY_STANDARD;
    lava_status status = lava_context_create(NULL, &context, &error);
    if (status == LAVA_OK) status = lava_consumer_create(context, channel, &options, &consumer, &error);
    lava_connection_info connection = LAVA_CONNECTION_INFO_INIT;
    if (status == LAVA_OK) status = lava_consumer_get_connection(consumer, &connection, NULL, &error);
    if (status == LAVA_OK) printf("%u copies: %s\n", connection.copies, connection.reason);
    uint32_t count = 0, wrong = 0;
    lava_frame *frame;
    while (status == LAVA_OK && (status = lava_consumer_receive(consumer, LAVA_FOREVER, &frame)) == LAVA_OK) {
        lava_frame_info info = LAVA_FRAME_INFO_INIT;
        lava_frame_get_info(frame, &info);
        if (info.size != SIZE || !is_right(lava_frame_data(frame), (uint32_t)info.tag)) wrong++;
        count++;
        lava_frame_release(frame);
    }
    lava_consumer_destroy(consumer);
    lava_context_destroy(context);
    if (status != LAVA_CLOSED) fail(status, &error);
    printf("%u frames of %u bytes, %u of them wrong\n", count, SIZE, wrong);
    return status == LAVA_CLOSED && count == FRAMES && wrong == 0 ? NULL : argument;
}

/* Sends a frame before the GPU has written it. Whoever reads it waits for the value that the GPU signals. */
static lava_status send_frame(gpu *own, lava_producer *producer, uint32_t number, lava_error *error) {
    lava_frame *loan;
    lava_buffer *buffer = NULL;
    uint64_t offset;
    lava_vulkan_buffer pool = LAVA_VULKAN_BUFFER_INIT;
    lava_frame_sync ready = LAVA_FRAME_SYNC_INIT;
    lava_status status = lava_producer_loan(producer, SIZE, LAVA_FOREVER, &loan);
    if (status != LAVA_OK) return status;
    status = lava_frame_get_buffer(loan, &buffer, &offset, error);
    if (status == LAVA_OK) status = lava_buffer_get_vulkan(buffer, &pool, error);
    if (status == LAVA_OK) status = lava_frame_next_ready(loan, &ready, error);
    if (status == LAVA_OK
        && !gpu_fill(own, (VkBuffer)(uintptr_t)pool.buffer, pool.offset + offset, WORDS, number,
            (VkSemaphore)(uintptr_t)ready.semaphore, ready.value))
        status = LAVA_ERROR_DEVICE;
    lava_buffer_destroy(buffer);
    if (status == LAVA_OK) status = lava_frame_set_tag(loan, number);
    if (status == LAVA_OK) status = lava_producer_send(producer, loan, LAVA_FOREVER);
    if (status != LAVA_OK) lava_frame_release(loan);
    return status;
}

static void lock_queue(void *mutex) { pthread_mutex_lock(mutex); }
static void unlock_queue(void *mutex) { pthread_mutex_unlock(mutex); }

static lava_status open_context(gpu *own, lava_context **context, lava_error *error) {
    lava_vulkan_device device = LAVA_VULKAN_DEVICE_INIT;
    device.instance = own->instance;
    device.physical_device = own->physical;
    device.device = own->device;
    device.queue = own->queue;
    device.queue_family = own->family;
    device.get_instance_proc_addr = (void (*)(void))vkGetInstanceProcAddr;
    device.user = &own->lock;
    device.lock = lock_queue;
    device.unlock = unlock_queue;
    lava_context_options options = LAVA_CONTEXT_OPTIONS_INIT;
    options.vulkan = &device;
    return lava_context_create(&options, context, error);
}

static int produce(gpu *own) {
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context;
    lava_producer *producer = NULL;
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    options.max_frame_size = SIZE;
    options.capacity = SLOTS;
    options.memory = LAVA_MEMORY_DEVICE;
    options.flags = LAVA_PRODUCER_REQUIRE_MEMORY;
    lava_status status = open_context(own, &context, &error);
    if (status == LAVA_OK) status = lava_producer_create(context, channel, &options, &producer, &error);
    if (status == LAVA_OK) status = lava_producer_wait_consumers(producer, 1, 20 * 1000000000ull, &error);
    for (uint32_t number = 0; number < FRAMES && status == LAVA_OK; number++)
        status = send_frame(own, producer, number, &error);
    if (status == LAVA_OK && !gpu_finish(own)) status = LAVA_ERROR_DEVICE;
    lava_producer_destroy(producer);
    lava_context_destroy(context);
    return status == LAVA_OK ? 0 : fail(status, &error);
}

int main(void) {
    static gpu own;
    if (!gpu_open(&own, SLOTS)) {
        puts("skipped: no Vulkan device that can share memory");
        return 0;
    }
    snprintf(channel, sizeof channel, "vulkan_compute-%d", (int)getpid());
    pthread_t consumer;
    void *failed = &own;
    int result = 1;
    if (pthread_create(&consumer, NULL, consume, &own) == 0) {
        result = produce(&own);
        pthread_join(consumer, &failed);
    }
    gpu_close(&own);
    return result != 0 || failed != NULL;
}
