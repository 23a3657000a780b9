//! A GPU's own memory.

use super::request::Need;
use super::storage::{Attempt, Refusal};
use crate::error::Error;
use crate::types::LAVA_ERROR_UNSUPPORTED;

/// There is no device back end in this library: always a refusal, which lets the fallbacks decide.
pub(super) fn allocate(_need: &Need) -> Attempt {
    let short = "this build has no GPU support";
    let message = format!("{short}; ask for host memory (LAVA_MEMORY_AUTO)");
    Err(Refusal { short: short.into(), error: Error::new(LAVA_ERROR_UNSUPPORTED, message) })
}
