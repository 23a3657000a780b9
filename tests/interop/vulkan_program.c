/* Two Vulkan devices on one GPU: lava's, which makes and exports a buffer, and this program's own, which imports it by
 * vulkan.c. What one writes the other reads. */
#include "vulkan.c"
#include "program.h"

static void vulkan_ok(VkResult result, const char *what) {
    if (result == VK_SUCCESS) return;
    fprintf(stderr, "%s: VkResult %d\n", what, (int)result);
    exit(1);
}

static VkInstance instance;
static VkPhysicalDevice physical;
static VkDevice device;
static VkQueue queue;
static VkCommandPool pool;

static void open_device(const lava_buffer_handle *handle) {
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pApplicationInfo = &application,
    };
    vulkan_ok(vkCreateInstance(&create, NULL, &instance), "vkCreateInstance");
    VkPhysicalDevice found[16];
    uint32_t count = 16;
    vkEnumeratePhysicalDevices(instance, &count, found);
    for (uint32_t i = 0; i < count; i++)
        if (is_device_of(found[i], handle)) physical = found[i];
    if (physical == VK_NULL_HANDLE) exit(1);
    float priority = 1;
    VkDeviceQueueCreateInfo queues = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueCount = 1,
        .pQueuePriorities = &priority,
    };
    const char *extension = VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME;
    VkDeviceCreateInfo make = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queues,
        .enabledExtensionCount = 1,
        .ppEnabledExtensionNames = &extension,
    };
    vulkan_ok(vkCreateDevice(physical, &make, NULL, &device), "vkCreateDevice");
    vkGetDeviceQueue(device, 0, 0, &queue);
    VkCommandPoolCreateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    vulkan_ok(vkCreateCommandPool(device, &commands, NULL, &pool), "vkCreateCommandPool");
}

/* A buffer that the CPU reaches too, and its bytes. */
static unsigned char *host_buffer(VkBuffer *buffer, VkDeviceMemory *memory) {
    VkBufferCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = SIZE,
        .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
    vulkan_ok(vkCreateBuffer(device, &create, NULL, buffer), "vkCreateBuffer");
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device, *buffer, &needs);
    VkPhysicalDeviceMemoryProperties types;
    vkGetPhysicalDeviceMemoryProperties(physical, &types);
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while ((types.memoryTypes[type].propertyFlags & wanted) != wanted || !(needs.memoryTypeBits >> type & 1)) type++;
    VkMemoryAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .allocationSize = needs.size,
        .memoryTypeIndex = type,
    };
    vulkan_ok(vkAllocateMemory(device, &allocate, NULL, memory), "vkAllocateMemory");
    vulkan_ok(vkBindBufferMemory(device, *buffer, *memory, 0), "vkBindBufferMemory");
    void *bytes;
    vulkan_ok(vkMapMemory(device, *memory, 0, VK_WHOLE_SIZE, 0, &bytes), "vkMapMemory");
    return bytes;
}

/* Copies SIZE bytes and waits. `external` is the one of the two that lava made. */
static void copy(VkBuffer from, VkDeviceSize at, VkBuffer to, VkDeviceSize to_at, VkBuffer external) {
    VkCommandBufferAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = pool,
        .commandBufferCount = 1,
    };
    VkCommandBuffer commands;
    vulkan_ok(vkAllocateCommandBuffers(device, &allocate, &commands), "vkAllocateCommandBuffers");
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    vulkan_ok(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
    VkBufferMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
        .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_EXTERNAL,
        .dstQueueFamilyIndex = 0,
        .buffer = external,
        .size = VK_WHOLE_SIZE,
    };
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 1,
                         &barrier, 0, NULL);
    VkBufferCopy region = {.srcOffset = at, .dstOffset = to_at, .size = SIZE};
    vkCmdCopyBuffer(commands, from, to, 1, &region);
    barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask = 0;
    barrier.srcQueueFamilyIndex = 0;
    barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_EXTERNAL;
    VkMemoryBarrier host = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
    };
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &host, 1, &barrier, 0,
                         NULL);
    vulkan_ok(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .commandBufferCount = 1,
        .pCommandBuffers = &commands,
    };
    vulkan_ok(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
    vulkan_ok(vkQueueWaitIdle(queue), "vkQueueWaitIdle");
    vkFreeCommandBuffers(device, pool, 1, &commands);
}

int main(void) {
    lava_buffer_handle handle = LAVA_BUFFER_HANDLE_INIT;
    make_buffer(&handle);
    VkBuffer imported, host;
    VkDeviceMemory memory, host_memory;
    open_device(&handle);
    vulkan_ok(import_buffer(device, &handle, &imported, &memory), "import_buffer");
    unsigned char *seen = host_buffer(&host, &host_memory);
    copy(imported, handle.offset, host, 0, imported);
    int wrong = differ(seen, 1, "the program's device");

    fill(seen, 2);
    copy(host, 0, imported, handle.offset, imported);
    vkDestroyCommandPool(device, pool, NULL);
    vkDestroyBuffer(device, host, NULL);
    vkFreeMemory(device, host_memory, NULL);
    vkDestroyBuffer(device, imported, NULL);
    vkFreeMemory(device, memory, NULL);
    vkDestroyDevice(device, NULL);
    vkDestroyInstance(instance, NULL);
    return wrong || check_and_destroy();
}
