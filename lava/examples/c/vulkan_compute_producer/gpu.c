#include "gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* WAVE_SPV: the compiled shader, named by the build. */
static uint32_t *read_shader(size_t *size) {
    FILE *file = fopen(WAVE_SPV, "rb");
    if (file == NULL) return NULL;
    uint32_t *code = malloc(65536);
    *size = code != NULL ? fread(code, 1, 65536, file) : 0;
    fclose(file);
    return code;
}

/* Needed, and used where the device has it. */
static const char *const EXTENSIONS[] = {
    VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
    VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
    VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME,
};
#define EXTENSION_COUNT (sizeof EXTENSIONS / sizeof EXTENSIONS[0])

/* How many of them the device has, written to `names`; 0 if it lacks the first. */
static uint32_t find_extensions(VkPhysicalDevice physical, const char **names) {
    uint32_t count = 0, found = 0;
    vkEnumerateDeviceExtensionProperties(physical, NULL, &count, NULL);
    VkExtensionProperties *offered = calloc(count + 1, sizeof *offered);
    if (offered == NULL || vkEnumerateDeviceExtensionProperties(physical, NULL, &count, offered) != VK_SUCCESS) count = 0;
    for (size_t wanted = 0; wanted < EXTENSION_COUNT; wanted++)
        for (uint32_t at = 0; at < count; at++)
            if (strcmp(offered[at].extensionName, EXTENSIONS[wanted]) == 0) names[found++] = EXTENSIONS[wanted];
    free(offered);
    return found > 0 && names[0] == EXTENSIONS[0] ? found : 0;
}

static bool find_family(gpu *self) {
    VkQueueFamilyProperties families[16];
    uint32_t count = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(self->physical, &count, families);
    for (self->family = 0; self->family < count; self->family++)
        if ((families[self->family].queueFlags & VK_QUEUE_COMPUTE_BIT) != 0) return true;
    return false;
}

static bool make_instance(gpu *self) {
    const VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_2 };
    const VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application };
    if (vkCreateInstance(&info, NULL, &self->instance) != VK_SUCCESS) return false;
    uint32_t one = 1;
    const VkResult result = vkEnumeratePhysicalDevices(self->instance, &one, &self->physical);
    return (result == VK_SUCCESS || result == VK_INCOMPLETE) && one == 1;
}

static bool make_device(gpu *self) {
    const char *names[EXTENSION_COUNT];
    const uint32_t count = find_extensions(self->physical, names);
    if (count == 0 || !find_family(self)) return false;
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = self->family, .queueCount = 1, .pQueuePriorities = &priority };
    const VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES, .timelineSemaphore = VK_TRUE };
    const VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .pNext = &timeline,
        .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue,
        .enabledExtensionCount = count, .ppEnabledExtensionNames = names };
    if (vkCreateDevice(self->physical, &info, NULL, &self->device) != VK_SUCCESS) return false;
    vkGetDeviceQueue(self->device, self->family, 0, &self->queue);
    return true;
}

static bool make_layouts(gpu *self) {
    const VkDescriptorSetLayoutBinding binding = { .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        .descriptorCount = 1, .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT };
    const VkDescriptorSetLayoutCreateInfo set = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = 1, .pBindings = &binding };
    if (vkCreateDescriptorSetLayout(self->device, &set, NULL, &self->set_layout) != VK_SUCCESS) return false;
    const VkPushConstantRange constants = { .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = 12 };
    const VkPipelineLayoutCreateInfo layout = { .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1, .pSetLayouts = &self->set_layout,
        .pushConstantRangeCount = 1, .pPushConstantRanges = &constants };
    return vkCreatePipelineLayout(self->device, &layout, NULL, &self->layout) == VK_SUCCESS;
}

static bool make_pipeline(gpu *self) {
    size_t size = 0;
    uint32_t *code = read_shader(&size);
    const VkShaderModuleCreateInfo module = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = size, .pCode = code };
    VkShaderModule shader = VK_NULL_HANDLE;
    const bool is_read = code != NULL && size > 0 && vkCreateShaderModule(self->device, &module, NULL, &shader) == VK_SUCCESS;
    free(code);
    if (!is_read) return false;
    const VkComputePipelineCreateInfo info = { .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .layout = self->layout, .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
            .stage = VK_SHADER_STAGE_COMPUTE_BIT, .module = shader, .pName = "main" } };
    const VkResult result = vkCreateComputePipelines(self->device, VK_NULL_HANDLE, 1, &info, NULL, &self->pipeline);
    vkDestroyShaderModule(self->device, shader, NULL);
    return result == VK_SUCCESS;
}

static bool make_pools(gpu *self, uint32_t slots) {
    const VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, slots };
    const VkDescriptorPoolCreateInfo sets = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
        .maxSets = slots, .poolSizeCount = 1, .pPoolSizes = &size };
    const VkCommandPoolCreateInfo commands = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT, .queueFamilyIndex = self->family };
    return vkCreateDescriptorPool(self->device, &sets, NULL, &self->sets) == VK_SUCCESS
        && vkCreateCommandPool(self->device, &commands, NULL, &self->commands) == VK_SUCCESS;
}

