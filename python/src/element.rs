//! Data types: their names in Python, their letters in the buffer protocol, their numbers in DLPack.

use lava::{DataType, ElementKind};
use lava_sys::*;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::failure::Failure;

const fn of(kind: ElementKind, bits: u8) -> DataType {
    DataType { kind, bits, lanes: 1 }
}

pub(crate) const UINT8: DataType = DataType::U8;

/// Type, name, NumPy's code, letter of the buffer protocol (none: it has no letter).
const TABLE: [(DataType, &str, &str, Option<&std::ffi::CStr>); 17] = [
    (DataType::U8, "uint8", "u1", Some(c"B")),
    (DataType::F32, "float32", "f4", Some(c"f")),
    (DataType::F64, "float64", "f8", Some(c"d")),
    (DataType::F16, "float16", "f2", Some(c"e")),
    (DataType::I8, "int8", "i1", Some(c"b")),
    (DataType::I16, "int16", "i2", Some(c"h")),
    (DataType::I32, "int32", "i4", Some(c"i")),
    (DataType::I64, "int64", "i8", Some(c"q")),
    (DataType::U16, "uint16", "u2", Some(c"H")),
    (DataType::U32, "uint32", "u4", Some(c"I")),
    (DataType::U64, "uint64", "u8", Some(c"Q")),
    (DataType::BOOL, "bool", "b1", Some(c"?")),
    (DataType::C64, "complex64", "c8", Some(c"Zf")),
    (DataType::C128, "complex128", "c16", Some(c"Zd")),
    (DataType::BF16, "bfloat16", "bfloat16", None),
    (of(ElementKind::Float8E4m3fn, 8), "float8_e4m3fn", "float8_e4m3fn", None),
    (of(ElementKind::Float8E5m2, 8), "float8_e5m2", "float8_e5m2", None),
];

/// The name that NumPy, PyTorch and ml_dtypes give the type.
pub(crate) fn name(element: DataType) -> String {
    match TABLE.iter().find(|row| row.0 == element) {
        Some(row) => row.1.to_owned(),
        None => {
            let (kind, bits, lanes) = code(element);
            format!("dlpack({kind}, {bits}, {lanes})")
        }
    }
}

/// The letter of the buffer protocol.
pub(crate) fn letter(element: DataType) -> Option<&'static std::ffi::CStr> {
    TABLE.iter().find(|row| row.0 == element).and_then(|row| row.3)
}

/// The code of NumPy's array interface, such as `<f4`.
pub(crate) fn type_string(element: DataType) -> Option<String> {
    let row = TABLE.iter().find(|row| row.0 == element)?;
    row.3?;
    Some(format!("{}{}", if element.bits == 8 { '|' } else { '<' }, row.2))
}

/// Bytes of one element; at least 1.
pub(crate) fn size(element: DataType) -> usize {
    (usize::from(element.bits) * usize::from(element.lanes)).div_ceil(8).max(1)
}

/// Type code, bits and lanes, with DLPack's numbers.
pub(crate) fn code(element: DataType) -> (u8, u8, u16) {
    let kind = match element.kind {
        ElementKind::Int => LAVA_DTYPE_INT,
        ElementKind::Uint => LAVA_DTYPE_UINT,
        ElementKind::Float => LAVA_DTYPE_FLOAT,
        ElementKind::Bfloat => LAVA_DTYPE_BFLOAT,
        ElementKind::Complex => LAVA_DTYPE_COMPLEX,
        ElementKind::Bool => LAVA_DTYPE_BOOL,
        ElementKind::Float8E4m3fn => LAVA_DTYPE_FLOAT8_E4M3FN,
        ElementKind::Float8E5m2 => LAVA_DTYPE_FLOAT8_E5M2,
        ElementKind::Other(number) => number,
        _ => u8::MAX,
    };
    (kind, element.bits, element.lanes)
}

/// The type of DLPack's numbers.
pub(crate) fn from_code(kind: u8, bits: u8, lanes: u16) -> DataType {
    let kind = match kind {
        LAVA_DTYPE_INT => ElementKind::Int,
        LAVA_DTYPE_UINT => ElementKind::Uint,
        LAVA_DTYPE_FLOAT => ElementKind::Float,
        LAVA_DTYPE_BFLOAT => ElementKind::Bfloat,
        LAVA_DTYPE_COMPLEX => ElementKind::Complex,
        LAVA_DTYPE_BOOL => ElementKind::Bool,
        LAVA_DTYPE_FLOAT8_E4M3FN => ElementKind::Float8E4m3fn,
        LAVA_DTYPE_FLOAT8_E5M2 => ElementKind::Float8E5m2,
        other => ElementKind::Other(other),
    };
    DataType { kind, bits, lanes }
}

/// Reads a name or code, such as `float32`, `<f4`, `torch.float32`.
pub(crate) fn parse(text: &str) -> Result<DataType, Failure> {
    let plain = text.rsplit('.').next().unwrap_or(text);
    let unknown = |why: &str| {
        Failure::argument(format!("dtype '{text}' {why}; give one such as 'uint8' or 'float32'"))
    };
    let plain = match plain.as_bytes().first() {
        Some(b'>') => return Err(unknown("has the byte order of other machines")),
        Some(b'<' | b'=' | b'|') => &plain[1..],
        _ => plain,
    };
    let plain = match plain {
        "float" | "double" | "d" => "float64",
        "half" | "e" => "float16",
        "f" => "float32",
        "int" | "long" => "int64",
        "bool_" | "?" => "bool",
        "complex" => "complex128",
        other => other,
    };
    let row = TABLE.iter().find(|row| row.1 == plain || row.2 == plain);
    row.map(|row| row.0).ok_or_else(|| unknown("is not known"))
}

/// The type that a letter of the buffer protocol stands for.
pub(crate) fn from_format(format: &str, item_size: usize) -> Option<DataType> {
    let plain = format.strip_prefix(['@', '=', '<', '|']).unwrap_or(format);
    let bits = u8::try_from(item_size.checked_mul(8)?).ok()?;
    let kind = match plain {
        "b" | "h" | "i" | "l" | "q" | "n" => ElementKind::Int,
        "B" | "H" | "I" | "L" | "Q" | "N" | "c" => ElementKind::Uint,
        "e" | "f" | "d" => ElementKind::Float,
        "?" => ElementKind::Bool,
        "Zf" | "Zd" => ElementKind::Complex,
        _ => return None,
    };
    TABLE.iter().map(|row| row.0).find(|element| *element == of(kind, bits))
}

/// Reads what users give as a dtype: a name, NumPy's or PyTorch's dtype, or a type such as `float`.
pub(crate) fn extract(object: &Bound<'_, PyAny>) -> PyResult<DataType> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(parse(&text.to_cow()?)?);
    }
    if let Ok(order) = object.getattr("byteorder")
        && order.eq(">")?
    {
        return Ok(parse(&format!(">{object}"))?);
    }
    for attribute in ["name", "__name__"] {
        if let Some(text) = object.getattr_opt(attribute)?
            && let Ok(text) = text.extract::<String>()
        {
            return Ok(parse(&text)?);
        }
    }
    Ok(parse(&object.str()?.to_cow()?)?)
}
