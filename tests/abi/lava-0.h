#ifndef LAVA_H
#define LAVA_H
#include <stddef.h>
#include <stdint.h>
#if defined(__GNUC__)
#define LAVA_API __attribute__((visibility("default")))
#else
#define LAVA_API
#endif
#ifdef __cplusplus
#define LAVA_INIT(type) ([]() noexcept { type lava_init = type(); lava_init.struct_size = sizeof(type); return lava_init; }())
#else
#define LAVA_INIT(type) { .struct_size = sizeof(type) }
#endif
#define LAVA_ERROR_INIT LAVA_INIT(lava_error)
#define LAVA_LOG_SINK_INIT LAVA_INIT(lava_log_sink)
#define LAVA_CONTEXT_OPTIONS_INIT LAVA_INIT(lava_context_options)
#define LAVA_DEVICE_INFO_INIT LAVA_INIT(lava_device_info)
#define LAVA_VULKAN_DEVICE_INIT LAVA_INIT(lava_vulkan_device)
#define LAVA_LOCATION_INIT LAVA_INIT(lava_location)
#define LAVA_SCOPE_REPORT_INIT LAVA_INIT(lava_scope_report)
#define LAVA_BUFFER_OPTIONS_INIT LAVA_INIT(lava_buffer_options)
#define LAVA_BUFFER_INFO_INIT LAVA_INIT(lava_buffer_info)
#define LAVA_BUFFER_HANDLE_INIT LAVA_INIT(lava_buffer_handle)
#define LAVA_VULKAN_BUFFER_INIT LAVA_INIT(lava_vulkan_buffer)
#define LAVA_CUDA_VIEW_INIT LAVA_INIT(lava_cuda_view)
#define LAVA_FRAME_INFO_INIT LAVA_INIT(lava_frame_info)
#define LAVA_FRAME_SYNC_INIT LAVA_INIT(lava_frame_sync)
#define LAVA_TENSOR_INIT LAVA_INIT(lava_tensor)
#define LAVA_PRODUCER_OPTIONS_INIT LAVA_INIT(lava_producer_options)
#define LAVA_CONSUMER_OPTIONS_INIT LAVA_INIT(lava_consumer_options)
#define LAVA_CONNECTION_INFO_INIT LAVA_INIT(lava_connection_info)
#define LAVA_REJECTION_INIT LAVA_INIT(lava_rejection)
#define LAVA_FOREVER UINT64_MAX
#define LAVA_NO_WAIT 0
#define LAVA_ABI_VERSION 0
#define LAVA_MEMORY_AUTO 0
#define LAVA_MEMORY_STANDARD 1
#define LAVA_MEMORY_NUMA 2
#define LAVA_MEMORY_HUGE 3
#define LAVA_MEMORY_PINNED 4
#define LAVA_MEMORY_DEVICE 5
#define LAVA_PAGES_SMALL 1
#define LAVA_PAGES_HUGE_RESERVED 2
#define LAVA_PAGES_HUGE_TRANSPARENT 3
#define LAVA_BUFFER_SHAREABLE 1
#define LAVA_BUFFER_REQUIRE 2
#define LAVA_BUFFER_ON_NODE 4
#define LAVA_BUFFER_COMMIT 8
#define LAVA_BUFFER_WRITABLE_BY_IMPORTERS 16
#define LAVA_BUFFER_IMPORTED 32
#define LAVA_BUFFER_READ_ONLY 64
#define LAVA_BUFFER_HOST_VISIBLE 128
#define LAVA_BUFFER_UNINITIALIZED 256
#define LAVA_FALLBACK_MAX 5
#define LAVA_REASON_SIZE 256
#define LAVA_HANDLE_MEMFD 1
#define LAVA_HANDLE_VULKAN_OPAQUE_FD 2
#define LAVA_NAME_MAX 64
#define LAVA_CONSUMERS_MAX 64
#define LAVA_CAPACITY_MAX 65536
#define LAVA_QUEUE_MAX 65536
#define LAVA_POLICY_BLOCK 0
#define LAVA_POLICY_DROP_NEWEST 1
#define LAVA_POLICY_DROP_OLDEST 2
#define LAVA_TRANSPORT_SHM 1
#define LAVA_TRANSPORT_VULKAN 2
#define LAVA_TRANSPORT_STAGED 4
#define LAVA_TRANSPORT_PEER 8
#define LAVA_TRANSPORT_MPI 16
#define LAVA_PRODUCER_COMMIT 1
#define LAVA_PRODUCER_NO_TIMESTAMP 2
#define LAVA_PRODUCER_REQUIRE_MEMORY 4
#define LAVA_PRODUCER_ON_NODE 8
#define LAVA_CONSUMER_LIMIT_COPIES 1
#define LAVA_CONSUMER_TRUST_PRODUCER 2
#define LAVA_CONNECTION_OPEN 1
#define LAVA_CONNECTION_CLOSED 2
#define LAVA_CONNECTION_LOST 3
#define LAVA_SCOPE_AUTO 0
#define LAVA_SCOPE_LOCAL 1
#define LAVA_SCOPE_REMOTE 2
#define LAVA_MPI_AUTO 0
#define LAVA_MPI_OFF 1
#define LAVA_MPI_OPENMPI 2
#define LAVA_MPI_MPICH 3
#define LAVA_LOG_ERROR 1
#define LAVA_LOG_WARN 2
#define LAVA_LOG_INFO 3
#define LAVA_LOG_DEBUG 4
#define LAVA_VULKAN_AUTO 0
#define LAVA_VULKAN_OFF 1
#define LAVA_VULKAN_ALL 2
#define LAVA_DEVICE_KIND_OTHER 0
#define LAVA_DEVICE_KIND_INTEGRATED 1
#define LAVA_DEVICE_KIND_DISCRETE 2
#define LAVA_DEVICE_KIND_VIRTUAL 3
#define LAVA_DEVICE_KIND_CPU 4
#define LAVA_DEVICE_USABLE 1
#define LAVA_DEVICE_EXPORTABLE 2
#define LAVA_DEVICE_TIMELINE_EXPORTABLE 4
#define LAVA_DEVICE_HOST_IMPORT 8
#define LAVA_DEVICE_HAS_PCI_ADDRESS 16
#define LAVA_DEVICE_HAS_BUDGET 32
#define LAVA_DEVICE_HEAP_LOCAL 1
#define LAVA_DEVICE_HEAPS_MAX 16
#define LAVA_DEVICE_NAME_SIZE 256
#define LAVA_ERROR_MESSAGE_SIZE 488
#define LAVA_FRAME_INLINE_SIZE 40
#define LAVA_FRAME_LOAN 1
#define LAVA_FRAME_HAS_TENSOR 2
#define LAVA_FRAME_INLINE 4
#define LAVA_FRAME_BUFFER 8
#define LAVA_SYNC_NONE 0
#define LAVA_SYNC_HOST 1
#define LAVA_SYNC_TIMELINE 2
#define LAVA_TENSOR_MAX_DIMENSIONS 8
#define LAVA_DTYPE_INT 0
#define LAVA_DTYPE_UINT 1
#define LAVA_DTYPE_FLOAT 2
#define LAVA_DTYPE_BFLOAT 4
#define LAVA_DTYPE_COMPLEX 5
#define LAVA_DTYPE_BOOL 6
#define LAVA_DTYPE_FLOAT8_E4M3FN 10
#define LAVA_DTYPE_FLOAT8_E5M2 12
#define LAVA_LOCATION_HOST_SIZE 64
#define LAVA_LOCATION_TEXT_SIZE 384
#define LAVA_SCOPE_TEXT_SIZE 768
#define LAVA_EVIDENCE_FORCED 1
#define LAVA_EVIDENCE_PROCESS 2
#define LAVA_EVIDENCE_RENDEZVOUS 4
#define LAVA_EVIDENCE_BOOT_ID 8
#define LAVA_EVIDENCE_RUNTIME_DIRECTORY 16
#define LAVA_EVIDENCE_MOUNT_NAMESPACE 32
#define LAVA_EVIDENCE_IPC_NAMESPACE 64
#define LAVA_EVIDENCE_PID_NAMESPACE 128
#define LAVA_EVIDENCE_USER 256
#define LAVA_EVIDENCE_HOST 512
typedef struct lava_buffer lava_buffer;
typedef struct lava_consumer lava_consumer;
typedef struct lava_context lava_context;
typedef struct lava_frame lava_frame;
typedef struct lava_producer lava_producer;
typedef int32_t lava_status;
typedef struct lava_log_sink {
  uint32_t struct_size;
  uint32_t level;
  void *user;
  void (*write)(void *user, uint32_t level, const char *message);
  void (*drop)(void *user);
} lava_log_sink;
typedef struct lava_vulkan_device {
  uint32_t struct_size;
  uint32_t queue_family;
  void *instance;
  void *physical_device;
  void *device;
  void *queue;
  void (*get_instance_proc_addr)(void);
  void *user;
  void (*lock)(void *user);
  void (*unlock)(void *user);
} lava_vulkan_device;
typedef struct lava_context_options {
  uint32_t struct_size;
  uint32_t scope;
  const char *runtime_directory;
  const struct lava_log_sink *log;
  uint64_t spin_ns;
  uint32_t vulkan_devices;
  uint32_t reserved;
  const struct lava_vulkan_device *vulkan;
  uint32_t mpi;
  uint32_t has_mpi_communicator;
  int64_t mpi_communicator;
} lava_context_options;
typedef struct lava_error {
  uint32_t struct_size;
  lava_status status;
  int32_t os_errno;
  int32_t vk_result;
  uint64_t value;
  char message[LAVA_ERROR_MESSAGE_SIZE];
} lava_error;
typedef struct lava_location {
  uint32_t struct_size;
  uint32_t process;
  uint32_t user;
  int32_t rank;
  uint64_t context;
  uint64_t pid_namespace;
  uint64_t mount_namespace;
  uint64_t ipc_namespace;
  uint64_t runtime_device;
  uint64_t runtime_inode;
  uint8_t boot_id[16];
  char host[LAVA_LOCATION_HOST_SIZE];
} lava_location;
typedef struct lava_device_heap {
  uint64_t size;
  uint64_t budget;
  uint64_t used;
  uint32_t flags;
  uint32_t reserved;
} lava_device_heap;
typedef struct lava_device_info {
  uint32_t struct_size;
  uint32_t kind;
  uint8_t device_uuid[16];
  uint8_t driver_uuid[16];
  uint32_t flags;
  uint32_t api_version;
  uint32_t vendor_id;
  uint32_t device_id;
  uint32_t pci_domain;
  uint32_t pci_bus;
  uint32_t pci_device;
  uint32_t pci_function;
  uint64_t max_allocation;
  uint64_t host_import_alignment;
  uint32_t heap_count;
  uint32_t reserved;
  struct lava_device_heap heaps[LAVA_DEVICE_HEAPS_MAX];
  char name[LAVA_DEVICE_NAME_SIZE];
  char driver_name[LAVA_DEVICE_NAME_SIZE];
  char driver_info[LAVA_DEVICE_NAME_SIZE];
  char reason[LAVA_REASON_SIZE];
} lava_device_info;
typedef struct lava_scope_report {
  uint32_t struct_size;
  uint32_t scope;
  uint32_t decided_by;
  uint32_t agrees;
  uint32_t differs;
  uint32_t reserved;
  char text[LAVA_SCOPE_TEXT_SIZE];
} lava_scope_report;
typedef struct lava_buffer_options {
  uint32_t struct_size;
  uint32_t memory;
  uint64_t size;
  uint64_t alignment;
  uint32_t flags;
  uint32_t numa_node;
  uint32_t fallback_count;
  uint32_t fallback[LAVA_FALLBACK_MAX];
  const struct lava_location *peer;
  uint8_t device_uuid[16];
} lava_buffer_options;
typedef struct lava_buffer_info {
  uint32_t struct_size;
  uint32_t memory;
  uint64_t size;
  uint64_t allocated_size;
  uint64_t alignment;
  uint32_t flags;
  uint32_t pages;
  uint64_t page_size;
  uint32_t numa_node;
  uint32_t requested_memory;
  char reason[LAVA_REASON_SIZE];
  uint8_t device_uuid[16];
  uint8_t driver_uuid[16];
} lava_buffer_info;
typedef struct lava_buffer_handle {
  uint32_t struct_size;
  uint32_t kind;
  int32_t fd;
  uint32_t memory;
  uint64_t size;
  uint64_t allocation_size;
  uint64_t offset;
  uint32_t pages;
  uint32_t flags;
  uint32_t memory_type;
  uint32_t dedicated;
  uint8_t device_uuid[16];
  uint8_t driver_uuid[16];
} lava_buffer_handle;
typedef struct lava_producer_options {
  uint32_t struct_size;
  uint32_t policy;
  uint64_t max_frame_size;
  uint32_t capacity;
  uint32_t queue_length;
  uint32_t memory;
  uint32_t flags;
  uint32_t max_consumers;
  uint32_t alignment;
  uint32_t numa_node;
  uint32_t fallback_count;
  uint32_t fallback[LAVA_FALLBACK_MAX];
  uint32_t require_transports;
  uint8_t device_uuid[16];
} lava_producer_options;
typedef struct lava_bytes {
  const void *data;
  size_t size;
} lava_bytes;
typedef struct lava_tensor {
  uint32_t struct_size;
  uint8_t dtype;
  uint8_t bits;
  uint16_t lanes;
  uint32_t dimensions;
  uint32_t has_strides;
  uint64_t byte_offset;
  int64_t shape[LAVA_TENSOR_MAX_DIMENSIONS];
  int64_t strides[LAVA_TENSOR_MAX_DIMENSIONS];
} lava_tensor;
typedef struct lava_connection_info {
  uint32_t struct_size;
  uint32_t transport;
  uint32_t copies;
  uint32_t state;
  uint32_t peer_process;
  uint32_t rejection_count;
  uint64_t frames;
  uint64_t bytes;
  uint64_t dropped;
  uint64_t queued;
  uint64_t held;
  uint64_t sleeps;
  uint64_t wakes;
  char reason[LAVA_REASON_SIZE];
} lava_connection_info;
typedef struct lava_rejection {
  uint32_t struct_size;
  uint32_t transport;
  char reason[LAVA_REASON_SIZE];
} lava_rejection;
typedef struct lava_consumer_options {
  uint32_t struct_size;
  uint32_t flags;
  uint64_t timeout_ns;
  uint32_t require_transports;
  uint32_t max_copies;
  const struct lava_location *producer;
  uint32_t memory;
  uint32_t reserved;
  uint8_t device_uuid[16];
} lava_consumer_options;
typedef struct lava_frame_info {
  uint32_t struct_size;
  uint32_t flags;
  uint64_t size;
  uint64_t sequence;
  uint64_t timestamp_ns;
  uint64_t tag;
  uint64_t capacity;
  uint32_t memory;
  uint32_t transport;
} lava_frame_info;
typedef struct lava_frame_sync {
  uint32_t struct_size;
  uint32_t kind;
  uint64_t semaphore;
  uint64_t value;
} lava_frame_sync;
typedef struct lava_vulkan_buffer {
  uint32_t struct_size;
  uint32_t queue_family;
  void *instance;
  void *physical_device;
  void *device;
  uint64_t buffer;
  uint64_t memory;
  uint64_t offset;
  uint64_t size;
  uint64_t allocation_size;
  uint32_t queue_index;
  uint32_t reserved;
} lava_vulkan_buffer;
typedef struct lava_cuda_view {
  uint32_t struct_size;
  int32_t device_ordinal;
  uint64_t device_pointer;
  uint64_t size;
  void *context;
} lava_cuda_view;
#define LAVA_OK 0
#define LAVA_WOULD_BLOCK 1
#define LAVA_TIMED_OUT 2
#define LAVA_CLOSED 3
#define LAVA_ERROR_INVALID_ARGUMENT -1
#define LAVA_ERROR_INVALID_POINTER -2
#define LAVA_ERROR_INVALID_HANDLE -3
#define LAVA_ERROR_UNSUPPORTED -4
#define LAVA_ERROR_NOT_FOUND -5
#define LAVA_ERROR_ALREADY_EXISTS -6
#define LAVA_ERROR_PERMISSION -7
#define LAVA_ERROR_LIMIT -8
#define LAVA_ERROR_OUT_OF_MEMORY -9
#define LAVA_ERROR_OS -10
#define LAVA_ERROR_BUFFER_TOO_SMALL -11
#define LAVA_ERROR_TOO_LARGE -12
#define LAVA_ERROR_REQUIREMENT -13
#define LAVA_ERROR_FRAME_STATE -100
#define LAVA_ERROR_PEER_LOST -200
#define LAVA_ERROR_PROTOCOL -201
#define LAVA_ERROR_REFUSED -202
#define LAVA_ERROR_UNREACHABLE -203
#define LAVA_ERROR_DEVICE -300
#define LAVA_ERROR_INTERNAL -400
#define LAVA_ERROR_FORKED -401
#ifdef __cplusplus
extern "C" {
#endif // __cplusplus
LAVA_API uint32_t lava_version(void);
LAVA_API uint32_t lava_abi_version(void);
LAVA_API const char *lava_status_name(lava_status status);
LAVA_API
lava_status lava_context_create(const struct lava_context_options *options,
                                struct lava_context **context,
                                struct lava_error *error);
LAVA_API
void lava_context_destroy(struct lava_context *context);
LAVA_API
lava_status lava_context_describe(const struct lava_context *context,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *needed,
                                  struct lava_error *error);
LAVA_API
lava_status lava_context_list_channels(const struct lava_context *context,
                                       uint64_t timeout_ns,
                                       char *buffer,
                                       size_t capacity,
                                       size_t *needed,
                                       struct lava_error *error);
LAVA_API
lava_status lava_context_get_peer_count(const struct lava_context *context,
                                        uint64_t timeout_ns,
                                        uint32_t *count,
                                        struct lava_error *error);
LAVA_API
lava_status lava_context_get_peer_location(const struct lava_context *context,
                                           uint32_t rank,
                                           struct lava_location *location,
                                           struct lava_error *error);
LAVA_API
lava_status lava_context_progress(const struct lava_context *context,
                                  uint64_t timeout_ns,
                                  struct lava_error *error);
LAVA_API
lava_status lava_context_describe_mpi(const struct lava_context *context,
                                      char *buffer,
                                      size_t capacity,
                                      size_t *needed,
                                      struct lava_error *error);
LAVA_API
lava_status lava_context_get_device_count(const struct lava_context *context,
                                          uint32_t *count,
                                          struct lava_error *error);
LAVA_API
lava_status lava_context_get_device(const struct lava_context *context,
                                    uint32_t index,
                                    struct lava_device_info *info,
                                    struct lava_error *error);
LAVA_API
lava_status lava_location_current(const struct lava_context *context,
                                  struct lava_location *location,
                                  struct lava_error *error);
LAVA_API
lava_status lava_location_parse(const char *text_of_location,
                                struct lava_location *location,
                                struct lava_error *error);
LAVA_API
lava_status lava_location_format(const struct lava_location *location,
                                 char *buffer,
                                 size_t capacity,
                                 size_t *needed,
                                 struct lava_error *error);
LAVA_API
lava_status lava_scope_detect(const struct lava_context *context,
                              const struct lava_location *a,
                              const struct lava_location *b,
                              struct lava_scope_report *report,
                              struct lava_error *error);
LAVA_API
lava_status lava_buffer_allocate(const struct lava_context *context,
                                 const struct lava_buffer_options *options,
                                 struct lava_buffer **buffer,
                                 struct lava_error *error);
LAVA_API void lava_buffer_destroy(struct lava_buffer *buffer);
LAVA_API void *lava_buffer_data(const struct lava_buffer *buffer);
LAVA_API
lava_status lava_buffer_get_info(const struct lava_buffer *buffer,
                                 struct lava_buffer_info *info,
                                 struct lava_error *error);
LAVA_API
lava_status lava_buffer_read(const struct lava_buffer *buffer,
                             uint64_t offset,
                             void *data,
                             size_t size,
                             struct lava_error *error);
LAVA_API
lava_status lava_buffer_write(struct lava_buffer *buffer,
                              uint64_t offset,
                              const void *data,
                              size_t size,
                              struct lava_error *error);
LAVA_API
lava_status lava_buffer_copy(struct lava_buffer *to,
                             uint64_t to_offset,
                             const struct lava_buffer *from,
                             uint64_t from_offset,
                             uint64_t size,
                             struct lava_error *error);
LAVA_API
lava_status lava_buffer_fill(struct lava_buffer *buffer,
                             uint64_t offset,
                             uint64_t size,
                             uint8_t value,
                             struct lava_error *error);
LAVA_API
lava_status lava_buffer_export(const struct lava_buffer *buffer,
                               struct lava_buffer_handle *handle,
                               struct lava_error *error);
LAVA_API
lava_status lava_buffer_import(const struct lava_context *context,
                               const struct lava_buffer_handle *handle,
                               struct lava_buffer **buffer,
                               struct lava_error *error);
LAVA_API
lava_status lava_producer_create(const struct lava_context *context,
                                 const char *name,
                                 const struct lava_producer_options *options,
                                 struct lava_producer **producer,
                                 struct lava_error *error);
LAVA_API
void lava_producer_destroy(struct lava_producer *producer);
LAVA_API
lava_status lava_producer_wait_consumers(struct lava_producer *producer,
                                         uint32_t count,
                                         uint64_t timeout_ns,
                                         struct lava_error *error);
LAVA_API
lava_status lava_producer_loan(struct lava_producer *producer,
                               uint64_t size,
                               uint64_t timeout_ns,
                               struct lava_frame **frame);
LAVA_API
lava_status lava_producer_send(struct lava_producer *producer,
                               struct lava_frame *frame,
                               uint64_t timeout_ns);
LAVA_API
lava_status lava_producer_send_bytes(struct lava_producer *producer,
                                     const void *data,
                                     size_t size,
                                     uint64_t timeout_ns);
LAVA_API
lava_status lava_producer_send_bytes_many(struct lava_producer *producer,
                                          const struct lava_bytes *parts,
                                          size_t count,
                                          uint64_t timeout_ns,
                                          size_t *sent);
LAVA_API
lava_status lava_producer_loan_many(struct lava_producer *producer,
                                    uint64_t size,
                                    struct lava_frame **frames,
                                    size_t count,
                                    uint64_t timeout_ns,
                                    size_t *loaned);
LAVA_API
lava_status lava_producer_send_many(struct lava_producer *producer,
                                    struct lava_frame *const *frames,
                                    size_t count,
                                    uint64_t timeout_ns,
                                    size_t *sent);
LAVA_API
lava_status lava_producer_send_buffer(struct lava_producer *producer,
                                      const struct lava_buffer *buffer,
                                      uint64_t offset,
                                      uint64_t size,
                                      uint64_t tag,
                                      const struct lava_tensor *tensor,
                                      uint64_t timeout_ns,
                                      struct lava_error *error);
LAVA_API
lava_status lava_producer_wait_released(struct lava_producer *producer,
                                        const struct lava_buffer *buffer,
                                        uint64_t timeout_ns,
                                        struct lava_error *error);
LAVA_API uint32_t lava_producer_connection_count(struct lava_producer *producer);
LAVA_API
lava_status lava_producer_get_connection(struct lava_producer *producer,
                                         uint32_t index,
                                         struct lava_connection_info *info,
                                         struct lava_location *peer,
                                         struct lava_error *error);
LAVA_API
lava_status lava_producer_get_rejection(struct lava_producer *producer,
                                        uint32_t connection,
                                        uint32_t index,
                                        struct lava_rejection *rejection,
                                        struct lava_error *error);
LAVA_API
lava_status lava_producer_describe(struct lava_producer *producer,
                                   char *buffer,
                                   size_t capacity,
                                   size_t *needed,
                                   struct lava_error *error);
LAVA_API
lava_status lava_consumer_create(const struct lava_context *context,
                                 const char *name,
                                 const struct lava_consumer_options *options,
                                 struct lava_consumer **consumer,
                                 struct lava_error *error);
LAVA_API void lava_consumer_destroy(struct lava_consumer *consumer);
LAVA_API
lava_status lava_consumer_receive(struct lava_consumer *consumer,
                                  uint64_t timeout_ns,
                                  struct lava_frame **frame);
LAVA_API
lava_status lava_consumer_receive_many(struct lava_consumer *consumer,
                                       struct lava_frame **frames,
                                       size_t count,
                                       uint64_t timeout_ns,
                                       size_t *received);
LAVA_API
lava_status lava_consumer_get_event_fd(struct lava_consumer *consumer,
                                       int32_t *fd,
                                       struct lava_error *error);
LAVA_API
lava_status lava_consumer_get_connection(struct lava_consumer *consumer,
                                         struct lava_connection_info *info,
                                         struct lava_location *peer,
                                         struct lava_error *error);
LAVA_API
lava_status lava_consumer_get_rejection(struct lava_consumer *consumer,
                                        uint32_t index,
                                        struct lava_rejection *rejection,
                                        struct lava_error *error);
LAVA_API
lava_status lava_consumer_describe(struct lava_consumer *consumer,
                                   char *buffer,
                                   size_t capacity,
                                   size_t *needed,
                                   struct lava_error *error);
LAVA_API
const void *lava_frame_data(const struct lava_frame *frame);
LAVA_API void *lava_frame_data_mut(struct lava_frame *frame);
LAVA_API uint64_t lava_frame_size(const struct lava_frame *frame);
LAVA_API lava_status lava_frame_get_info(const struct lava_frame *frame, struct lava_frame_info *info);
LAVA_API lava_status lava_frame_set_size(struct lava_frame *frame, uint64_t size);
LAVA_API lava_status lava_frame_set_tag(struct lava_frame *frame, uint64_t tag);
LAVA_API lava_status lava_frame_set_timestamp(struct lava_frame *frame, uint64_t timestamp_ns);
LAVA_API
lava_status lava_frame_set_tensor(struct lava_frame *frame,
                                  const struct lava_tensor *tensor,
                                  struct lava_error *error);
LAVA_API
lava_status lava_frame_get_tensor(const struct lava_frame *frame,
                                  struct lava_tensor *tensor,
                                  struct lava_error *error);
LAVA_API lava_status lava_frame_read(const struct lava_frame *frame, uint64_t offset, void *data, size_t size);
LAVA_API
lava_status lava_frame_write(struct lava_frame *frame,
                             uint64_t offset,
                             const void *data,
                             size_t size);
LAVA_API
lava_status lava_frame_get_buffer(const struct lava_frame *frame,
                                  struct lava_buffer **buffer,
                                  uint64_t *offset,
                                  struct lava_error *error);
LAVA_API
lava_status lava_frame_release(struct lava_frame *frame);
LAVA_API lava_status lava_frame_release_many(struct lava_frame *const *frames, size_t count);
LAVA_API
lava_status lava_frame_get_ready(const struct lava_frame *frame,
                                 struct lava_frame_sync *sync,
                                 struct lava_error *error);
LAVA_API
lava_status lava_frame_wait_ready(const struct lava_frame *frame,
                                  uint64_t timeout_ns);
LAVA_API
lava_status lava_frame_next_ready(struct lava_frame *frame,
                                  struct lava_frame_sync *sync,
                                  struct lava_error *error);
LAVA_API
lava_status lava_frame_release_after(struct lava_frame *frame,
                                     const struct lava_frame_sync *sync,
                                     struct lava_error *error);
LAVA_API
lava_status lava_buffer_get_vulkan(const struct lava_buffer *buffer,
                                   struct lava_vulkan_buffer *vulkan,
                                   struct lava_error *error);
LAVA_API
lava_status lava_buffer_get_cuda(const struct lava_buffer *buffer,
                                 struct lava_cuda_view *view,
                                 struct lava_error *error);
LAVA_API
lava_status lava_frame_get_cuda(const struct lava_frame *frame,
                                struct lava_cuda_view *view,
                                struct lava_error *error);
LAVA_API
lava_status lava_frame_wait_cuda(const struct lava_frame *frame,
                                 void *stream,
                                 struct lava_error *error);
LAVA_API
lava_status lava_frame_set_ready_cuda(struct lava_frame *frame,
                                      void *stream,
                                      struct lava_error *error);
LAVA_API
lava_status lava_frame_release_cuda(struct lava_frame *frame,
                                    void *stream,
                                    struct lava_error *error);
#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus
#endif
