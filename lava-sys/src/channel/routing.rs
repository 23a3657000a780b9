//! Which transport a connection gets, and why the others were rejected: pure, so that every case can be tested.

use crate::memory::Memory;
use crate::scope::{Report, Scope};
use crate::transport::Transport;
use crate::wire::wants;

/// A transport that a connection could not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub transport: Transport,
    pub reason: String,
}

/// What memory a consumer wants its frames in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wants {
    #[default]
    Any,
    Host,
    Device,
}

/// What is known of the two ends.
#[derive(Debug, Clone)]
pub struct Ends<'a> {
    /// The pool is GPU memory.
    pub pool_on_device: bool,
    pub scope: &'a Report,
    pub consumer_wants: Wants,
    /// Why the consumer cannot import the pool's GPU memory, once it has tried or said which GPU it wants.
    pub no_import: Option<&'a str>,
    /// Why the producer cannot copy frames to host memory.
    pub no_staging: Option<&'a str>,
    /// Why the two cannot use MPI.
    pub no_mpi: Option<&'a str>,
    /// Set of `LAVA_TRANSPORT_*` that the consumer accepts; 0: any.
    pub consumer_accepts: u32,
    /// Set of `LAVA_TRANSPORT_*` that the producer accepts; 0: any.
    pub producer_accepts: u32,
    /// Most copies that the consumer accepts.
    pub max_copies: u32,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub transport: Option<Transport>,
    /// Copies of a frame on its way: the transport's, and the consumer's own to its GPU.
    pub copies: u32,
    pub reason: String,
    pub rejections: Vec<Rejection>,
}

impl Wants {
    /// What follows from the memory that a consumer's options name.
    pub fn of(memory: Memory) -> Self {
        match memory {
            Memory::Auto => Self::Any,
            Memory::Device => Self::Device,
            _ => Self::Host,
        }
    }

    /// From a message; None if it is none of [`wants`].
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            wants::ANY => Some(Self::Any),
            wants::HOST => Some(Self::Host),
            wants::DEVICE => Some(Self::Device),
            _ => None,
        }
    }

    /// One of [`wants`].
    pub fn number(self) -> u32 {
        match self {
            Self::Any => wants::ANY,
            Self::Host => wants::HOST,
            Self::Device => wants::DEVICE,
        }
    }
}

/// The transports that are preferred to the one that the other end chose, and why each lost, as this end knows it.
pub fn rejected_before(chosen: Transport, ends: &Ends<'_>) -> Vec<Rejection> {
    let before = Transport::ALL.into_iter().take_while(|one| *one != chosen);
    before
        .map(|transport| Rejection {
            transport,
            reason: impossible(transport, ends)
                .unwrap_or_else(|| "the producer does not accept it".into()),
        })
        .collect()
}

/// Chooses the first possible transport in order of preference.
pub fn choose(ends: &Ends<'_>) -> Route {
    let mut rejections = Vec::new();
    for transport in Transport::ALL {
        match impossible(transport, ends) {
            None => {
                return Route {
                    transport: Some(transport),
                    copies: copies(transport, ends.consumer_wants, ends.pool_on_device),
                    reason: why(transport, ends),
                    rejections,
                };
            }
            Some(reason) => rejections.push(Rejection { transport, reason }),
        }
    }
    let reason = refusal(&rejections);
    Route { transport: None, copies: 0, reason, rejections }
}

/// What a consumer is told that gets no transport.
pub fn refusal(rejections: &[Rejection]) -> String {
    let reasons: Vec<String> =
        rejections.iter().map(|one| format!("{}: {}", one.transport.name(), one.reason)).collect();
    format!("no transport will do: {}", reasons.join("; "))
}

/// Whether the consumer copies each frame to a GPU of its own: the transport ends in host memory.
pub fn uploads(transport: Transport, consumer_wants: Wants) -> bool {
    let host = matches!(transport, Transport::Shm | Transport::Staged | Transport::Mpi);
    consumer_wants == Wants::Device && host
}