bool gpu_open(gpu *self, uint32_t slots) {
    memset(self, 0, sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    if (slots <= GPU_SLOTS_MAX && make_instance(self) && make_device(self) && make_layouts(self) && make_pipeline(self)
        && make_pools(self, slots))
        return true;
    gpu_close(self);
    return false;
}

void gpu_close(gpu *self) {
    if (self->device != VK_NULL_HANDLE) {
        vkDeviceWaitIdle(self->device);
        for (uint32_t at = 0; at < self->slot_count; at++) vkDestroyFence(self->device, self->slots[at].done, NULL);
        vkDestroyCommandPool(self->device, self->commands, NULL);
        vkDestroyDescriptorPool(self->device, self->sets, NULL);
        vkDestroyPipeline(self->device, self->pipeline, NULL);
        vkDestroyPipelineLayout(self->device, self->layout, NULL);
        vkDestroyDescriptorSetLayout(self->device, self->set_layout, NULL);
        vkDestroyDevice(self->device, NULL);
    }
    if (self->instance != VK_NULL_HANDLE) vkDestroyInstance(self->instance, NULL);
    pthread_mutex_destroy(&self->lock);
}

static gpu_slot *make_slot(gpu *self, VkBuffer pool, VkDeviceSize at) {
    if (self->slot_count == GPU_SLOTS_MAX) return NULL;
    gpu_slot *slot = &self->slots[self->slot_count];
    const VkDescriptorSetAllocateInfo sets = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = self->sets, .descriptorSetCount = 1, .pSetLayouts = &self->set_layout };
    const VkCommandBufferAllocateInfo commands = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = self->commands, .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY, .commandBufferCount = 1 };
    const VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
    if (vkAllocateDescriptorSets(self->device, &sets, &slot->set) != VK_SUCCESS
        || vkAllocateCommandBuffers(self->device, &commands, &slot->commands) != VK_SUCCESS
        || vkCreateFence(self->device, &fence, NULL, &slot->done) != VK_SUCCESS)
        return NULL;
    self->slot_count++;
    slot->offset = at;
    const VkDescriptorBufferInfo whole = { pool, 0, VK_WHOLE_SIZE };
    const VkWriteDescriptorSet write = { .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = slot->set,
        .descriptorCount = 1, .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .pBufferInfo = &whole };
    vkUpdateDescriptorSets(self->device, 1, &write, 0, NULL);
    return slot;
}

/* The slot of the pool at `at`, free to be used again. */
static gpu_slot *take_slot(gpu *self, VkBuffer pool, VkDeviceSize at) {
    for (uint32_t number = 0; number < self->slot_count; number++) {
        gpu_slot *slot = &self->slots[number];
        if (slot->offset != at) continue;
        if (vkWaitForFences(self->device, 1, &slot->done, VK_TRUE, UINT64_MAX) != VK_SUCCESS) return NULL;
        return vkResetFences(self->device, 1, &slot->done) == VK_SUCCESS ? slot : NULL;
    }
    return make_slot(self, pool, at);
}

/* The pool is shared with other processes: it is taken from and given back to VK_QUEUE_FAMILY_EXTERNAL. */
static bool record(gpu *self, const gpu_slot *slot, VkBuffer pool, const uint32_t constants[3]) {
    VkBufferMemoryBarrier barrier = { .sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER, .buffer = pool,
        .offset = (VkDeviceSize)constants[0] * 4, .size = (VkDeviceSize)constants[1] * 4,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_EXTERNAL, .dstQueueFamilyIndex = self->family,
        .dstAccessMask = VK_ACCESS_SHADER_WRITE_BIT };
    const VkCommandBufferBeginInfo begin = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
    const VkPipelineStageFlags shader = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    if (vkBeginCommandBuffer(slot->commands, &begin) != VK_SUCCESS) return false;
    vkCmdPipelineBarrier(slot->commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, shader, 0, 0, NULL, 1, &barrier, 0, NULL);
    vkCmdBindPipeline(slot->commands, VK_PIPELINE_BIND_POINT_COMPUTE, self->pipeline);
    vkCmdBindDescriptorSets(slot->commands, VK_PIPELINE_BIND_POINT_COMPUTE, self->layout, 0, 1, &slot->set, 0, NULL);
    vkCmdPushConstants(slot->commands, self->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, 12, constants);
    vkCmdDispatch(slot->commands, (constants[1] + 255) / 256, 1, 1);
    barrier.srcQueueFamilyIndex = self->family;
    barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_EXTERNAL;
    barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
    barrier.dstAccessMask = 0;
    vkCmdPipelineBarrier(slot->commands, shader, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 1, &barrier, 0, NULL);
    return vkEndCommandBuffer(slot->commands) == VK_SUCCESS;
}

bool gpu_fill(gpu *self, VkBuffer pool, VkDeviceSize at, uint32_t words, uint32_t number, VkSemaphore ready, uint64_t value) {
    const uint32_t constants[3] = { (uint32_t)(at / 4), words, number };
    const uint32_t signals = ready != VK_NULL_HANDLE ? 1 : 0;
    const gpu_slot *slot = take_slot(self, pool, at);
    if (slot == NULL || !record(self, slot, pool, constants)) return false;
    const VkTimelineSemaphoreSubmitInfo timeline = { .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .signalSemaphoreValueCount = signals, .pSignalSemaphoreValues = &value };
    const VkSubmitInfo submit = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .pNext = &timeline,
        .commandBufferCount = 1, .pCommandBuffers = &slot->commands,
        .signalSemaphoreCount = signals, .pSignalSemaphores = &ready };
    pthread_mutex_lock(&self->lock);
    const VkResult result = vkQueueSubmit(self->queue, 1, &submit, slot->done);
    pthread_mutex_unlock(&self->lock);
    return result == VK_SUCCESS && (signals > 0 || gpu_finish(self));
}

bool gpu_finish(gpu *self) {
    pthread_mutex_lock(&self->lock);
    const VkResult result = vkQueueWaitIdle(self->queue);
    pthread_mutex_unlock(&self->lock);
    return result == VK_SUCCESS;
}
