//! What a descriptor and its slot's metadata say of a payload: whatever passes the checks lies within the slot.
#![no_main]

use lava_fuzz::Input;
use lava_sys::internals::channel::connect::check_place;
use lava_sys::internals::transport::descriptor::{self, Payload};
use lava_sys::internals::transport::tensor;
use lava_sys::internals::wire::Welcome;
use lava_sys::{LAVA_TENSOR_MAX_DIMENSIONS, lava_tensor};
use libfuzzer_sys::fuzz_target;

const SLOT: u64 = 4096;

/// An element's bytes, chosen by the input, must lie in the payload.
fn element(checked: &lava_tensor, size: u64, input: &mut Input<'_>) {
    let mut index = 0_i128;
    for at in 0..checked.dimensions as usize {
        let extent = checked.shape[at];
        if extent == 0 {
            return;
        }
        let place = match input.byte() {
            0 => 0,
            1 => extent - 1,
            other => i64::from(other) % extent,
        };
        index += i128::from(place) * i128::from(checked.strides[at]);
    }
    let bytes = i128::from(checked.bits / 8) * i128::from(checked.lanes);
    let first = i128::from(checked.byte_offset) + index * bytes;
    assert!(first >= 0 && first + bytes <= i128::from(size), "an element outside: {checked:?}");
}

#[cfg(not(feature = "canary"))]
fn check(tensor: &lava_tensor, size: u64) -> Option<lava_tensor> {
    tensor::check(tensor, size).ok()
}

/// The seeded fault: strides are not looked at when they are negative.
#[cfg(feature = "canary")]
fn check(tensor: &lava_tensor, size: u64) -> Option<lava_tensor> {
    let positive = lava_tensor { strides: tensor.strides.map(|stride| stride.max(0)), ..*tensor };
    let checked = tensor::check(&positive, size).ok()?;
    Some(if tensor.has_strides == 1 { *tensor } else { checked })
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let words = std::array::from_fn(|_| input.word());
    let welcome = Welcome {
        capacity: 8,
        max_frame_size: SLOT,
        stride: SLOT,
        pool_size: 8 * SLOT,
        ..bytemuck::Zeroable::zeroed()
    };
    let size = match descriptor::decode(&words).map(|decoded| decoded.payload) {
        Some(Payload::Inline { words, size }) => {
            assert!(size <= size_of_val(&words));
            size as u64
        }
        Some(Payload::Packed { words, size, count }) => {
            assert!((1..=16).contains(&size) && count > 0 && size.div_ceil(8) * count <= words.len());
            size as u64
        }
        Some(Payload::Elsewhere(place)) if check_place(&place, &welcome).is_ok() => {
            if place.buffer == 0 {
                let start = u64::from(place.slot) * welcome.stride + place.offset;
                assert!(start + place.size <= welcome.pool_size);
            }
            place.size
        }
        _ => SLOT,
    };
    let [dtype, bits, lanes, dimensions, has_strides, offset, ..] = input.bytes::<8>();
    let number = |input: &mut Input<'_>| match input.byte() {
        255 => input.word().cast_signed(),
        254 => i64::MAX - i64::from(input.byte()),
        small => i64::from(small as i8),
    };
    let mut tensor = lava_tensor {
        struct_size: size_of::<lava_tensor>() as u32,
        dtype: dtype % 10,
        bits: [8, 16, 32, 64, 128, bits][usize::from(bits) % 6],
        lanes: u16::from(lanes),
        dimensions: u32::from(dimensions) % 10,
        has_strides: u32::from(has_strides) % 3,
        byte_offset: if offset == 255 { input.word() } else { u64::from(offset) },
        shape: [0; LAVA_TENSOR_MAX_DIMENSIONS],
        strides: [0; LAVA_TENSOR_MAX_DIMENSIONS],
    };
    for at in 0..(tensor.dimensions as usize).min(LAVA_TENSOR_MAX_DIMENSIONS) {
        (tensor.shape[at], tensor.strides[at]) = (number(&mut input), number(&mut input));
    }
    if let Some(checked) = check(&tensor, size) {
        element(&checked, size, &mut input);
    }
});
