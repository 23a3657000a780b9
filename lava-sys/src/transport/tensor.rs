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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tensor(shape: &[i64], strides: Option<&[i64]>) -> lava_tensor {
        let mut tensor = lava_tensor {
            struct_size: size_of::<lava_tensor>() as u32,
            dtype: LAVA_DTYPE_UINT,
            bits: 8,
            lanes: 1,
            dimensions: shape.len() as u32,
            has_strides: u32::from(strides.is_some()),
            byte_offset: 0,
            shape: [0; LAVA_TENSOR_MAX_DIMENSIONS],
            strides: [0; LAVA_TENSOR_MAX_DIMENSIONS],
        };
        tensor.shape[..shape.len()].copy_from_slice(shape);
        if let Some(strides) = strides {
            tensor.strides[..shape.len()].copy_from_slice(strides);
        }
        tensor
    }

    /// Bytes that each element covers, one element after the other.
    fn elements(tensor: &lava_tensor) -> Vec<std::ops::Range<i128>> {
        let size = i128::from(tensor.bits) / 8 * i128::from(tensor.lanes);
        let mut indices = vec![0_i128];
        for at in 0..tensor.dimensions as usize {
            indices = indices
                .iter()
                .flat_map(|first| {
                    (0..tensor.shape[at])
                        .map(move |step| first + i128::from(step) * i128::from(tensor.strides[at]))
                })
                .collect();
        }
        let start = |index: i128| i128::from(tensor.byte_offset) + index * size;
        indices.into_iter().map(|index| start(index)..start(index) + size).collect()
    }

    fn fits(tensor: &lava_tensor, size: u64) -> bool {
        elements(tensor).iter().all(|range| range.start >= 0 && range.end <= i128::from(size))
    }

    /// Small enough to be enumerated.
    fn small() -> impl Strategy<Value = lava_tensor> {
        let strides = prop::option::of(prop::collection::vec(-5..=9_i64, 4));
        let kind = prop_oneof![
            Just((LAVA_DTYPE_UINT, 8_u8)),
            Just((LAVA_DTYPE_FLOAT, 32)),
            Just((LAVA_DTYPE_COMPLEX, 128)),
            Just((LAVA_DTYPE_BFLOAT, 16)),
        ];
        (prop::collection::vec(0..=4_i64, 0..=4), strides, kind, 1..=3_u16, 0..40_u64).prop_map(
            |(shape, strides, (dtype, bits), lanes, byte_offset)| {
                let strides = strides.map(|strides| strides[..shape.len()].to_vec());
                lava_tensor {
                    dtype,
                    bits,
                    lanes,
                    byte_offset,
                    ..tensor(&shape, strides.as_deref())
                }
            },
        )
    }

    /// Numbers as a hostile peer writes them.
    fn hostile() -> impl Strategy<Value = lava_tensor> {
        let number = || {
            prop_oneof![
                -3..4_i64,
                any::<i64>(),
                (0..64_u32, -2..3_i64).prop_map(|(bit, near)| (1_i64 << bit).wrapping_add(near)),
                Just(i64::MAX),
                Just(i64::MIN),
            ]
        };
        let numbers = || prop::collection::vec(number(), LAVA_TENSOR_MAX_DIMENSIONS);
        let kind =
            (0..12_u8, prop_oneof![Just(8_u8), Just(16), Just(64), any::<u8>()], any::<u16>());
        (kind, 0..10_u32, 0..3_u32, number(), numbers(), numbers(), any::<bool>()).prop_map(
            |((dtype, bits, lanes), dimensions, has_strides, offset, shape, strides, tidy)| {
                let mut tensor = tensor(&shape, Some(&strides));
                (tensor.dtype, tensor.bits, tensor.lanes) = (dtype, bits, lanes);
                (tensor.dimensions, tensor.has_strides) = (dimensions, has_strides);
                tensor.byte_offset = offset.cast_unsigned();
                for at in 0..LAVA_TENSOR_MAX_DIMENSIONS {
                    if tidy && at >= dimensions as usize {
                        (tensor.shape[at], tensor.strides[at]) = (0, 0);
                    } else if tidy {
                        tensor.shape[at] &= i64::MAX;
                    }
                }
                tensor
            },
        )
    }

    /// First byte that it covers and the one after the last, in numbers that cannot overflow, though they round.
    fn reach(tensor: &lava_tensor) -> (f64, f64) {
        let (mut low, mut high) = (0.0, 0.0);
        for at in 0..tensor.dimensions as usize {
            let span = (tensor.shape[at] - 1) as f64 * tensor.strides[at] as f64;
            if span < 0.0 { low += span } else { high += span }
        }
        let element = f64::from(tensor.bits) / 8.0 * f64::from(tensor.lanes);
        let offset = tensor.byte_offset as f64;
        (offset + low * element, offset + (high + 1.0) * element)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn small_tensors_are_accepted_exactly_if_they_fit(tensor in small(), size in 0..200_u64) {
            match check(&tensor, size) {
                Ok(checked) => {
                    prop_assert!(fits(&checked, size));
                    prop_assert!(tensor.has_strides == 0 || checked == tensor);
                    prop_assert_eq!(check(&checked, size).unwrap(), checked);
                }
                Err(error) => {
                    let empty = tensor.shape[..tensor.dimensions as usize].contains(&0);
                    let mut strided = tensor;
                    if tensor.has_strides == 0 {
                        strided.strides = compact_strides(&tensor, tensor.dimensions as usize).unwrap();
                    }
                    prop_assert!(if empty { tensor.byte_offset > size } else { !fits(&strided, size) }, "{}", error);
                }
            }
        }

        #[test]
        fn nothing_that_reaches_out_of_the_payload_is_accepted(tensor in hostile(), size in any::<u64>()) {
            if let Ok(checked) = check(&tensor, size)
                && !checked.shape[..checked.dimensions as usize].contains(&0)
            {
                let (first, end) = reach(&checked);
                // Doubles round, by less than one part in 2^50.
                prop_assert!(first > -(2_f64.powi(16)) && end <= size as f64 * 1.000_001 + 1.0);
            }
        }
    }

    #[test]
    fn sums_that_overflow_are_refused() {
        // Two spans of almost 2^126 and a third that makes the sum as large as an i128 can be.
        let shape = [i64::MAX, i64::MAX, (3 << 61) + 1_i64];
        for (third, offset) in [(7, u64::MAX), (8, u64::MAX), (7, 0), (1, u64::MAX)] {
            let strides = [i64::MAX, i64::MAX, third];
            for sign in [1, -1] {
                let strides = strides.map(|stride| stride * sign);
                let tensor = lava_tensor { byte_offset: offset, ..tensor(&shape, Some(&strides)) };
                assert_eq!(check(&tensor, u64::MAX).unwrap_err().status, LAVA_ERROR_TOO_LARGE);
            }
        }
    }

    #[test]
    fn wrong_descriptions_name_what_is_wrong() {
        let good = tensor(&[2, 3], None);
        let refused = |tensor: lava_tensor, words: &str| {
            let error = check(&tensor, 100).unwrap_err();
            assert_eq!(error.status, LAVA_ERROR_INVALID_ARGUMENT, "{error}");
            assert!(error.message.contains(words), "{error}");
        };
        assert_eq!(check(&good, 6).unwrap().strides[..2], [3, 1]);
        refused(lava_tensor { dimensions: 9, ..good }, "dimensions is 9");
        refused(lava_tensor { dtype: 200, ..good }, "dtype is 200");
        refused(lava_tensor { bits: 7, ..good }, "bits is 7");
        refused(lava_tensor { lanes: 0, ..good }, "lanes is 0");
        refused(lava_tensor { has_strides: 2, ..good }, "has_strides is 2");
        refused(lava_tensor { dimensions: 1, ..good }, "beyond tensor.dimensions");
        refused(tensor(&[1, -1], None), "shape[1] is -1");
        refused(tensor(&[i64::MAX, i64::MAX], None), "more elements than 2^63");
    }
}
