//! The description of a payload as an n-dimensional array.

use std::fmt;

use lava_sys::*;

use crate::bytes::CStruct;
use crate::error::{Error, Result};

const MAX: usize = LAVA_TENSOR_MAX_DIMENSIONS;

/// What an element is made of, with the numbers of DLPack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementKind {
    /// Signed integer.
    Int,
    /// Unsigned integer.
    Uint,
    /// IEEE 754 floating point.
    Float,
    /// bfloat16.
    Bfloat,
    /// Complex, of two floats.
    Complex,
    /// Boolean, a byte each.
    Bool,
    /// 8-bit float, 4 exponent and 3 mantissa bits, finite and NaN only.
    Float8E4m3fn,
    /// 8-bit float, 5 exponent and 2 mantissa bits.
    Float8E5m2,
    /// A kind that this version does not know.
    Other(u8),
}

impl ElementKind {
    fn to_raw(self) -> u8 {
        match self {
            Self::Int => LAVA_DTYPE_INT,
            Self::Uint => LAVA_DTYPE_UINT,
            Self::Float => LAVA_DTYPE_FLOAT,
            Self::Bfloat => LAVA_DTYPE_BFLOAT,
            Self::Complex => LAVA_DTYPE_COMPLEX,
            Self::Bool => LAVA_DTYPE_BOOL,
            Self::Float8E4m3fn => LAVA_DTYPE_FLOAT8_E4M3FN,
            Self::Float8E5m2 => LAVA_DTYPE_FLOAT8_E5M2,
            Self::Other(number) => number,
        }
    }

    fn from_raw(number: u8) -> Self {
        match number {
            LAVA_DTYPE_INT => Self::Int,
            LAVA_DTYPE_UINT => Self::Uint,
            LAVA_DTYPE_FLOAT => Self::Float,
            LAVA_DTYPE_BFLOAT => Self::Bfloat,
            LAVA_DTYPE_COMPLEX => Self::Complex,
            LAVA_DTYPE_BOOL => Self::Bool,
            LAVA_DTYPE_FLOAT8_E4M3FN => Self::Float8E4m3fn,
            LAVA_DTYPE_FLOAT8_E5M2 => Self::Float8E5m2,
            other => Self::Other(other),
        }
    }
}

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataType {
    /// What an element is made of.
    pub kind: ElementKind,
    /// Bits of one lane.
    pub bits: u8,
    /// Lanes of one element: 1 unless it is a vector.
    pub lanes: u16,
}

macro_rules! data_types {
    ($($name:ident $kind:ident $bits:literal $text:literal)*) => { impl DataType { $(
        #[doc = $text]
        pub const $name: Self = Self { kind: ElementKind::$kind, bits: $bits, lanes: 1 };
    )* } };
}
data_types! {
    I8 Int 8 "8-bit signed integer." I16 Int 16 "16-bit signed integer."
    I32 Int 32 "32-bit signed integer." I64 Int 64 "64-bit signed integer."
    U8 Uint 8 "8-bit unsigned integer." U16 Uint 16 "16-bit unsigned integer."
    U32 Uint 32 "32-bit unsigned integer." U64 Uint 64 "64-bit unsigned integer."
    F16 Float 16 "Half-precision float." F32 Float 32 "Single-precision float."
    F64 Float 64 "Double-precision float." BF16 Bfloat 16 "bfloat16."
    C64 Complex 64 "Complex of two single-precision floats."
    C128 Complex 128 "Complex of two double-precision floats." BOOL Bool 8 "Boolean, a byte."
}

/// A Rust type that is an element of a tensor.
pub trait Element: bytemuck::Pod {
    /// Its data type.
    const DATA_TYPE: DataType;
}

macro_rules! elements {
    ($($name:ty = $constant:ident)*) => { $(
        impl Element for $name {
            const DATA_TYPE: DataType = DataType::$constant;
        }
    )* };
}
elements! { i8=I8 i16=I16 i32=I32 i64=I64 u8=U8 u16=U16 u32=U32 u64=U64 f32=F32 f64=F64 }

/// An n-dimensional array within a frame's payload. It travels with the frame, so that every language sees one array.
///
/// ```
/// # fn main() -> lava::Result<()> {
/// use lava::{DataType, Tensor};
/// let image = Tensor::of::<f32>(&[480, 640, 3])?;
/// assert_eq!(image.data_type(), DataType::F32);
/// assert_eq!(image.shape(), [480, 640, 3]);
/// assert_eq!(image.element_count(), Some(480 * 640 * 3));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tensor {
    data_type: DataType,
    dimensions: usize,
    shape: [usize; MAX],
    strides: Option<[isize; MAX]>,
    byte_offset: u64,
}

