//! Which processors the processes are pinned to.

use std::collections::BTreeSet;
use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::failure::{Doing, Failure};

/// Processors that this process may run on, in order.
pub fn allowed() -> Result<Vec<usize>, Failure> {
    let set = sched_getaffinity(None).doing("asking for this process's processors")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Pins the calling thread, and those that it starts, to one processor.
pub fn pin(cpu: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).doing(format_args!("pinning to processor {cpu}"))
}

/// Puts the calling thread above all ordinary ones, or back among them. Only around a round: the library's own thread shares
/// the processor and must run in between.
pub fn set_realtime(realtime: bool) -> Result<(), Failure> {
    let (policy, priority) = if realtime { (libc::SCHED_FIFO, 1) } else { (libc::SCHED_OTHER, 0) };
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the struct is valid for the call; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
        0 => Ok(()),
        _ => {
            let error = std::io::Error::last_os_error();
            Err(Failure::Failed(format!(
                "--realtime: {error}; it needs CAP_SYS_NICE, or `ulimit -r 1`"
            )))
        }
    }
}

/// Chooses processors for `count` processes: own cores before hardware threads of one core, then the first ones
/// again.
pub fn choose(allowed: &[usize], count: usize) -> Vec<usize> {
    let mut cores = BTreeSet::new();
    let (first, second): (Vec<usize>, Vec<usize>) =
        allowed.iter().partition(|&&cpu| cores.insert(core(cpu)));
    let order: Vec<usize> = first.into_iter().chain(second).collect();
    // Process 0 keeps its processor for itself where there are two.
    let shared = if order.len() > 1 { &order[1..] } else { &order[..] };
    order.iter().take(1).chain(shared.iter().cycle()).copied().take(count).collect()
}

/// A text that is equal for the hardware threads of one core.
fn core(cpu: usize) -> String {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    fs::read_to_string(path).unwrap_or_else(|_| cpu.to_string())
}

/// The processor's name, as the kernel has it.
pub fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line =
        text.lines().find(|line| line.starts_with("model name") || line.starts_with("CPU part"));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}
