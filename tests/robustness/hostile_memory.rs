//! A hostile consumer against a real producer, after the handshake: lies in the memory that it writes, and messages that
//! have no place there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::hostile_consumer::{
    NAME, attach_message, be_welcomed, hello, is_thrown_out, region_size,
};
use crate::support::bystanders::{Bystanders, CAPACITY, Frames, QUEUE};
use crate::support::census::Census;
use crate::support::place::Place;
use crate::support::raw::{self, Bytes, Region};
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, Random, eventually, times};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "hostile_memory/claims", play: claims },
    Scene { name: "hostile_memory/releases", play: releases },
    Scene { name: "hostile_memory/random", play: random },
    Scene { name: "hostile_memory/false_alarms", play: false_alarms },
    Scene { name: "hostile_memory/messages", play: messages },
    Scene { name: "hostile_memory/floods", play: floods },
    Scene { name: "hostile_memory/sealed", play: sealed },
    Scene { name: "hostile_memory/departures", play: departures },
    Scene { name: "hostile_memory/an_honest_peer_stays", play: an_honest_peer_stays },
];

/// A consumer by hand: it reads and releases as it should, until it is told to lie.
struct Peer {
    socket: OwnedFd,
    own: Region,
    lines: Region,
    /// The producer's alarm that was answered last.
    answered: u64,
    release_length: u64,
    position: u64,
    released: u64,
}

/// A frame that lies in a slot.
#[derive(Clone, Copy)]
struct InSlot {
    slot: u64,
    position: u64,
}

impl Peer {
    fn connect(place: &Place, hello: &Bytes) -> Self {
        let (socket, welcome, mut descriptors) = be_welcomed(place, hello);
        let own = Region::new(region_size(&welcome));
        assert!(raw::send(&socket, &attach_message(region_size(&welcome)).0, &[own.borrow()]));
        let (ready, _) = raw::receive(&socket).expect("ready");
        assert_eq!((ready.kind(), ready.0.len()), (raw::READY, raw::PLAIN_SIZE));
        let lines = Region::of_peer(descriptors.remove(0));
        let release_length = welcome.get_u32(36).into();
        Self { socket, own, lines, answered: 0, release_length, position: 0, released: 0 }
    }

    /// The next frame, if it is there: `Some(None)` for one without a slot.
    fn pop(&mut self) -> Option<Option<InSlot>> {
        let line = raw::HEADER / 8 + 8 * (self.position % u64::from(QUEUE)) as usize;
        let first = self.lines.get(line);
        if first as u32 != (self.position as u32).wrapping_add(1) {
            return None;
        }
        let found = (first >> 32 & 0xff == 2).then(|| InSlot {
            slot: self.lines.get(line + 5) & u64::from(u32::MAX),
            position: self.position,
        });
        self.position += 1;
        self.own.set(raw::CONSUMED, self.position);
        Some(found)
    }

    /// Writes the next entry of the ring of releases.
    fn release(&mut self, slot: u64, position: u64) {
        let entry = raw::HEADER / 8 + 2 * (self.released % self.release_length) as usize;
        self.own.set(entry + 1, position);
        self.released += 1;
        self.own.set(entry, (self.released & u64::from(u32::MAX)) << 32 | slot);
    }

    fn release_frame(&mut self, frame: InSlot) {
        self.release(frame.slot, frame.position);
    }

    /// Wakes the producer if it sleeps, as after every claim and release.
    fn wake(&mut self) {
        let alarm = self.lines.get(raw::PRODUCER_ALARM);
        if alarm != self.answered && alarm != 0 {
            self.own.word(raw::CONSUMER_WAKE).fetch_add(1, Ordering::SeqCst);
            self.own.wake(raw::CONSUMER_WAKE);
        }
        self.answered = alarm;
    }

    /// Behaves until `frames` frames have been received; gives the last that had a slot.
    fn follow(&mut self, frames: u64) -> Option<InSlot> {
        let (until, mut last) = (self.position + frames, None);
        let start = Instant::now();
        while self.position < until {
            if let Some(found) = self.pop() {
                if let Some(frame) = found {
                    self.release_frame(frame);
                    last = found;
                }
                self.wake();
            } else {
                assert!(start.elapsed() < PATIENCE, "no frames come");
                std::thread::yield_now();
            }
        }
        last
    }

    /// The next frame with a slot, not released.
    fn hold_one(&mut self) -> InSlot {
        let mut held = None;
        eventually("a frame in a slot", || {
            held = self.pop().flatten();
            self.wake();
            held.is_some()
        });
        held.expect("just checked")
    }
}

/// What a peer does, and its name.
type Attack<'a> = (&'a str, &'a dyn Fn(&mut Peer));