impl Tensor {
    /// A compact, row-major array from the payload's first byte on. `shape` has the elements in each dimension, outermost
    /// first; none is a scalar.
    ///
    /// # Errors
    /// `InvalidArgument`: more than 8 dimensions.
    pub fn new(data_type: DataType, shape: &[usize]) -> Result<Self> {
        let dimensions = shape.len();
        let shape = padded(shape, "dimensions")?;
        Ok(Self { data_type, dimensions, shape, strides: None, byte_offset: 0 })
    }

    /// As [`Tensor::new`], with the data type of `T`.
    ///
    /// # Errors
    /// `InvalidArgument`: more than 8 dimensions.
    pub fn of<T: Element>(shape: &[usize]) -> Result<Self> {
        Self::new(T::DATA_TYPE, shape)
    }

    /// Sets the step of each dimension, in elements; it may be negative or 0.
    ///
    /// # Errors
    /// `InvalidArgument`: not as many as there are dimensions.
    pub fn with_strides(mut self, strides: &[isize]) -> Result<Self> {
        if strides.len() != self.dimensions {
            let (count, dimensions) = (strides.len(), self.dimensions);
            let message = format!("{count} strides for {dimensions} dimensions; give one for each");
            return Err(Error::invalid(count as u64, message));
        }
        self.strides = Some(padded(strides, "strides")?);
        Ok(self)
    }

    /// Sets where the first element is, in bytes from the payload's start.
    #[must_use]
    pub fn with_byte_offset(mut self, offset: u64) -> Self {
        self.byte_offset = offset;
        self
    }

    /// The type of the elements.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        self.data_type
    }

    /// The elements in each dimension, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape[..self.dimensions]
    }

    /// The step of each dimension, in elements; `None`: compact, row-major. A received tensor always has them.
    #[must_use]
    pub fn strides(&self) -> Option<&[isize]> {
        self.strides.as_ref().map(|strides| &strides[..self.dimensions])
    }

    /// The first element, in bytes from the payload's start.
    #[must_use]
    pub fn byte_offset(&self) -> u64 {
        self.byte_offset
    }

    /// The number of elements; `None` if it overflows.
    #[must_use]
    pub fn element_count(&self) -> Option<usize> {
        self.shape().iter().try_fold(1usize, |count, size| count.checked_mul(*size))
    }

    pub(crate) fn to_raw(self) -> Result<lava_tensor> {
        let mut raw = lava_tensor::sized();
        raw.dtype = self.data_type.kind.to_raw();
        (raw.bits, raw.lanes) = (self.data_type.bits, self.data_type.lanes);
        raw.dimensions = self.dimensions as u32;
        raw.has_strides = u32::from(self.strides.is_some());
        raw.byte_offset = self.byte_offset;
        for (to, from) in raw.shape.iter_mut().zip(self.shape) {
            *to = i64::try_from(from).map_err(|_| {
                Error::invalid(from as u64, format!("a dimension of {from} elements is too large"))
            })?;
        }
        for (to, from) in raw.strides.iter_mut().zip(self.strides.unwrap_or_default()) {
            *to = from as i64;
        }
        Ok(raw)
    }

    pub(crate) fn from_raw(raw: &lava_tensor) -> Result<Self> {
        let kind = ElementKind::from_raw(raw.dtype);
        let data_type = DataType { kind, bits: raw.bits, lanes: raw.lanes };
        // The library has checked these numbers; a failure here means that it is broken.
        let broken = |_| Error::from_status(LAVA_ERROR_INTERNAL, "tensor");
        let mut shape = [0; MAX];
        let mut strides = [0; MAX];
        for index in 0..MAX {
            shape[index] = usize::try_from(raw.shape[index]).map_err(broken)?;
            strides[index] = isize::try_from(raw.strides[index]).map_err(broken)?;
        }
        Ok(Self {
            data_type,
            dimensions: MAX.min(raw.dimensions as usize),
            shape,
            strides: Some(strides).filter(|_| raw.has_strides != 0),
            byte_offset: raw.byte_offset,
        })
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tensor")
            .field("data_type", &self.data_type)
            .field("shape", &self.shape())
            .field("strides", &self.strides())
            .field("byte_offset", &self.byte_offset)
            .finish()
    }
}

/// `list`, filled up with zeros.
fn padded<T: Copy + Default>(list: &[T], what: &str) -> Result<[T; MAX]> {
    let mut array = [T::default(); MAX];
    let count = list.len();
    let Some(part) = array.get_mut(..count) else {
        return Err(Error::invalid(
            count as u64,
            format!("{count} {what}; at most {MAX} are allowed"),
        ));
    };
    part.copy_from_slice(list);
    Ok(array)
}
