//! The layout of every struct that crosses the C ABI, by hand and in full: offset and size of each field. The compiler
//! refuses any other, so a layout cannot change by an edit elsewhere. Appending a field adds a line here.

use memoffset::offset_of;
use static_assertions::{const_assert, const_assert_eq};

use super::*;

/// `struct NAME: its bytes { field: first byte, bytes; ... }`; the fields leave no byte without a name between them.
macro_rules! layout {
    ($($name:ident: $size:literal { $($field:ident: $offset:literal, $bytes:literal;)* })*) => { $(
        const_assert_eq!(size_of::<$name>(), $size);
        const_assert!(align_of::<$name>() <= 8);
        const_assert_eq!($($bytes +)* 0, $size);
        $(const_assert_eq!(offset_of!($name, $field), $offset);)*
    )* };
}

layout! {
    lava_buffer_options: 80 {
        struct_size: 0, 4;
        memory: 4, 4;
        size: 8, 8;
        alignment: 16, 8;
        flags: 24, 4;
        numa_node: 28, 4;
        fallback_count: 32, 4;
        fallback: 36, 20;
        peer: 56, 8;
        device_uuid: 64, 16;
    }
    lava_buffer_info: 344 {
        struct_size: 0, 4;
        memory: 4, 4;
        size: 8, 8;
        allocated_size: 16, 8;
        alignment: 24, 8;
        flags: 32, 4;
        pages: 36, 4;
        page_size: 40, 8;
        numa_node: 48, 4;
        requested_memory: 52, 4;
        reason: 56, 256;
        device_uuid: 312, 16;
        driver_uuid: 328, 16;
    }
    lava_buffer_handle: 88 {
        struct_size: 0, 4;
        kind: 4, 4;
        fd: 8, 4;
        memory: 12, 4;
        size: 16, 8;
        allocation_size: 24, 8;
        offset: 32, 8;
        pages: 40, 4;
        flags: 44, 4;
        memory_type: 48, 4;
        dedicated: 52, 4;
        device_uuid: 56, 16;
        driver_uuid: 72, 16;
    }
    lava_producer_options: 88 {
        struct_size: 0, 4;
        policy: 4, 4;
        max_frame_size: 8, 8;
        capacity: 16, 4;
        queue_length: 20, 4;
        memory: 24, 4;
        flags: 28, 4;
        max_consumers: 32, 4;
        alignment: 36, 4;
        numa_node: 40, 4;
        fallback_count: 44, 4;
        fallback: 48, 20;
        require_transports: 68, 4;
        device_uuid: 72, 16;
    }
    lava_consumer_options: 56 {
        struct_size: 0, 4;
        flags: 4, 4;
        timeout_ns: 8, 8;
        require_transports: 16, 4;
        max_copies: 20, 4;
        producer: 24, 8;
        memory: 32, 4;
        reserved: 36, 4;
        device_uuid: 40, 16;
    }
    lava_connection_info: 336 {
        struct_size: 0, 4;
        transport: 4, 4;
        copies: 8, 4;
        state: 12, 4;
        peer_process: 16, 4;
        rejection_count: 20, 4;
        frames: 24, 8;
        bytes: 32, 8;
        dropped: 40, 8;
        queued: 48, 8;
        held: 56, 8;
        sleeps: 64, 8;
        wakes: 72, 8;
        reason: 80, 256;
    }
    lava_rejection: 264 {
        struct_size: 0, 4;
        transport: 4, 4;
        reason: 8, 256;
    }
    lava_bytes: 16 {
        data: 0, 8;
        size: 8, 8;
    }
    lava_log_sink: 32 {
        struct_size: 0, 4;
        level: 4, 4;
        user: 8, 8;
        write: 16, 8;
        drop: 24, 8;
    }
    lava_context_options: 64 {
        struct_size: 0, 4;
        scope: 4, 4;
        runtime_directory: 8, 8;
        log: 16, 8;
        spin_ns: 24, 8;
        vulkan_devices: 32, 4;
        reserved: 36, 4;
        vulkan: 40, 8;
        mpi: 48, 4;
        has_mpi_communicator: 52, 4;
        mpi_communicator: 56, 8;
    }
    lava_device_heap: 32 {
        size: 0, 8;
        budget: 8, 8;
        used: 16, 8;
        flags: 24, 4;
        reserved: 28, 4;
    }
    lava_device_info: 1632 {
        struct_size: 0, 4;
        kind: 4, 4;
        device_uuid: 8, 16;
        driver_uuid: 24, 16;
        flags: 40, 4;
        api_version: 44, 4;
        vendor_id: 48, 4;
        device_id: 52, 4;
        pci_domain: 56, 4;
        pci_bus: 60, 4;
        pci_device: 64, 4;
        pci_function: 68, 4;
        max_allocation: 72, 8;
        host_import_alignment: 80, 8;
        heap_count: 88, 4;
        reserved: 92, 4;
        heaps: 96, 512;
        name: 608, 256;
        driver_name: 864, 256;
        driver_info: 1120, 256;
        reason: 1376, 256;
    }
    lava_error: 512 {
        struct_size: 0, 4;
        status: 4, 4;
        os_errno: 8, 4;
        vk_result: 12, 4;
        value: 16, 8;
        message: 24, 488;
    }
    lava_frame_info: 56 {
        struct_size: 0, 4;
        flags: 4, 4;
        size: 8, 8;
        sequence: 16, 8;
        timestamp_ns: 24, 8;
        tag: 32, 8;
        capacity: 40, 8;
        memory: 48, 4;
        transport: 52, 4;
    }
    lava_frame_sync: 24 {
        struct_size: 0, 4;
        kind: 4, 4;
        semaphore: 8, 8;
        value: 16, 8;
    }
    lava_tensor: 152 {
        struct_size: 0, 4;
        dtype: 4, 1;
        bits: 5, 1;
        lanes: 6, 2;
        dimensions: 8, 4;
        has_strides: 12, 4;
        byte_offset: 16, 8;
        shape: 24, 64;
        strides: 88, 64;
    }
    lava_location: 144 {
        struct_size: 0, 4;
        process: 4, 4;
        user: 8, 4;
        rank: 12, 4;
        context: 16, 8;
        pid_namespace: 24, 8;
        mount_namespace: 32, 8;
        ipc_namespace: 40, 8;
        runtime_device: 48, 8;
        runtime_inode: 56, 8;
        boot_id: 64, 16;
        host: 80, 64;
    }
    lava_scope_report: 792 {
        struct_size: 0, 4;
        scope: 4, 4;
        decided_by: 8, 4;
        agrees: 12, 4;
        differs: 16, 4;
        reserved: 20, 4;
        text: 24, 768;
    }
    lava_cuda_view: 32 {
        struct_size: 0, 4;
        device_ordinal: 4, 4;
        device_pointer: 8, 8;
        size: 16, 8;
        context: 24, 8;
    }
    lava_vulkan_device: 72 {
        struct_size: 0, 4;
        queue_family: 4, 4;
        instance: 8, 8;
        physical_device: 16, 8;
        device: 24, 8;
        queue: 32, 8;
        get_instance_proc_addr: 40, 8;
        user: 48, 8;
        lock: 56, 8;
        unlock: 64, 8;
    }
    lava_vulkan_buffer: 80 {
        struct_size: 0, 4;
        queue_family: 4, 4;
        instance: 8, 8;
        physical_device: 16, 8;
        device: 24, 8;
        buffer: 32, 8;
        memory: 40, 8;
        offset: 48, 8;
        size: 56, 8;
        allocation_size: 64, 8;
        queue_index: 72, 4;
        reserved: 76, 4;
    }
}
