//! The processes of a measurement, and the rounds that they run together.

use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::channel::{Exchange, Here, Seen, Setup, There};
use super::clock::Clock;
use super::cpu;
use super::limit::Limit;
use super::round::{PATIENCE, Round};
use super::shared::Shared;
use crate::child::{Helper, Parent};
use crate::failure::{Doing, Failure};
use crate::interrupt;

/// Arguments of an answering process.
#[derive(Debug, clap::Args)]
pub struct PeerArguments {
    #[arg(long)]
    memory: RawFd,
    #[arg(long)]
    cpu: usize,
    #[arg(long)]
    number: usize,
    #[arg(long)]
    realtime: bool,
    #[arg(long)]
    parent: u32,
}

#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Limit(Limit),
    Open {
        setup: Setup,
        prefix: String,
    },
    Exchange(Exchange),
    Close,
    /// Waits for one frame, blocking, until it comes.
    Receive,
    /// How much processor time and memory the process has used.
    Usage,
}

#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Done(Seen),
    Usage(Usage),
    Failed(String),
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Nanoseconds of processor time since its start.
    pub processor: u64,
    /// Bytes of memory that are resident now.
    pub resident: u64,
}

impl Usage {
    /// Of this process.
    pub fn here() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages =
            statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
        Usage {
            processor: time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
            resident: pages * rustix::param::page_size() as u64,
        }
    }
}

/// The measuring process with its answering ones.
#[derive(Debug)]
pub struct Session {
    memory: Shared,
    clock: Clock,
    peers: Vec<Helper>,
    here: Option<Here>,
    /// Processor of each process; the first is this one.
    pub cpus: Vec<usize>,
    opened: u32,
    realtime: bool,
}

impl Session {
    /// Pins this process to the first of `cpus` and starts an answering process on each other one. `payload` is the
    /// largest that a limit will need.
    pub fn start(cpus: Vec<usize>, payload: usize, realtime: bool) -> Result<Self, Failure> {
        let memory = Shared::create(payload)?;
        let fd = memory.fd().as_raw_fd();
        let peers = cpus.iter().enumerate().skip(1).map(|(index, cpu)| {
            let arguments = format!("perf-peer --memory {fd} --cpu {cpu} --number {}", index - 1);
            let mut arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
            arguments.extend(realtime.then(|| "--realtime".to_owned()));
            Helper::start(format!("answering process {index}"), &arguments)
        });
        let peers = peers.collect::<Result<Vec<_>, _>>()?;
        cpu::pin(cpus[0])?;
        Ok(Session {
            memory,
            clock: Clock::calibrate(),
            peers,
            here: None,
            cpus,
            opened: 0,
            realtime,
        })
    }

    /// Bytes that the payload of a limit may have.
    pub fn payload_size(&self) -> usize {
        self.memory.payload_size()
    }

    /// Runs a round of a limit.
    pub fn limit(&mut self, limit: Limit, time: Duration) -> Result<Round, Failure> {
        interrupt::check()?;
        limit.prepare(&self.memory);
        self.peers[0].tell(&Request::Limit(limit))?;
        let round = undisturbed(self.realtime, || limit.measure(&self.memory, &self.clock, time));
        self.settle(1, round).map(|(round, _)| round)
    }

    /// Opens the channels that exchanges use from now on; those of before are closed.
    pub fn open(&mut self, setup: &Setup) -> Result<(), Failure> {
        self.close()?;
        self.opened += 1;
        let prefix = format!("perf/{}/{}", std::process::id(), self.opened);
        let mut here = Here::create(setup, &prefix)?;
        for peer in &mut self.peers {
            peer.tell(&Request::Open { setup: setup.clone(), prefix: prefix.clone() })?;
        }
        let completed = here.complete(setup, &prefix);
        self.here = Some(here);
        self.settle(self.peers.len(), completed).map(drop)
    }

    /// How the measuring process's consumer of the first channel back describes its connection.
    pub fn describe_back(&self) -> Result<serde_json::Value, Failure> {
        let back = self.here.as_ref().and_then(|here| here.backs.first());
        let back = back.ok_or_else(|| "there is no channel back".to_owned())?;
        serde_json::from_str(&back.describe()?).doing("reading the connection's description")
    }

    /// Closes the channels.
    pub fn close(&mut self) -> Result<(), Failure> {
        if self.here.take().is_some() {
            for peer in &mut self.peers {
                peer.tell(&Request::Close)?;
            }
            self.settle(self.peers.len(), Ok(()))?;
        }
        Ok(())
    }

    /// Runs a round over the open channels.
    pub fn exchange(
        &mut self,
        exchange: Exchange,
        time: Duration,
    ) -> Result<(Round, Seen), Failure> {
        interrupt::check()?;
        let Some(here) = &mut self.here else {
            return Err(Failure::Failed("no channels are open".to_owned()));
        };
        for peer in &mut self.peers {
            peer.tell(&Request::Exchange(exchange))?;
        }
        let round = undisturbed(self.realtime, || exchange.measure(here, &self.clock, time));
        self.settle(self.peers.len(), round)
    }

