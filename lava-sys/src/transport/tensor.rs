//! The check of a tensor description: pure arithmetic over numbers that a peer may have made up.

use crate::error::{Error, Result};
use crate::types::*;

/// Checks a description against a payload of `size` bytes and fills in compact strides. Every element of the result
/// lies within the payload.
pub fn check(tensor: &lava_tensor, size: u64) -> Result<lava_tensor> {
    let mut checked = *tensor;
    checked.struct_size = size_of::<lava_tensor>() as u32;
    let dimensions = tensor.dimensions as usize;
    if dimensions > LAVA_TENSOR_MAX_DIMENSIONS {
        return Err(Error::argument(format!(
            "tensor.dimensions is {dimensions}; at most {LAVA_TENSOR_MAX_DIMENSIONS} are allowed"
        ))
        .with_value(dimensions as u64));
    }
    let element = element_size(tensor)?;
    if let Some(at) = tensor.shape[..dimensions].iter().position(|extent| *extent < 0) {
        return Err(Error::argument(format!(
            "tensor.shape[{at}] is {}; it must not be negative",
            tensor.shape[at]
        )));
    }
    let unused = tensor.shape[dimensions..].iter().chain(&tensor.strides[dimensions..]);
    if unused.clone().any(|value| *value != 0) {
        return Err(Error::argument(
            "tensor.shape and tensor.strides must be 0 beyond tensor.dimensions",
        ));
    }
    match tensor.has_strides {
        0 => checked.strides = compact_strides(tensor, dimensions)?,
        1 => {}
        other => {
            return Err(Error::argument(format!(
                "tensor.has_strides is {other}; it must be 0 or 1"
            ))
            .with_value(other.into()));
        }
    }
    checked.has_strides = 1;
    check_range(&checked, dimensions, element, size)?;
    Ok(checked)
}

/// Bytes of one element.
fn element_size(tensor: &lava_tensor) -> Result<u64> {
    let bits_allowed: &[u8] = match tensor.dtype {
        LAVA_DTYPE_INT | LAVA_DTYPE_UINT => &[8, 16, 32, 64],
        LAVA_DTYPE_FLOAT => &[16, 32, 64, 128],
        LAVA_DTYPE_BFLOAT => &[16],
        LAVA_DTYPE_COMPLEX => &[32, 64, 128],
        LAVA_DTYPE_BOOL | LAVA_DTYPE_FLOAT8_E4M3FN | LAVA_DTYPE_FLOAT8_E5M2 => &[8],
        other => {
            return Err(Error::argument(format!("tensor.dtype is {other}; see LAVA_DTYPE_*"))
                .with_value(other.into()));
        }
    };
    if !bits_allowed.contains(&tensor.bits) {
        return Err(Error::argument(format!(
            "tensor.bits is {}; for dtype {} it must be one of {bits_allowed:?}",
            tensor.bits, tensor.dtype
        ))
        .with_value(tensor.bits.into()));
    }
    if tensor.lanes == 0 {
        return Err(Error::argument("tensor.lanes is 0; it is 1 unless an element is a vector"));
    }
    Ok(u64::from(tensor.bits) / 8 * u64::from(tensor.lanes))
}

fn compact_strides(
    tensor: &lava_tensor,
    dimensions: usize,
) -> Result<[i64; LAVA_TENSOR_MAX_DIMENSIONS]> {
    let mut strides = [0; LAVA_TENSOR_MAX_DIMENSIONS];
    let mut step: i64 = 1;
    for at in (0..dimensions).rev() {
        strides[at] = step;
        step = step
            .checked_mul(tensor.shape[at].max(1))
            .ok_or_else(|| Error::argument("tensor.shape has more elements than 2^63"))?;
    }
    Ok(strides)
}

/// The lowest and highest element, in elements from the first, must lie within the payload.
fn check_range(tensor: &lava_tensor, dimensions: usize, element: u64, size: u64) -> Result<()> {
    let outside = |what: String| Err(Error::new(LAVA_ERROR_TOO_LARGE, what).with_value(size));
    if tensor.shape[..dimensions].contains(&0) {
        if tensor.byte_offset > size {
            return outside(format!(
                "tensor.byte_offset is {}, the payload has {size} bytes",
                tensor.byte_offset
            ));
        }
        return Ok(());
    }
    // |shape - 1| and |stride| are at most 2^63, so a product fits into i128; sums and what follows may not.
    let (mut lowest, mut highest) = (0_i128, 0_i128);
    for at in 0..dimensions {
        let span = i128::from(tensor.shape[at] - 1) * i128::from(tensor.strides[at]);
        let side = if span < 0 { &mut lowest } else { &mut highest };
        match side.checked_add(span) {
            Some(sum) => *side = sum,
            None => return outside("tensor.strides lead out of every payload".into()),
        }
    }
    let at = |elements: i128| {
        elements.checked_mul(i128::from(element))?.checked_add(i128::from(tensor.byte_offset))
    };
    let first = at(lowest);
    let end = at(highest).and_then(|last| last.checked_add(i128::from(element)));
    match (first, end) {
        (Some(first), Some(end)) if first >= 0 && end <= i128::from(size) => Ok(()),
        (Some(first), Some(end)) => outside(format!(
            "the tensor covers the bytes {first}..{end} of a payload of {size} bytes"
        )),
        _ => outside("tensor.strides lead out of every payload".into()),
    }
}
