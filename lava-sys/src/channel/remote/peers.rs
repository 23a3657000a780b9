//! Which ranks are alive: whoever has a connection with one says so at times, and expects to hear from it. Who waits for
//! all ranks at its end asks each whether it lives.

use crate::os::clock::now_ns;

/// Between two signs of life.
const BEAT_NS: u64 = 250_000_000;
/// A rank that is silent for so long is lost.
pub const LOST_NS: u64 = 5_000_000_000;
/// This process did not run for so long: what others sent meanwhile is still to be read.
const PAUSE_NS: u64 = 1_000_000_000;

#[derive(Debug, Clone, Copy, Default)]
struct Peer {
    /// Something came since the last turn.
    heard: bool,
    heard_at: u64,
    beat_at: u64,
    /// Connections with it.
    connections: u32,
}

/// See the module. By rank.
#[derive(Debug)]
pub struct Peers {
    peers: Box<[Peer]>,
    turned_at: u64,
    /// Every rank is watched, with or without a connection.
    all: bool,
}

/// What a turn found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Send a sign of life.
    Beat(i32),
    /// Send one that is to be answered with another.
    Ask(i32),
    /// It is silent for too long.
    Lost(i32),
}

impl Peers {
    pub fn new(ranks: i32) -> Self {
        Self {
            peers: vec![Peer::default(); ranks.max(0) as usize].into(),
            turned_at: now_ns(),
            all: false,
        }
    }

    fn peer(&mut self, rank: i32) -> Option<&mut Peer> {
        usize::try_from(rank).ok().and_then(|at| self.peers.get_mut(at))
    }

    /// A connection with this rank begins.
    pub fn watch(&mut self, rank: i32) {
        let now = now_ns();
        if let Some(peer) = self.peer(rank) {
            peer.connections += 1;
            if peer.connections == 1 {
                (peer.heard_at, peer.beat_at) = (now, 0);
            }
        }
    }

    /// A connection with this rank is over.
    pub fn unwatch(&mut self, rank: i32) {
        if let Some(peer) = self.peer(rank) {
            peer.connections = peer.connections.saturating_sub(1);
        }
    }

    /// From now on every rank but the own one is watched, and asked: it may not watch this one.
    pub fn watch_all(&mut self, own: i32) {
        if !std::mem::replace(&mut self.all, true) {
            let ranks = 0..self.peers.len() as i32;
            ranks.filter(|rank| *rank != own).for_each(|rank| self.watch(rank));
        }
    }

    /// A message of this rank came.
    pub fn heard(&mut self, rank: i32) {
        if let Some(peer) = self.peer(rank) {
            peer.heard = true;
        }
    }

    /// Looks after all ranks; a few times in a [`BEAT_NS`].
    pub fn turn(&mut self, now: u64, signs: &mut Vec<Sign>) {
        let paused = now.saturating_sub(self.turned_at) > PAUSE_NS;
        self.turned_at = now;
        for (rank, peer) in self.peers.iter_mut().enumerate() {
            if peer.connections == 0 {
                continue;
            }
            if std::mem::take(&mut peer.heard) || paused {
                peer.heard_at = now;
            }
            if now.saturating_sub(peer.heard_at) > LOST_NS {
                peer.connections = 0;
                signs.push(Sign::Lost(rank as i32));
            } else if now.saturating_sub(peer.beat_at) > BEAT_NS {
                peer.beat_at = now;
                let sign = if self.all { Sign::Ask } else { Sign::Beat };
                signs.push(sign(rank as i32));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 100_000_000;

    fn turn(peers: &mut Peers, now: u64) -> Vec<Sign> {
        let mut signs = Vec::new();
        peers.turn(now, &mut signs);
        signs
    }

    #[test]
    fn a_silent_rank_is_lost_and_one_that_speaks_is_not() {
        let mut peers = Peers::new(3);
        let start = now_ns();
        peers.watch(1);
        peers.watch(2);
        peers.heard(7);
        peers.watch(-1);
        let mut beats = [0; 3];
        let mut lost = None;
        for step in 1..80 {
            peers.heard(2);
            for sign in turn(&mut peers, start + step * STEP) {
                match sign {
                    Sign::Beat(rank) => beats[rank as usize] += 1,
                    Sign::Ask(rank) => panic!("{rank} is asked"),
                    Sign::Lost(rank) => {
                        assert_eq!(rank, 1);
                        lost = lost.or(Some(step * STEP));
                    }
                }
            }
        }
        assert!(lost.is_some_and(|lost| (LOST_NS..LOST_NS + 3 * STEP).contains(&lost)), "{lost:?}");
        assert!(beats[0] == 0 && beats[1] > 10 && beats[2] > 20, "{beats:?}");
    }

    #[test]
    fn at_the_end_all_others_are_asked_and_a_silent_one_is_lost_once() {
        let mut peers = Peers::new(3);
        let start = now_ns();
        peers.watch_all(0);
        peers.watch_all(0);
        assert_eq!(turn(&mut peers, start + STEP), [Sign::Ask(1), Sign::Ask(2)]);
        let mut lost = Vec::new();
        for step in 2..200 {
            peers.heard(2);
            let signs = turn(&mut peers, start + step * STEP);
            lost.extend(signs.into_iter().filter(|sign| matches!(sign, Sign::Lost(_))));
        }
        assert_eq!(lost, [Sign::Lost(1)]);
    }

    #[test]
    fn a_process_that_did_not_run_blames_nobody() {
        let mut peers = Peers::new(1);
        peers.watch(0);
        let start = now_ns();
        assert_eq!(turn(&mut peers, start + STEP), [Sign::Beat(0)]);
        assert_eq!(turn(&mut peers, start + 100 * LOST_NS), [Sign::Beat(0)]);
        peers.unwatch(0);
        assert_eq!(turn(&mut peers, start + 200 * LOST_NS), []);
    }
}
