#include <cuda.h>
#include <lava.h>
#include <string.h>

/* The CUDA device that the handle's memory is on, by UUID: ordinals differ between processes. */
CUresult device_of(const lava_buffer_handle *handle, CUdevice *device) {
    int count = 0;
    CUresult result = cuDeviceGetCount(&count);
    for (int ordinal = 0; result == CUDA_SUCCESS && ordinal < count; ordinal++) {
        CUuuid uuid;
        result = cuDeviceGet(device, ordinal);
        if (result == CUDA_SUCCESS) result = cuDeviceGetUuid(&uuid, *device);
        if (result == CUDA_SUCCESS && memcmp(uuid.bytes, handle->device_uuid, sizeof uuid.bytes) == 0) return result;
    }
    return result == CUDA_SUCCESS ? CUDA_ERROR_NO_DEVICE : result;
}

/* Imports what lava_buffer_export gave, into the current context, which must be of that device. On success CUDA owns
 * handle->fd. To end it: cuMemFree(*payload - handle->offset), then cuDestroyExternalMemory(*memory). */
CUresult import_buffer(const lava_buffer_handle *handle, CUexternalMemory *memory, CUdeviceptr *payload) {
    CUDA_EXTERNAL_MEMORY_HANDLE_DESC import = {
        .type = CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD,
        .handle.fd = handle->fd,
        .size = handle->allocation_size, /* all of it, not the payload's size: CUDA does not notice */
        .flags = handle->dedicated ? CUDA_EXTERNAL_MEMORY_DEDICATED : 0,
    };
    CUresult result = cuImportExternalMemory(memory, &import);
    if (result != CUDA_SUCCESS) return result;
    CUDA_EXTERNAL_MEMORY_BUFFER_DESC map = {.offset = 0, .size = handle->allocation_size};
    result = cuExternalMemoryGetMappedBuffer(payload, *memory, &map);
    if (result != CUDA_SUCCESS) {
        cuDestroyExternalMemory(*memory);
        return result;
    }
    *payload += handle->offset;
    return result;
}
