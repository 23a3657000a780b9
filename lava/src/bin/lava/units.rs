//! Sizes and times as people write them: `64MiB`, `1.5GB`, `500ms`, `forever`.

use std::time::Duration;

const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

const TIME_UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
];

/// A time to wait: `Some`, or `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Option<Duration>);

/// Splits `1.5GiB` into the number's text and the lower-case unit.
fn split(text: &str) -> (&str, String) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim().to_lowercase())
}

/// Whole numbers stay exact; a fraction goes through a float and is rounded.
fn scale(number: &str, unit: u64) -> Option<u64> {
    if number.contains('.') {
        let value = number.parse::<f64>().ok()? * unit as f64;
        return (value.is_finite() && value < u64::MAX as f64).then_some(value.round() as u64);
    }
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Bytes: `4096`, `64KiB`, `64K` (binary, as `dd` has it), `1GB` (decimal), `1.5MiB`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    factor
        .and_then(|factor| scale(number, factor))
        .ok_or_else(|| format!("`{text}` is not a size: write a number and B, KiB, MiB, GiB, KB, MB or GB, such as 64MiB"))
}

/// As [`parse_size`], but at least one byte.
pub fn parse_positive_size(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("must be at least 1 byte".to_owned()),
        size => Ok(size),
    }
}

/// A time: `500ms`, `2s`, `10us`, `1.5s`, `1min`, and `0`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    if number.parse::<u64>() == Ok(0) && unit.is_empty() {
        return Ok(Duration::ZERO);
    }
    let factor = TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    factor.and_then(|factor| scale(number, factor)).map(Duration::from_nanos).ok_or_else(|| {
        format!("`{text}` is not a time: write a number and ns, us, ms, s or min, such as 500ms")
    })
}

/// A time as [`parse_duration`] reads it, or `forever`.
pub fn parse_timeout(text: &str) -> Result<Timeout, String> {
    match text.trim() {
        "forever" => Ok(Timeout(None)),
        text => parse_duration(text)
            .map(|time| Timeout(Some(time)))
            .map_err(|error| error + ", or `forever`"),
    }
}

/// Bytes in the largest binary unit that leaves at least 1: `64 MiB`, `1.50 GiB`, `40 B`.
pub fn format_size(bytes: u64) -> String {
    const NAMES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let index = (bytes.max(1).ilog2() as usize / 10).min(NAMES.len() - 1);
    let unit = 1_u64 << (10 * index);
    if bytes.is_multiple_of(unit) {
        return format!("{} {}", bytes / unit, NAMES[index]);
    }
    format!("{:.2} {}", bytes as f64 / unit as f64, NAMES[index])
}

/// Nanoseconds with three significant digits: `132 ns`, `1.32 µs`, `45.0 ms`, `2.00 s`.
pub fn format_nanoseconds(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// Things per second: `1.53 M/s`, `980 /s`.
pub fn format_rate(per_second: f64) -> String {
    match per_second {
        r if r < 1e3 => format!("{} /s", three_digits(r)),
        r if r < 1e6 => format!("{} k/s", three_digits(r / 1e3)),
        r => format!("{} M/s", three_digits(r / 1e6)),
    }
}

/// Bytes per second, decimal as network and memory rates are: `12.3 GB/s`.
pub fn format_throughput(bytes_per_second: f64) -> String {
    match bytes_per_second {
        r if r < 1e6 => format!("{} kB/s", three_digits(r / 1e3)),
        r if r < 1e9 => format!("{} MB/s", three_digits(r / 1e6)),
        r => format!("{} GB/s", three_digits(r / 1e9)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        v if !v.is_finite() => "-".to_owned(),
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_binary_and_decimal_units() {
        for (text, bytes) in [
            ("0", 0),
            ("40", 40),
            ("40B", 40),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("64K", 65_536),
            ("1GB", 1_000_000_000),
            ("1.5MiB", 1_572_864),
            ("16777215TiB", 16_777_215 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_its_text() {
        for text in ["", "MiB", "-1", "1.2.3", "12 parsecs", "99999999999GiB", "1e9999", "NaN"] {
            let error = parse_size(text).expect_err(text);
            assert!(error.contains(text), "{error}");
        }
        assert!(parse_positive_size("0").is_err());
    }

    #[test]
    fn times_are_read_with_their_unit_and_never_without() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2min"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert!(parse_duration("5").is_err());
        assert_eq!(parse_timeout("forever"), Ok(Timeout(None)));
        assert_eq!(parse_timeout("10us"), Ok(Timeout(Some(Duration::from_micros(10)))));
        assert!(parse_timeout("soon").is_err());
    }

    #[test]
    fn numbers_are_written_with_three_digits() {
        assert_eq!(format_size(67_108_864), "64 MiB");
        assert_eq!(format_size(41), "41 B");
        assert_eq!(format_size(1_610_612_736), "1.50 GiB");
        assert_eq!(format_size(0), "0 B");
        assert_eq!(format_nanoseconds(131.6), "132 ns");
        assert_eq!(format_nanoseconds(1_316.0), "1.32 µs");
        assert_eq!(format_rate(1_530_000.0), "1.53 M/s");
        assert_eq!(format_throughput(12.34e9), "12.3 GB/s");
    }
}
