//! What a connection to device memory costs before its first frame, and that frames cost nothing of it.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::super::channel::Exchange;
use super::super::session::Session;
use super::Plan;
use super::plan::setup;
use crate::failure::Failure;

/// Connections over device memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Setup {
    /// Milliseconds until two channels and their connections were there, in two processes that had Vulkan loaded.
    pub milliseconds: f64,
    /// Imports of device memory by one connection, when it was opened and after `frames` more.
    pub imports: u64,
    pub imports_after: u64,
    pub frames: u64,
}

/// Opens channels there and back and sends frames through them.
pub fn measure(plan: &Plan, session: &mut Session) -> Result<Setup, Failure> {
    let size = plan.frame;
    let setup = super::super::channel::Setup { back: true, ..setup(plan, size) };
    session.open(&setup)?;
    session.close()?;
    let start = Instant::now();
    session.open(&setup)?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let imports = imports(session)?;
    let exchange = Exchange::RoundTrip { size, channel: 0 };
    let (round, _) = session.exchange(exchange, Duration::from_millis(50))?;
    let imports_after = self::imports(session)?;
    session.close()?;
    Ok(Setup { milliseconds, imports, imports_after, frames: round.messages })
}

fn imports(session: &Session) -> Result<u64, Failure> {
    let description = session.describe_back()?;
    description["connection"]["imports"].as_u64().ok_or_else(|| {
        Failure::Failed("the library does not count the imports of a connection".to_owned())
    })
}
