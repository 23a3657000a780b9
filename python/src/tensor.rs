//! Shapes: what users give, and what views need.

use lava::{DataType, Tensor};
use pyo3::prelude::*;
use smallvec::{SmallVec, smallvec};

use crate::element;
use crate::failure::{Failure, OrRaise};

/// Sizes or steps of dimensions; few enough to need no allocation, as a rule.
pub(crate) type Numbers = SmallVec<[i64; 4]>;

/// What is asked for by `shape` and `dtype`.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) bytes: usize,
    /// `None`: plain bytes.
    pub(crate) tensor: Option<Tensor>,
}

impl Layout {
    /// `shape` is a number or a sequence of numbers. A number without a type is that many plain bytes; a sequence without
    /// a type is of uint8.
    pub(crate) fn extract(
        shape: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        if let (Ok(bytes), None) = (shape.extract::<usize>(), dtype) {
            return Ok(Self { bytes, tensor: None });
        }
        let element = dtype.map_or(Ok(element::UINT8), element::extract)?;
        let tensor = Tensor::new(element, &dimensions(shape)?).or_raise()?;
        let bytes = tensor
            .element_count()
            .and_then(|count| count.checked_mul(element::size(element)))
            .filter(|bytes| isize::try_from(*bytes).is_ok())
            .ok_or_else(|| {
                Failure::argument(format!("an array of shape {shape} is larger than memory"))
            })?;
        Ok(Self { bytes, tensor: Some(tensor) })
    }
}

/// A number, or a sequence of numbers.
pub(crate) fn dimensions(shape: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    let list = match shape.extract::<i64>() {
        Ok(number) => vec![number],
        Err(_) => shape.extract::<Vec<i64>>().map_err(|_| {
            Failure::argument(format!(
                "shape {shape} is neither a number nor a sequence of numbers"
            ))
        })?,
    };
    let negative =
        |size: i64| Failure::argument(format!("shape {shape} has the negative dimension {size}"));
    Ok(list
        .into_iter()
        .map(|size| usize::try_from(size).map_err(|_| negative(size)))
        .collect::<Result<_, _>>()?)
}

/// An array within a payload, as views show it.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) element: DataType,
    pub(crate) shape: Numbers,
    /// In elements.
    pub(crate) strides: Numbers,
    pub(crate) byte_offset: usize,
}

impl Array {
    /// The tensor of a payload of `bytes`, or its plain bytes.
    pub(crate) fn new(tensor: Option<&Tensor>, bytes: usize) -> Self {
        let Some(tensor) = tensor else {
            return Self {
                element: element::UINT8,
                shape: smallvec![bytes as i64],
                strides: smallvec![1],
                byte_offset: 0,
            };
        };
        let shape: Numbers = tensor.shape().iter().map(|size| *size as i64).collect();
        let strides = match tensor.strides() {
            Some(strides) => strides.iter().map(|step| *step as i64).collect(),
            None => compact(&shape),
        };
        // It lies within the payload, which is mapped.
        Self {
            element: tensor.data_type(),
            shape,
            strides,
            byte_offset: tensor.byte_offset() as usize,
        }
    }

    /// An array of another library, whose numbers are checked first.
    pub(crate) fn foreign(
        element: DataType,
        shape: Numbers,
        strides: Option<Numbers>,
    ) -> PyResult<Self> {
        let sizes = shape.iter().map(|size| usize::try_from(*size)).collect::<Result<Vec<_>, _>>();
        let sizes = sizes.map_err(|_| {
            Failure::argument(format!("an array of shape {shape:?} has a negative dimension"))
        })?;
        let strides = strides.unwrap_or_else(|| compact(&shape));
        let count = Tensor::new(element, &sizes).or_raise()?.element_count();
        let bytes = count.and_then(|count| count.checked_mul(element::size(element)));
        if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) || strides.len() != shape.len()
        {
            return Err(Failure::argument(format!(
                "an array of shape {shape:?} is larger than memory"
            ))
            .into());
        }
        Ok(Self { element, shape, strides, byte_offset: 0 })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.shape.iter().product::<i64>() as usize * element::size(self.element)
    }

    /// Copies the elements to a compact, row-major place.
    ///
    /// # Safety
    /// Every element must be readable from `from`, its first one, and `to` be valid for all of them; the two must be apart.
    pub(crate) unsafe fn gather(&self, from: *const u8, to: *mut u8) {
        let item = element::size(self.element);
        // The innermost dimensions that lie together are copied at once.
        let steps = compact(&self.shape);
        let loose = (0..self.shape.len())
            .rev()
            .find(|at| self.shape[*at] != 1 && self.strides[*at] != steps[*at]);
        let outer = loose.map_or(0, |at| at + 1);
        let run = self.shape[outer..].iter().product::<i64>() as usize * item;
        let count = self.shape[..outer].iter().product::<i64>();
        let mut index = vec![0i64; outer];
        for number in 0..count as usize {
            let place: i64 = index.iter().zip(&self.strides).map(|(at, step)| at * step).sum();
            // SAFETY: by the caller's promise.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    from.offset(place as isize * item as isize),
                    to.add(number * run),
                    run,
                )
            };
            for (at, size) in index.iter_mut().zip(&self.shape).rev() {
                *at += 1;
                if *at < *size {
                    break;
                }
                *at = 0;
            }
        }
    }

    /// Plain bytes need no description.
    pub(crate) fn is_plain(&self) -> bool {
        self.element == element::UINT8 && self.shape.len() == 1
    }

    /// The compact tensor of this shape and type.
    pub(crate) fn tensor(&self) -> Result<Tensor, Failure> {
        let shape: Vec<usize> = self.shape.iter().map(|size| *size as usize).collect();
        Ok(Tensor::new(self.element, &shape)?)
    }

    pub(crate) fn is_compact(&self) -> bool {
        same_steps(&self.shape, &self.strides, &compact(&self.shape))
    }

    /// Compact with the first index running fastest.
    pub(crate) fn is_column_major(&self) -> bool {
        same_steps(&self.shape, &self.strides, &running(self.shape.iter()))
    }
}

/// The strides of a compact, row-major array, in elements.
pub(crate) fn compact(shape: &[i64]) -> Numbers {
    let mut strides = running(shape.iter().rev());
    strides.reverse();
    strides
}

/// The step of each dimension, the fastest first.
fn running<'a>(sizes: impl Iterator<Item = &'a i64>) -> Numbers {
    let next = |step: &mut i64, size: &i64| {
        let this = *step;
        *step *= size.max(&1);
        Some(this)
    };
    sizes.scan(1, next).collect()
}

/// Whether two sets of strides lead to the same elements: the step of a dimension of one element does not count.
fn same_steps(shape: &[i64], a: &[i64], b: &[i64]) -> bool {
    shape.contains(&0) || shape.iter().zip(a).zip(b).all(|((size, a), b)| *size == 1 || a == b)
}
