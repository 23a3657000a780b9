//! The kinds of memory that a caller can ask for.

use crate::error::{Error, Result};
use crate::types::*;

/// What memory a buffer is asked to be, or is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Memory {
    /// Only asked for: no buffer is AUTO.
    Auto,
    Standard,
    Numa,
    Huge,
    Pinned,
    Device,
}

impl Memory {
    const ALL: [Self; 6] =
        [Self::Auto, Self::Standard, Self::Numa, Self::Huge, Self::Pinned, Self::Device];

    /// The memory of a `LAVA_MEMORY_*` number.
    pub fn requested(number: u32) -> Result<Self> {
        Self::ALL.into_iter().find(|memory| memory.number() == number).ok_or_else(|| {
            Error::argument(format!(
                "memory {number} is not one of LAVA_MEMORY_AUTO (0) to LAVA_MEMORY_DEVICE (5)"
            ))
            .with_value(number.into())
        })
    }

    /// The first `count` of `numbers`, as memories, in order.
    pub fn fallback_list(numbers: &[u32; LAVA_FALLBACK_MAX], count: u32) -> Result<Vec<Self>> {
        let listed = numbers.get(..count as usize).ok_or_else(|| {
            Error::argument(format!(
                "fallback_count is {count}; at most {LAVA_FALLBACK_MAX} are allowed"
            ))
            .with_value(count.into())
        })?;
        listed
            .iter()
            .map(|number| Self::requested(*number).map_err(|error| error.context("fallback")))
            .collect()
    }

    /// The `LAVA_MEMORY_*` number.
    pub fn number(self) -> u32 {
        match self {
            Self::Auto => LAVA_MEMORY_AUTO,
            Self::Standard => LAVA_MEMORY_STANDARD,
            Self::Numa => LAVA_MEMORY_NUMA,
            Self::Huge => LAVA_MEMORY_HUGE,
            Self::Pinned => LAVA_MEMORY_PINNED,
            Self::Device => LAVA_MEMORY_DEVICE,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Standard => "standard",
            Self::Numa => "numa",
            Self::Huge => "huge",
            Self::Pinned => "pinned",
            Self::Device => "device",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_memories_correspond() {
        for memory in Memory::ALL {
            assert_eq!(Memory::requested(memory.number()).unwrap(), memory);
        }
        let error = Memory::requested(6).unwrap_err();
        assert_eq!((error.status, error.value), (LAVA_ERROR_INVALID_ARGUMENT, 6));
    }

    #[test]
    fn a_fallback_list_is_checked() {
        let numbers = [LAVA_MEMORY_HUGE, LAVA_MEMORY_STANDARD, 77, 0, 0];
        assert_eq!(Memory::fallback_list(&numbers, 2).unwrap(), [Memory::Huge, Memory::Standard]);
        assert_eq!(Memory::fallback_list(&numbers, 0).unwrap(), []);
        assert_eq!(Memory::fallback_list(&numbers, 3).unwrap_err().value, 77);
        assert_eq!(Memory::fallback_list(&numbers, 6).unwrap_err().value, 6);
        assert_eq!(
            Memory::fallback_list(&numbers, u32::MAX).unwrap_err().status,
            LAVA_ERROR_INVALID_ARGUMENT
        );
    }
}
