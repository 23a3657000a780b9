//! Which transport a connection gets, and why the others were rejected: pure, so that every case can be tested.

use crate::scope::{Report, Scope};
use crate::transport::Transport;

/// A transport that a connection could not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub transport: Transport,
    pub reason: String,
}

/// What is known of the two ends.
#[derive(Debug, Clone)]
pub struct Ends<'a> {
    /// The pool is GPU memory.
    pub pool_on_device: bool,
    pub scope: &'a Report,
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
    pub reason: String,
    pub rejections: Vec<Rejection>,
}

/// Chooses the first possible transport in order of preference.
pub fn choose(ends: &Ends<'_>) -> Route {
    let mut rejections = Vec::new();
    for transport in Transport::ALL {
        match impossible(transport, ends) {
            None => {
                return Route {
                    transport: Some(transport),
                    reason: why(transport, ends),
                    rejections,
                };
            }
            Some(reason) => rejections.push(Rejection { transport, reason }),
        }
    }
    let reason = rejections
        .iter()
        .map(|one| format!("{}: {}", one.transport.name(), one.reason))
        .collect::<Vec<_>>()
        .join("; ");
    Route { transport: None, reason: format!("no transport will do: {reason}"), rejections }
}

fn why(transport: Transport, ends: &Ends<'_>) -> String {
    let first = ends.scope.summary();
    match transport {
        Transport::Shm => format!("the pool is host memory, and both map it: {first}"),
        other => format!("{}: {first}", other.name()),
    }
}

/// Why a transport is impossible; None if it is possible.
fn impossible(transport: Transport, ends: &Ends<'_>) -> Option<String> {
    let local = ends.scope.scope == Scope::Local;
    let possible = match transport {
        Transport::Shm if !local => Some("the two cannot share memory".to_owned()),
        Transport::Shm if ends.pool_on_device => Some("the pool is GPU memory".to_owned()),
        Transport::Shm => None,
        Transport::Vulkan | Transport::Staged | Transport::Peer if !ends.pool_on_device => {
            Some("the pool is host memory".to_owned())
        }
        Transport::Vulkan | Transport::Staged | Transport::Peer => {
            Some("this version of lava has no GPU transports".to_owned())
        }
        Transport::Mpi if local => Some("the two share memory".to_owned()),
        Transport::Mpi => Some("this version of lava has no MPI transport".to_owned()),
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
    if transport.copies() > ends.max_copies {
        return Some(format!(
            "it makes {} copies of a frame, the consumer allows {}",
            transport.copies(),
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

    /// Every combination of what is known: each gives a transport that is allowed, or a reason for each that is not.
    #[test]
    fn every_case_has_a_reason_and_keeps_the_requirements() {
        let all = LAVA_TRANSPORT_SHM
            | LAVA_TRANSPORT_VULKAN
            | LAVA_TRANSPORT_STAGED
            | LAVA_TRANSPORT_PEER
            | LAVA_TRANSPORT_MPI;
        for scope in [Scope::Local, Scope::Remote] {
            for pool_on_device in [false, true] {
                for consumer_accepts in 0..=all {
                    for producer_accepts in [0, LAVA_TRANSPORT_SHM, LAVA_TRANSPORT_MPI, all] {
                        for max_copies in [0, 1, u32::MAX] {
                            check(&Ends {
                                pool_on_device,
                                scope: &report(scope),
                                consumer_accepts,
                                producer_accepts,
                                max_copies,
                            });
                        }
                    }
                }
            }
        }
    }

    fn check(ends: &Ends<'_>) {
        let route = choose(ends);
        let before = match route.transport {
            Some(chosen) => {
                let accepted = |set: u32| set == 0 || set & chosen.number() != 0;
                assert!(accepted(ends.consumer_accepts) && accepted(ends.producer_accepts));
                assert!(chosen.copies() <= ends.max_copies);
                assert_eq!(ends.scope.scope == Scope::Local, chosen != Transport::Mpi);
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
        choose(&Ends {
            pool_on_device: false,
            scope: &scope,
            consumer_accepts,
            producer_accepts,
            max_copies,
        })
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
        let remote = Ends {
            pool_on_device: false,
            scope: &scope,
            consumer_accepts: LAVA_TRANSPORT_SHM,
            producer_accepts: 0,
            max_copies: 0,
        };
        refused(choose(&remote), "shm: the two cannot share memory");
    }
}
