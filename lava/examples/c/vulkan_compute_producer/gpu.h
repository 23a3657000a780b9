/* The application's own Vulkan: one device, one queue, one compute pipeline that fills a frame. */
#ifndef GPU_H
#define GPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GPU_SLOTS_MAX 16

/* What belongs to one slot of lava's pool: what filled it last. */
typedef struct {
    VkDeviceSize offset;
    VkCommandBuffer commands;
    VkDescriptorSet set;
    VkFence done;
} gpu_slot;

typedef struct {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    uint32_t family;
    VkQueue queue;
    /* Held by whoever submits to the queue: this program, or lava from any thread. */
    pthread_mutex_t lock;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    VkDescriptorPool sets;
    VkCommandPool commands;
    gpu_slot slots[GPU_SLOTS_MAX];
    uint32_t slot_count;
} gpu;

/* False where there is no Vulkan, or a device without what lava needs; then there is nothing to close. */
bool gpu_open(gpu *self, uint32_t slots);
/* After the context, and all that was made of it. */
void gpu_close(gpu *self);
/* Lets the GPU write `words` words at `at` of `pool`, and signal `value` of `ready` when it has; returns at once. Without a
 * semaphore it waits until the GPU has. */
bool gpu_fill(gpu *self, VkBuffer pool, VkDeviceSize at, uint32_t words, uint32_t number, VkSemaphore ready, uint64_t value);
/* Waits until all is done. */
bool gpu_finish(gpu *self);

#ifdef __cplusplus
}
#endif

#endif
