#include <lava.h>
#include <string.h>
#include <vulkan/vulkan.h>

/* The usage that lava gives every buffer: importers must name the same. */
#define LAVA_USAGE                                                                                                     \
    (VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT |        \
     VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_INDEX_BUFFER_BIT | VK_BUFFER_USAGE_VERTEX_BUFFER_BIT |       \
     VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT)

/* Whether this VkPhysicalDevice can import what the handle is of: device and driver must be the same. */
int is_device_of(VkPhysicalDevice candidate, const lava_buffer_handle *handle) {
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
    VkPhysicalDeviceProperties2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id};
    vkGetPhysicalDeviceProperties2(candidate, &all);
    return memcmp(id.deviceUUID, handle->device_uuid, VK_UUID_SIZE) == 0 &&
           memcmp(id.driverUUID, handle->driver_uuid, VK_UUID_SIZE) == 0;
}

/* Imports what lava_buffer_export gave. On success the driver owns handle->fd; on failure the caller still does. The
 * payload is `handle->size` bytes at `handle->offset` of `*buffer`. */
VkResult import_buffer(VkDevice device, const lava_buffer_handle *handle, VkBuffer *buffer, VkDeviceMemory *memory) {
    VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
    };
    VkBufferCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .pNext = &external,
        .size = (handle->offset + handle->size + 15) / 16 * 16,
        .usage = LAVA_USAGE,
    };
    VkResult result = vkCreateBuffer(device, &create, NULL, buffer);
    if (result != VK_SUCCESS) return result;

    VkMemoryDedicatedAllocateInfo dedicated = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
        .buffer = *buffer,
    };
    VkImportMemoryFdInfoKHR import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
        .pNext = handle->dedicated ? &dedicated : NULL,
        .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
        .fd = handle->fd,
    };
    VkMemoryAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = &import,
        .allocationSize = handle->allocation_size,
        .memoryTypeIndex = handle->memory_type,
    };
    result = vkAllocateMemory(device, &allocate, NULL, memory);
    if (result == VK_SUCCESS) return vkBindBufferMemory(device, *buffer, *memory, 0);
    vkDestroyBuffer(device, *buffer, NULL);
    return result;
}
