//! Frames: one message each, and the metadata that travels with it.

/// One message: a loan to be written, or a received frame to be read. Functions: `lava_frame_*`.
pub struct lava_frame {
    _private: [u8; 0],
}

/// Payloads up to this many bytes ride in the descriptor's own cache line and take no slot
/// (8 bytes less if the frame has a tag).
pub const LAVA_FRAME_INLINE_SIZE: usize = 40;

/// Frame flag: a loan, which may be written and sent.
pub const LAVA_FRAME_LOAN: u32 = 1;
/// Frame flag: has a tensor description.
pub const LAVA_FRAME_HAS_TENSOR: u32 = 2;
/// Frame flag: the payload came inside the descriptor; its bytes are private to this process.
pub const LAVA_FRAME_INLINE: u32 = 4;
/// Frame flag: the payload lies in a buffer that the producer sent with `lava_producer_send_buffer`.
pub const LAVA_FRAME_BUFFER: u32 = 8;

/// What a frame is. Filled by `lava_frame_get_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_frame_info {
    /// `sizeof(lava_frame_info)` of the caller.
    pub struct_size: u32,
    /// Set of `LAVA_FRAME_*` flags.
    pub flags: u32,
    /// Bytes of payload.
    pub size: u64,
    /// Number of the frame in its channel, from 0; a gap tells of dropped frames. 0 for a loan.
    pub sequence: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC` at the send, or what the producer set; 0 if it asked for none.
    pub timestamp_ns: u64,
    /// The producer's own number.
    pub tag: u64,
    /// Bytes that the payload may grow to with `lava_frame_set_size` (a loan), else `size`.
    pub capacity: u64,
    /// `LAVA_MEMORY_*` of the payload.
    pub memory: u32,
    /// `LAVA_TRANSPORT_*` that brought it; 0 for a loan.
    pub transport: u32,
}

/// Kind of a frame's synchronisation: none, because its bytes are ready.
pub const LAVA_SYNC_NONE: u32 = 0;
/// Kind of a frame's synchronisation: the CPU waits for the GPU's work before it sends or releases the frame.
pub const LAVA_SYNC_HOST: u32 = 1;
/// Kind of a frame's synchronisation: a GPU waits until a timeline semaphore has reached a value.
pub const LAVA_SYNC_TIMELINE: u32 = 2;

/// What a GPU's commands must wait for before they use a frame, or signal after it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_frame_sync {
    /// `sizeof(lava_frame_sync)` of the caller.
    pub struct_size: u32,
    /// `LAVA_SYNC_*`.
    pub kind: u32,
    /// `VkSemaphore`, a timeline, of the device that the frame's buffer belongs to (`lava_buffer_get_vulkan`); 0 if there
    /// is none.
    pub semaphore: u64,
    /// The value to wait for or to signal.
    pub value: u64,
}

/// Most dimensions of a tensor.
pub const LAVA_TENSOR_MAX_DIMENSIONS: usize = 8;

/// Element kind, as in DLPack: signed integer.
pub const LAVA_DTYPE_INT: u8 = 0;
/// Element kind, as in DLPack: unsigned integer.
pub const LAVA_DTYPE_UINT: u8 = 1;
/// Element kind, as in DLPack: IEEE 754 floating point.
pub const LAVA_DTYPE_FLOAT: u8 = 2;
/// Element kind, as in DLPack: bfloat16.
pub const LAVA_DTYPE_BFLOAT: u8 = 4;
/// Element kind, as in DLPack: complex, of two floats.
pub const LAVA_DTYPE_COMPLEX: u8 = 5;
/// Element kind, as in DLPack: boolean, a byte each.
pub const LAVA_DTYPE_BOOL: u8 = 6;
/// Element kind, as in DLPack: 8-bit float, 4 exponent and 3 mantissa bits, finite and NaN only.
pub const LAVA_DTYPE_FLOAT8_E4M3FN: u8 = 10;
/// Element kind, as in DLPack: 8-bit float, 5 exponent and 2 mantissa bits.
pub const LAVA_DTYPE_FLOAT8_E5M2: u8 = 12;

/// An n-dimensional array within a frame's payload. Travels with the frame, so that every language sees one array.
/// Every element must lie within the payload; this is checked when it is set and again when it is received.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct lava_tensor {
    /// `sizeof(lava_tensor)` of the caller.
    pub struct_size: u32,
    /// `LAVA_DTYPE_*` (the numbers of DLPack's `DLDataTypeCode`).
    pub dtype: u8,
    /// Bits of one lane: 8, 16, 32, 64, 128.
    pub bits: u8,
    /// Lanes of one element: 1 unless it is a vector.
    pub lanes: u16,
    /// Dimensions, 0 (a scalar) to `LAVA_TENSOR_MAX_DIMENSIONS`.
    pub dimensions: u32,
    /// 1: `strides` is valid. 0: compact, row-major; `lava_frame_get_tensor` always fills the strides and sets 1.
    pub has_strides: u32,
    /// First element, in bytes from the payload's start.
    pub byte_offset: u64,
    /// Elements in each dimension, outermost first; each >= 0. Unused ones zero.
    pub shape: [i64; LAVA_TENSOR_MAX_DIMENSIONS],
    /// Step of each dimension, in elements; may be negative or 0. Unused ones zero.
    pub strides: [i64; LAVA_TENSOR_MAX_DIMENSIONS],
}
