#define GL_GLEXT_PROTOTYPES /* or load the functions by the window system's getProcAddress */
#include <GL/gl.h>
#include <GL/glext.h>
#include <lava.h>
#include <string.h>

/* Whether the current context's device has the handle's memory. Needs GL_EXT_memory_object_fd. */
int is_device_of(const lava_buffer_handle *handle) {
    GLubyte device[GL_UUID_SIZE_EXT], driver[GL_UUID_SIZE_EXT];
    glGetUnsignedBytevEXT(GL_DRIVER_UUID_EXT, driver);
    glGetUnsignedBytei_vEXT(GL_DEVICE_UUID_EXT, 0, device);
    return memcmp(device, handle->device_uuid, sizeof device) == 0 &&
           memcmp(driver, handle->driver_uuid, sizeof driver) == 0;
}

/* Imports what lava_buffer_export gave. On success OpenGL owns handle->fd. To end it: glDeleteBuffers, then
 * glDeleteMemoryObjectsEXT. */
GLuint import_buffer(const lava_buffer_handle *handle, GLuint *memory) {
    GLint dedicated = handle->dedicated ? GL_TRUE : GL_FALSE;
    GLuint buffer = 0;
    glCreateMemoryObjectsEXT(1, memory);
    glMemoryObjectParameterivEXT(*memory, GL_DEDICATED_MEMORY_OBJECT_EXT, &dedicated);
    glImportMemoryFdEXT(*memory, handle->allocation_size, GL_HANDLE_TYPE_OPAQUE_FD_EXT, handle->fd);
    glCreateBuffers(1, &buffer);
    glNamedBufferStorageMemEXT(buffer, (GLsizeiptr)handle->size, *memory, handle->offset);
    return buffer;
}