/// Copies of a frame on its way.
pub fn copies(transport: Transport, consumer_wants: Wants, pool_on_device: bool) -> u32 {
    let staged = transport == Transport::Mpi && pool_on_device;
    transport.copies() + u32::from(staged) + u32::from(uploads(transport, consumer_wants))
}

fn why(transport: Transport, ends: &Ends<'_>) -> String {
    let first = ends.scope.summary();
    let uploads = uploads(transport, ends.consumer_wants);
    match transport {
        Transport::Shm if uploads => format!(
            "the pool is host memory, and the consumer copies each frame to its GPU: {first}"
        ),
        Transport::Staged if uploads => format!(
            "{}, so each frame is copied to host memory, and by the consumer to its GPU: {first}",
            no_gpu(ends)
        ),
        Transport::Shm => format!("the pool is host memory, and both map it: {first}"),
        Transport::Vulkan => format!("the pool is GPU memory, and both import it: {first}"),
        Transport::Staged => {
            format!("{}, so each frame is copied to host memory: {first}", no_gpu(ends))
        }
        Transport::Mpi => {
            let staged =
                if ends.pool_on_device { "each frame is copied to host memory, and " } else { "" };
            let uploaded = if uploads { ", and copied by the consumer to its GPU" } else { "" };
            format!("{staged}each frame is sent by MPI{uploaded}: {first}")
        }
        Transport::Peer => format!("peer: {first}"),
    }
}

/// Why a consumer does not get the pool's GPU memory itself.
fn no_gpu(ends: &Ends<'_>) -> String {
    match ends.no_import {
        Some(reason) => format!("the consumer cannot import it ({reason})"),
        None if ends.consumer_wants == Wants::Host => "the consumer wants host memory".into(),
        None => "the pool is GPU memory".into(),
    }
}

/// Why a transport is impossible; None if it is possible.
fn impossible(transport: Transport, ends: &Ends<'_>) -> Option<String> {
    let local = ends.scope.scope == Scope::Local;
    let possible = match transport {
        Transport::Mpi if local => Some("the two share memory".to_owned()),
        Transport::Mpi => ends.no_mpi.map(str::to_owned),
        _ if !local => Some("the two cannot share memory".to_owned()),
        Transport::Shm if ends.pool_on_device => Some("the pool is GPU memory".to_owned()),
        Transport::Shm => None,
        _ if !ends.pool_on_device => Some("the pool is host memory".to_owned()),
        Transport::Vulkan if ends.no_import.is_some() || ends.consumer_wants == Wants::Host => {
            Some(no_gpu(ends))
        }
        Transport::Vulkan => None,
        Transport::Peer => {
            Some("this version of lava does not copy from GPU to GPU on the way".to_owned())
        }
        Transport::Staged => ends.no_staging.map(str::to_owned),
    };
    possible.or_else(|| unwanted(transport, ends))
}