/// Each attack by a new peer, which must be thrown out; the others go on.
fn attack(place: &Place, frames: Frames, attacks: &[Attack<'_>]) {
    let hello = hello(place);
    let before = Census::take();
    let bystanders = Bystanders::start(place, NAME, frames);
    bystanders.go_on();
    for (what, play) in attacks {
        let mut peer = Peer::connect(place, &hello);
        play(&mut peer);
        assert!(is_thrown_out(&peer.socket), "not thrown out: {what}");
        bystanders.are_alone();
    }
    bystanders.end();
    before.assert_not_exceeded();
}

fn claims(place: &Place) -> Played {
    let follow = |peer: &mut Peer| {
        peer.follow(2 * u64::from(QUEUE));
    };
    attack(
        place,
        Frames::Inline,
        &[
            ("everything", &|peer| peer.own.set(raw::CONSUMED, u64::MAX)),
            ("half of everything", &|peer| peer.own.set(raw::CONSUMED, 1 << 63)),
            ("more than was published", &|peer| {
                follow(peer);
                peer.own.set(raw::CONSUMED, peer.position + 1_000_000_000);
            }),
            ("going back", &|peer| {
                follow(peer);
                peer.own.set(raw::CONSUMED, 0);
            }),
            ("going back by one lap and a bit", &|peer| {
                peer.follow(4 * u64::from(QUEUE));
                // Everything up to here was seen by the producer: it could not have published it otherwise.
                peer.own.set(raw::CONSUMED, peer.position - 2 * u64::from(QUEUE) - 1);
            }),
        ],
    );
    Ok(())
}

fn releases(place: &Place) -> Played {
    attack(
        place,
        Frames::All,
        &[
            ("a slot beyond the pool", &|peer| peer.release(CAPACITY.into(), 0)),
            ("a slot far beyond the pool", &|peer| peer.release(u32::MAX.into(), 0)),
            ("a slot that it never had", &|peer| {
                let held = peer.hold_one();
                peer.release((held.slot + 1) % u64::from(CAPACITY), held.position + 1_000_000);
            }),
            ("a frame twice", &|peer| {
                let held = peer.hold_one();
                peer.release_frame(held);
                peer.release_frame(held);
            }),
            ("the wrong position", &|peer| {
                let held = peer.hold_one();
                peer.release(held.slot, held.position.wrapping_sub(1));
            }),
            ("the largest position", &|peer| {
                let held = peer.hold_one();
                peer.release_frame(held);
                peer.release(held.slot, u64::MAX);
            }),
            ("the ring full of one frame", &|peer| {
                let held = peer.hold_one();
                for _ in 0..peer.release_length {
                    peer.release_frame(held);
                }
            }),
        ],
    );
    Ok(())
}

/// Random words everywhere, all the time.
fn random(place: &Place) -> Played {
    let (hello, mut random) = (hello(place), Random::new());
    let before = Census::take();
    for frames in [Frames::Inline, Frames::All] {
        let bystanders = Bystanders::start(place, NAME, frames);
        bystanders.go_on();
        for round in 0..times(20) {
            let mut peer = Peer::connect(place, &hello);
            if round % 2 == 0 {
                peer.follow(random.below(100));
            }
            let until = Instant::now() + Duration::from_millis(20);
            while Instant::now() < until {
                for index in 0..peer.own.words() {
                    // Small numbers are more often right.
                    let bits = random.below(64);
                    peer.own.set(index, random.next() >> bits);
                }
            }
            drop(peer);
            bystanders.are_alone();
        }
        bystanders.end();
    }
    before.assert_not_exceeded();
    Ok(())
}

/// A peer that behaves, but raises every alarm and wakes whoever may sleep: that costs time, and nothing else.
fn false_alarms(place: &Place) -> Played {
    let (hello, mut random) = (hello(place), Random::new());
    let before = Census::take();
    let bystanders = Bystanders::start(place, NAME, Frames::All);
    bystanders.go_on();
    let mut peer = Peer::connect(place, &hello);
    for _ in 0..times(2000) {
        peer.own.set(raw::CONSUMER_ALARM, random.next());
        peer.own.set(raw::CONSUMER_WAKE, random.next());
        peer.follow(random.below(4));
    }
    bystanders.go_on_while(|| {
        peer.follow(1);
    });
    drop(peer);
    bystanders.are_alone();
    bystanders.end();
    before.assert_not_exceeded();
    Ok(())
}

fn messages(place: &Place) -> Played {
    let hello = hello(place);
    let region = Region::new(4096);
    let before = Census::take();
    let bystanders = Bystanders::start(place, NAME, Frames::Inline);
    let refuse = |what: &str, message: &[u8], descriptors: &[BorrowedFd<'_>]| {
        let peer = Peer::connect(place, &hello);
        raw::send(&peer.socket, message, descriptors);
        assert!(is_thrown_out(&peer.socket), "not thrown out: {what}");
        bystanders.are_alone();
    };
    let plain = |kind, descriptors| Bytes::new(kind, raw::PLAIN_SIZE, descriptors).0;
    refuse("the first message again", &hello.0, &[]);
    refuse("attach again", &attach_message(4096).0, &[region.borrow()]);
    refuse("one byte", &[1], &[]);
    refuse("one byte and a descriptor", &[1], &[region.borrow()]);
    refuse("an event without a descriptor", &plain(raw::EVENT, 1), &[]);
    refuse("an event with two", &plain(raw::EVENT, 1), &[region.borrow(); 2]);
    refuse("an event with 250", &plain(raw::EVENT, 1), &[region.borrow(); 250]);
    refuse("an event of another size", &Bytes::new(raw::EVENT, 24, 1).0, &[region.borrow()]);
    refuse("leaving in few words", &plain(raw::DETACH, 0), &[]);
    for kind in [raw::READY, raw::WELCOME, raw::BUFFER, raw::RETIRE, 0, 11, 12, u16::MAX] {
        refuse("a kind that is not its to send", &plain(kind, 0), &[]);
    }
    refuse("too long", &vec![0; 100_000], &[]);
    // Whatever the event is, it is only signalled.
    for (what, file) in raw::wrong_files(place.root(), 4096) {
        let mut peer = Peer::connect(place, &hello);
        assert!(raw::send(&peer.socket, &plain(raw::EVENT, 1), &[file.as_fd()]), "{what}");
        for alarm in 1..20 {
            peer.own.set(raw::CONSUMER_ALARM, alarm << 32);
            peer.follow(10);
        }
        bystanders.go_on_while(|| {
            peer.follow(1);
        });
    }
    bystanders.are_alone();
    bystanders.end();
    drop(region);
    before.assert_not_exceeded();
    Ok(())
}

/// What may be sent once is sent for ever, while the producer's thread is busy with other things.
fn floods(place: &Place) -> Played {
    let hello = hello(place);
    let producer = place.producer(NAME, &lava::ProducerOptions::new().capacity(CAPACITY));
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().expect("sockets");
    let before = Census::take();
    let event = Bytes::new(raw::EVENT, raw::PLAIN_SIZE, 1);
    let peer = Peer::connect(place, &hello);
    for _ in 0..times(5000) {
        if !raw::send(&peer.socket, &event.0, &[theirs.as_fd()]) {
            break;
        }
    }
    let detach = Bytes::new(raw::DETACH, raw::DETACH_SIZE, 0);
    for _ in 0..times(20_000) {
        if !raw::send(&peer.socket, &detach.0, &[]) {
            break;
        }
    }
    drop(peer);
    // Connections that nobody looks at.
    for _ in 0..times(500) {
        drop(Peer::connect(place, &hello));
    }
    // The producer's thread has looked at nothing yet.
    before.assert_not_exceeded();
    assert_eq!(producer.consumer_count(), 0);
    drop((ours, theirs));
    Ok(())
}

/// What a producer passes can only be read.
fn sealed(place: &Place) -> Played {
    let hello = hello(place);
    let bystanders = Bystanders::start(place, NAME, Frames::All);
    let (_socket, _, descriptors) = be_welcomed(place, &hello);
    for (number, file) in descriptors.iter().enumerate() {
        raw::assert_read_only(file, &format!("number {number} of the welcome"));
    }
    drop(descriptors);
    bystanders.are_alone();
    bystanders.end();
    Ok(())
}

/// Leaving with a lie about what was claimed: it keeps that as long as it is there, and no longer.
fn departures(place: &Place) -> Played {
    let (hello, mut random) = (hello(place), Random::new());
    let before = Census::take();
    let bystanders = Bystanders::start(place, NAME, Frames::All);
    bystanders.go_on();
    for consumed in [0, 1, 5, u64::MAX, u64::MAX - 1, 1 << 32, 1 << 63, random.next()] {
        let mut peer = Peer::connect(place, &hello);
        peer.follow(10);
        let held = peer.hold_one();
        let mut detach = Bytes::new(raw::DETACH, raw::DETACH_SIZE, 0);
        raw::send(&peer.socket, &detach.u64(16, consumed).0, &[]);
        peer.release_frame(held);
        peer.wake();
        raw::send(&peer.socket, &detach.0, &[]);
        drop(peer);
        bystanders.are_alone();
    }
    bystanders.end();
    before.assert_not_exceeded();
    Ok(())
}

/// The checks of these scenes can fail: the same peer stays as long as it tells the truth.
fn an_honest_peer_stays(place: &Place) -> Played {
    let hello = hello(place);
    let bystanders = Bystanders::start(place, NAME, Frames::All);
    let mut peer = Peer::connect(place, &hello);
    assert!(peer.follow(5000).is_some(), "no frame had a slot");
    bystanders.wait_consumers(2);
    let held = peer.hold_one();
    peer.release_frame(held);
    peer.wake();
    peer.follow(1000);
    bystanders.wait_consumers(2);
    drop(peer);
    bystanders.are_alone();
    bystanders.end();
    Ok(())
}