    /// What this process and the first answering one used while `time` went by and the latter waited for a frame.
    pub fn idle(&mut self, time: Duration) -> Result<[Usage; 2], Failure> {
        let [before_here, before_there] = [Usage::here(), self.usage()?];
        self.peers[0].tell(&Request::Receive)?;
        std::thread::sleep(time);
        let used = Usage::here();
        let Some(here) = &mut self.here else {
            return Err(Failure::Failed("no channels are open".to_owned()));
        };
        here.producers[0].send_bytes(&[1])?;
        self.settle(1, Ok(()))?;
        let there = self.usage()?;
        let difference = |before: Usage, after: Usage| Usage {
            processor: after.processor - before.processor,
            resident: after.resident,
        };
        Ok([difference(before_here, used), difference(before_there, there)])
    }

    /// What the first answering process has used.
    pub fn usage(&mut self) -> Result<Usage, Failure> {
        self.peers[0].tell(&Request::Usage)?;
        match self.peers[0].hear(PATIENCE)? {
            Reply::Usage(usage) => Ok(usage),
            other => Err(Failure::Failed(format!("unexpected answer {other:?}"))),
        }
    }

    /// Hears the first `count` peers out. Their failure explains more than what it caused here.
    fn settle<T>(&mut self, count: usize, own: Result<T, Failure>) -> Result<(T, Seen), Failure> {
        // A failure here may leave the peers waiting for this process; then they will not answer soon.
        let patience = if own.is_ok() { PATIENCE } else { Duration::from_millis(200) };
        let mut seen = Seen::default();
        for peer in &mut self.peers[..count] {
            match (peer.hear(patience), &own) {
                (Ok(Reply::Done(done)), _) => {
                    seen.places = seen.places.max(done.places);
                    seen.vulkan_frames = seen.vulkan_frames.max(done.vulkan_frames);
                }
                (Ok(Reply::Failed(message)), _) => return Err(Failure::Failed(message)),
                (Ok(other), _) => {
                    return Err(Failure::Failed(format!("unexpected answer {other:?}")));
                }
                (Err(failure), Ok(_)) => return Err(failure),
                (Err(_), Err(_)) => break,
            }
        }
        own.map(|value| (value, seen))
    }
}

/// Runs a round, above all other processes if so wished.
fn undisturbed<T>(
    realtime: bool,
    round: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    if !realtime {
        return round();
    }
    cpu::set_realtime(true)?;
    let result = round();
    cpu::set_realtime(false)?;
    result
}

impl Drop for Session {
    fn drop(&mut self) {
        // Whatever a peer waits for after a failure or Ctrl-C: the end of its channels, or the end of a limit.
        self.here = None;
        Limit::stop(&self.memory);
        for peer in &mut self.peers {
            peer.end(Duration::from_secs(1));
        }
    }
}

/// An answering process.
pub fn answer(arguments: &PeerArguments) -> Result<(), Failure> {
    let parent = Parent::attach(arguments.parent)?;
    let memory = Shared::inherit(arguments.memory)?;
    cpu::pin(arguments.cpu)?;
    let clock = Clock::calibrate();
    let mut there = None;
    while let Some(request) = parent.hear::<Request>()? {
        let reply = respond(request, &mut there, (&memory, &clock), arguments);
        parent.tell(&reply.unwrap_or_else(|failure| Reply::Failed(failure.to_string())))?;
    }
    Ok(())
}

fn respond(
    request: Request,
    there: &mut Option<There>,
    (memory, clock): (&Shared, &Clock),
    arguments: &PeerArguments,
) -> Result<Reply, Failure> {
    let done = Reply::Done(Seen::default());
    let closed = || Failure::Failed("no channels are open".to_owned());
    match request {
        Request::Limit(limit) => {
            undisturbed(arguments.realtime, || limit.answer(memory, clock)).map(|()| done)
        }
        Request::Open { setup, prefix } => {
            *there = Some(There::open(&setup, &prefix, arguments.number)?);
            Ok(done)
        }
        Request::Exchange(exchange) => {
            let there = there.as_mut().ok_or_else(closed)?;
            undisturbed(arguments.realtime, || exchange.answer(there, clock)).map(Reply::Done)
        }
        Request::Close => {
            *there = None;
            Ok(done)
        }
        Request::Receive => {
            let there = there.as_mut().ok_or_else(closed)?;
            let consumer = there.consumers[0].as_mut().ok_or_else(closed)?;
            consumer.receive()?;
            Ok(done)
        }
        Request::Usage => Ok(Reply::Usage(Usage::here())),
    }
}