fn unwanted(transport: Transport, ends: &Ends<'_>) -> Option<String> {
    let number = transport.number();
    if ends.consumer_accepts != 0 && ends.consumer_accepts & number == 0 {
        return Some(format!("the consumer requires {}", Transport::names(ends.consumer_accepts)));
    }
    if ends.producer_accepts != 0 && ends.producer_accepts & number == 0 {
        return Some(format!("the producer requires {}", Transport::names(ends.producer_accepts)));
    }
    let copies = copies(transport, ends.consumer_wants, ends.pool_on_device);
    if copies > ends.max_copies {
        return Some(format!(
            "it makes {copies} copies of a frame, the consumer allows {}",
            ends.max_copies
        ));
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::types::*;

    fn report(scope: Scope) -> Report {
        let text = "the reason\nevidence".to_owned();
        Report { scope, decided_by: 0, agrees: 0, differs: 0, text }
    }

    const ALL: u32 = LAVA_TRANSPORT_SHM
        | LAVA_TRANSPORT_VULKAN
        | LAVA_TRANSPORT_STAGED
        | LAVA_TRANSPORT_PEER
        | LAVA_TRANSPORT_MPI;

    /// What two ends on one host are before a test says more.
    fn ends(scope: &Report) -> Ends<'_> {
        Ends {
            pool_on_device: false,
            scope,
            consumer_wants: Wants::Any,
            no_import: None,
            no_staging: None,
            no_mpi: None,
            consumer_accepts: 0,
            producer_accepts: 0,
            max_copies: u32::MAX,
        }
    }

    /// Every combination of what is known: each gives a transport that is allowed, or a reason for each that is not.
    #[test]
    fn every_case_has_a_reason_and_keeps_the_requirements() {
        let mut cases = 0;
        for scope in [Scope::Local, Scope::Remote] {
            let scope = report(scope);
            for bits in 0..16 {
                let [pool_on_device, no_import, no_staging, no_mpi] =
                    [1, 2, 4, 8].map(|bit| bits & bit != 0);
                let about_devices = Ends {
                    pool_on_device,
                    no_import: no_import.then_some("no import"),
                    no_staging: no_staging.then_some("no staging"),
                    no_mpi: no_mpi.then_some("no job"),
                    ..ends(&scope)
                };
                for consumer_wants in [Wants::Any, Wants::Host, Wants::Device] {
                    cases += check_requirements(&Ends { consumer_wants, ..about_devices.clone() });
                }
            }
        }
        assert_eq!(cases, 2 * 16 * 3 * 32 * 4 * 3);
    }

    fn check_requirements(facts: &Ends<'_>) -> u32 {
        let mut cases = 0;
        for consumer_accepts in 0..=ALL {
            for producer_accepts in [0, LAVA_TRANSPORT_SHM, LAVA_TRANSPORT_MPI, ALL] {
                for max_copies in [0, 1, 2] {
                    let more = facts.clone();
                    check(&Ends { consumer_accepts, producer_accepts, max_copies, ..more });
                    cases += 1;
                }
            }
        }
        cases
    }

    fn check(ends: &Ends<'_>) {
        let route = choose(ends);
        let before = match route.transport {
            Some(chosen) => {
                let accepted = |set: u32| set == 0 || set & chosen.number() != 0;
                assert!(accepted(ends.consumer_accepts) && accepted(ends.producer_accepts));
                assert_eq!(route.copies, copies(chosen, ends.consumer_wants, ends.pool_on_device));
                assert!(route.copies <= ends.max_copies);
                assert_eq!(ends.scope.scope == Scope::Local, chosen != Transport::Mpi);
                assert!(
                    chosen == Transport::Mpi || ends.pool_on_device == (chosen != Transport::Shm)
                );
                assert!(chosen != Transport::Mpi || ends.no_mpi.is_none());
                assert!(chosen != Transport::Vulkan || ends.consumer_wants != Wants::Host);
                assert!(chosen != Transport::Vulkan || ends.no_import.is_none());
                assert!(chosen != Transport::Staged || ends.no_staging.is_none());
                assert_eq!(rejected_before(chosen, ends), route.rejections);
                assert!(route.reason.contains("the reason") && !route.reason.contains("evidence"));
                Transport::ALL.iter().position(|one| *one == chosen).unwrap()
            }
            None => {
                for one in Transport::ALL {
                    assert!(route.reason.contains(one.name()), "{}", route.reason);
                }
                Transport::ALL.len()
            }
        };
        // Exactly those that are preferred to the chosen one were rejected, in order, each with its reason.
        let rejected: Vec<Transport> = route.rejections.iter().map(|one| one.transport).collect();
        assert_eq!(rejected, Transport::ALL[..before]);
        assert!(route.rejections.iter().all(|one| !one.reason.is_empty()));
    }

    fn local(consumer_accepts: u32, producer_accepts: u32, max_copies: u32) -> Route {
        let scope = report(Scope::Local);
        choose(&Ends { consumer_accepts, producer_accepts, max_copies, ..ends(&scope) })
    }

    #[test]
    fn host_memory_on_one_host_goes_by_shm_without_a_copy() {
        assert_eq!(local(0, 0, 0).transport, Some(Transport::Shm));
        assert_eq!(
            local(LAVA_TRANSPORT_SHM, LAVA_TRANSPORT_SHM, 0).transport,
            Some(Transport::Shm)
        );
    }

    #[test]
    fn a_requirement_that_cannot_be_had_is_named() {
        let refused = |route: Route, words: &str| {
            assert_eq!(route.transport, None);
            assert!(route.reason.contains(words), "{}", route.reason);
        };
        refused(local(LAVA_TRANSPORT_VULKAN, 0, 9), "shm: the consumer requires vulkan");
        refused(local(0, LAVA_TRANSPORT_MPI, 9), "shm: the producer requires mpi");
        let scope = report(Scope::Remote);
        let remote = Ends { consumer_accepts: LAVA_TRANSPORT_SHM, max_copies: 0, ..ends(&scope) };
        refused(choose(&remote), "shm: the two cannot share memory");
    }

    #[test]
    fn gpu_memory_goes_as_it_is_to_who_can_import_it_and_is_staged_for_others() {
        let scope = report(Scope::Local);
        let device = Ends { pool_on_device: true, ..ends(&scope) };
        let import = choose(&device);
        assert_eq!(import.transport, Some(Transport::Vulkan));
        assert!(import.rejections.is_empty());
        let staged = choose(&Ends { no_import: Some("no driver"), ..device.clone() });
        assert_eq!(staged.transport, Some(Transport::Staged));
        assert!(staged.reason.contains("no driver"), "{}", staged.reason);
        assert!(staged.rejections[0].reason.contains("no driver"), "{:?}", staged.rejections);
        let host = choose(&Ends { consumer_wants: Wants::Host, ..device.clone() });
        assert_eq!(host.transport, Some(Transport::Staged));
        assert!(host.reason.contains("wants host memory"), "{}", host.reason);
        let zero = Ends { no_import: Some("no driver"), max_copies: 0, ..device };
        assert!(choose(&zero).reason.contains("staged: it makes 1 copies"));
    }

    #[test]
    fn who_wants_gpu_memory_and_cannot_import_it_copies_and_every_copy_counts() {
        let scope = report(Scope::Local);
        let host_pool = Ends { consumer_wants: Wants::Device, ..ends(&scope) };
        let other_gpu =
            Ends { pool_on_device: true, no_import: Some("another GPU"), ..host_pool.clone() };
        for (ends, transport, copies) in
            [(&host_pool, Transport::Shm, 1), (&other_gpu, Transport::Staged, 2)]
        {
            let route = choose(&Ends { max_copies: copies, ..ends.clone() });
            assert_eq!((route.transport, route.copies), (Some(transport), copies));
            assert!(route.reason.contains("to its GPU"), "{}", route.reason);
            let fewer = choose(&Ends { max_copies: copies - 1, ..ends.clone() });
            assert_eq!(fewer.transport, None);
            let words = format!("{}: it makes {copies} copies", transport.name());
            assert!(fewer.reason.contains(&words), "{}", fewer.reason);
        }
        assert!(choose(&other_gpu).reason.contains("another GPU"));
        let import = Ends { pool_on_device: true, max_copies: 0, ..host_pool };
        assert_eq!(choose(&import).transport, Some(Transport::Vulkan));
        let required = Ends { consumer_accepts: LAVA_TRANSPORT_VULKAN, ..ends(&scope) };
        let refused = choose(&required).reason;
        assert!(refused.contains("vulkan: the pool is host memory"), "{refused}");
    }
}
