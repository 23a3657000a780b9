//! Device frames to a consumer in host memory, alone and beside one that takes them on the GPU.

use std::time::Duration;

use serde::Serialize;

use super::super::channel::{Exchange, GpuSetup, Setup};
use super::super::clock::Clock;
use super::super::round::{Round, repeat};
use super::super::row::{Bound, Head, Measured};
use super::super::session::Session;
use super::super::touch;
use super::plan::setup;
use super::{Plan, Results, compare};
use crate::failure::Failure;
use crate::gpu::cuda::{Cuda, DeviceMemory, PinnedMemory};

const GROUP: &str = "staged";
/// The pace of the company row, as a part of what the staged consumer takes at most.
const PACE: f64 = 0.8;

/// What a consumer on the GPU loses while another one is staged: frames come at a pace that the staged one can follow,
/// and those that find a full queue are dropped.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Company {
    /// Frames a second that the pace allows.
    pub pace: f64,
    /// Frames a second that it received, alone and in company.
    pub alone: f64,
    pub in_company: f64,
}

/// Measures all of it.
pub fn measure(
    plan: &Plan,
    session: &mut Session,
    cuda: Result<&Cuda, &String>,
    results: &mut Results,
) -> Result<(), Failure> {
    let outcome = rate(plan, session, cuda, 0);
    let Some(alone) = results.take(GROUP, outcome)? else { return Ok(()) };
    let nanoseconds = alone.lava.p50;
    results.rows.push(alone);
    let outcome = rate(plan, session, cuda, 1);
    let beside = results.take(GROUP, outcome)?;
    results.rows.extend(beside);
    let outcome = company(plan, session, (nanoseconds / PACE) as u64);
    results.staged = results.take(GROUP, outcome)?;
    Ok(())
}

/// One staged consumer and so many on the GPU.
fn staged_setup(plan: &Plan, staged: usize, on_gpu: usize, lossy: bool) -> Setup {
    let setup = setup(plan, plan.staged);
    let gpu = setup.gpu.map(|gpu| GpuSetup { host_consumers: staged, lossy, ..gpu });
    Setup { waiting: plan.waiting(), consumers: vec![staged + on_gpu], gpu, ..setup }
}

/// CUDA's copy from the GPU to pinned memory; without CUDA, lava's own frames of host memory.
struct Yard<'a> {
    ends: Option<(DeviceMemory<'a>, PinnedMemory<'a>)>,
    clock: Clock,
}

impl Yard<'_> {
    /// One sample for the whole round, as the exchange has it.
    fn run(
        &mut self,
        session: &mut Session,
        size: usize,
        time: Duration,
    ) -> Result<Round, Failure> {
        let Some((from, to)) = &mut self.ends else {
            return session.exchange(Exchange::ReadLocal { size }, time).map(|(round, _)| round);
        };
        let mut round = repeat(&self.clock, time, || Ok(from.download(to)?))?;
        round.samples = vec![(round.elapsed / round.messages as f64) as f32];
        Ok(round)
    }
}

fn rate(
    plan: &Plan,
    session: &mut Session,
    cuda: Result<&Cuda, &String>,
    on_gpu: usize,
) -> Result<Measured, Failure> {
    let size = plan.staged;
    let ends = match cuda {
        Ok(cuda) => {
            let noise = touch::noise(size);
            Some((cuda.device_memory(size, &noise)?, cuda.pinned_memory(size, &noise)?))
        }
        Err(_) => None,
    };
    let mut yard = Yard { ends, clock: Clock::calibrate() };
    let name = if cuda.is_ok() { "cuMemcpyDtoH, pinned" } else { "copy within the device" };
    let head = Head {
        group: GROUP,
        what: if on_gpu == 0 { "to host memory" } else { "to host memory, and on the GPU" },
        size,
        waiting: plan.waiting(),
        consumers: 1 + on_gpu,
        bound: cuda.is_ok().then_some(Bound::SpeedAtLeast(0.85)),
    };
    session.open(&staged_setup(plan, 1, on_gpu, false))?;
    let measured = compare(
        head,
        plan,
        session,
        |session, time| session.exchange(Exchange::Flow { size }, time).map(|(round, _)| round),
        (name.to_owned(), |session: &mut Session, time| yard.run(session, size, time)),
    );
    session.close()?;
    measured
}

fn company(plan: &Plan, session: &mut Session, pause: u64) -> Result<Company, Failure> {
    let exchange = Exchange::Paced { size: plan.staged, pause };
    let time = plan.long_time * plan.rounds.clamp(1, 16);
    let mut received = |staged| {
        session.open(&staged_setup(plan, staged, 1, true))?;
        let (round, seen) = session.exchange(exchange, time)?;
        session.close()?;
        Ok::<f64, Failure>(seen.vulkan_frames as f64 / round.elapsed * 1e9)
    };
    let (alone, in_company) = (received(0)?, received(1)?);
    Ok(Company { pace: 1e9 / pause as f64, alone, in_company })
}
