#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <lava.h>
#include <string.h>

/* Whether this device has the handle's memory. Needs cl_khr_device_uuid, cl_khr_external_memory and
 * cl_khr_external_memory_opaque_fd. The driver's UUID says nothing: NVIDIA's OpenCL gives the device's for it. */
int is_device_of(cl_device_id candidate, const lava_buffer_handle *handle) {
    cl_uchar device[CL_UUID_SIZE_KHR];
    return clGetDeviceInfo(candidate, CL_DEVICE_UUID_KHR, sizeof device, device, NULL) == CL_SUCCESS &&
           memcmp(device, handle->device_uuid, sizeof device) == 0;
}

/* Imports what lava_buffer_export gave. On success OpenCL owns handle->fd. The payload is at handle->offset: a part of
 * the buffer is had by clCreateSubBuffer. Before use on a queue: clEnqueueAcquireExternalMemObjectsKHR, after it:
 * clEnqueueReleaseExternalMemObjectsKHR. */
cl_mem import_buffer(cl_context context, const lava_buffer_handle *handle, cl_int *error) {
    const cl_mem_properties properties[] = {
        CL_EXTERNAL_MEMORY_HANDLE_OPAQUE_FD_KHR,
        (cl_mem_properties)handle->fd,
        0,
    };
    return clCreateBufferWithProperties(context, properties, CL_MEM_READ_WRITE, handle->allocation_size, NULL, error);
}
