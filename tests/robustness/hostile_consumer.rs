//! A hostile consumer against a real producer, until the connection is made: every message wrong in every way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lava::{Consumer, ConsumerOptions};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::actor::{self, Actor, Role};
use crate::support::bystanders::{Bystanders, CAPACITY, Frames};
use crate::support::census::Census;
use crate::support::durations::Durations;
use crate::support::place::Place;
use crate::support::raw::{self, Bytes, Region};
use crate::support::stage::Scene;
use crate::support::{Played, Random, Skip, system, times};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "hostile_consumer/first_message", play: first_message },
    Scene { name: "hostile_consumer/first_descriptors", play: first_descriptors },
    Scene { name: "hostile_consumer/attach", play: attach },
    Scene { name: "hostile_consumer/silence", play: silence },
    Scene { name: "hostile_consumer/silence_renewed", play: silence_renewed },
    Scene { name: "hostile_consumer/storm", play: storm },
    Scene { name: "hostile_consumer/another_user", play: another_user },
    Scene { name: "hostile_consumer/finds_a_peer_that_stays", play: finds_a_peer_that_stays },
];

pub(crate) const ROLES: &[Role] = &[Role { name: "hostile/nobody", play: connect_as_nobody }];

pub(crate) const NAME: &str = "target";
/// A handshake may take one second.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// A connected socket of the target.
pub(crate) fn connect(place: &Place) -> OwnedFd {
    raw::connect(&place.runtime().join(NAME))
}

pub(crate) fn hello(place: &Place) -> Bytes {
    let location = lava::Location::current(&place.context()).expect("a location").to_string();
    raw::hello(raw::HELLO_ATTACH, NAME, &location)
}

/// Whether the producer ended the connection. Every message before that must refuse.
pub(crate) fn is_thrown_out(socket: &OwnedFd) -> bool {
    while let Some((message, descriptors)) = raw::receive(socket) {
        let refuses = || message.get_u32(16).cast_signed() < 0 && descriptors.is_empty();
        if message.kind() != raw::WELCOME || !refuses() {
            return false;
        }
    }
    true
}

/// Plays attacks on a producer that serves an honest consumer meanwhile.
fn attack(place: &Place, play: impl FnOnce(&Bystanders)) {
    let before = Census::take();
    let bystanders = Bystanders::start(place, NAME, Frames::All);
    bystanders.go_on();
    play(&bystanders);
    bystanders.are_alone();
    bystanders.end();
    before.assert_not_exceeded();
}

/// First messages that are wrong, each with what is wrong.
fn wrong_hellos(good: &Bytes) -> Vec<(String, Vec<u8>)> {
    let mut wrong = Vec::new();
    let mut bend = |what: String, change: &dyn Fn(&mut Bytes)| {
        let mut message = good.clone();
        change(&mut message);
        wrong.push((what, message.0));
    };
    bend("magic".into(), &|message| {
        message.u32(0, 0x1234_5678);
    });
    for version in [0, 1, raw::VERSION - 1, raw::VERSION + 1, 255, u16::MAX] {
        bend(format!("version {version}"), &|message| {
            message.u16(4, version);
        });
    }
    for kind in [0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255, u16::MAX] {
        bend(format!("kind {kind}"), &|message| {
            message.u16(6, kind);
        });
    }
    for size in [0, 16, 480, 759, 761, u32::MAX] {
        bend(format!("size {size}"), &|message| {
            message.u32(8, size);
        });
    }
    for size in [0, 1, 15, 16, 24, 480, 759, 761, 784, 1024, 1025, 60_000] {
        bend(format!("{size} bytes"), &|message| message.0.resize(size, 0));
    }
    bend("no name".into(), &|message| {
        message.put(32, &[0; 64]);
    });
    for name in [&b"other\0"[..], b"../target\0", b"tar\xff\xfe\0", b"target/x\0", &[b'n'; 64]] {
        bend(format!("name {name:?}"), &|message| {
            message.put(32, name);
        });
    }
    bend("no location".into(), &|message| {
        message.put(96, &[0; 384]);
    });
    bend("location of one letter".into(), &|message| {
        message.put(96, &[b'x'; 384]);
    });
    bend("location of garbage".into(), &|message| {
        message.put(96, &[0xff; 384]);
    });
    bend("no transport of these".into(), &|message| {
        message.u32(16, 0x8000_0000);
    });
    for memory in [3, 4, u32::MAX] {
        bend(format!("memory {memory}"), &|message| {
            message.u32(28, memory);
        });
    }
    bend("GPU memory of a host pool, without a copy".into(), &|message| {
        message.u32(20, 0).u32(28, 2);
    });
    bend("no Vulkan, and only Vulkan".into(), &|message| {
        message.u32(16, 2).u32(496, u32::MAX).put(504, &[0xff; 256]);
    });
    wrong
}

fn first_message(place: &Place) -> Played {
    let good = hello(place);
    let mut random = Random::new();
    attack(place, |bystanders| {
        for (what, message) in wrong_hellos(&good) {
            let socket = connect(place);
            raw::send(&socket, &message, &[]);
            assert!(is_thrown_out(&socket), "not thrown out: {what}");
            bystanders.go_on();
        }
        for _ in 0..times(200) {
            let size = random.below(900) as usize;
            let garbage: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
            // One byte of a good message, and garbage alone.
            let mut bent = good.clone();
            let at = random.below(96);
            bent.0[at as usize] ^= 1 << random.below(8);
            for message in [garbage, bent.0] {
                let socket = connect(place);
                raw::send(&socket, &message, &[]);
                rustix::net::shutdown(&socket, rustix::net::Shutdown::Write).unwrap();
                // A bit may be one that does not matter: then it is an ordinary handshake that ends early.
                while raw::receive(&socket).is_some() {}
            }
        }
        for kind in [raw::HELLO_LIST, raw::HELLO_PROBE] {
            let socket = connect(place);
            let mut message = good.clone();
            raw::send(&socket, &message.u16(6, kind).0, &[]);
            assert!(raw::receive(&socket).is_some(), "a question of kind {kind} is answered");
            assert!(raw::receive(&socket).is_none(), "and that is all");
        }
    });
    Ok(())
}

fn first_descriptors(place: &Place) -> Played {
    let good = hello(place);
    attack(place, |bystanders| {
        let file = Region::new(4096);
        for count in [1, 2, 3, 4, 5, 64, 250, 253] {
            let descriptors: Vec<BorrowedFd<'_>> = vec![file.borrow(); count];
            for message in [&good.0[..], &[0]] {
                let socket = connect(place);
                raw::send(&socket, message, &descriptors);
                assert!(is_thrown_out(&socket), "{count} descriptors were taken");
            }
            bystanders.go_on();
        }
    });
    Ok(())
}

/// Goes as far as the welcome. Gives the socket, the message and its descriptors.
pub(crate) fn be_welcomed(place: &Place, hello: &Bytes) -> (OwnedFd, Bytes, Vec<OwnedFd>) {
    let socket = connect(place);
    assert!(raw::send(&socket, &hello.0, &[]));
    let (welcome, descriptors) = raw::receive(&socket).expect("a welcome");
    assert_eq!((welcome.kind(), welcome.get_u32(16), descriptors.len()), (raw::WELCOME, 0, 3));
    assert_eq!(welcome.get_u32(28), CAPACITY);
    (socket, welcome, descriptors)
}

/// Bytes of the region that the producer wants.
pub(crate) fn region_size(welcome: &Bytes) -> usize {
    raw::HEADER + 16 * welcome.get_u32(36) as usize
}

pub(crate) fn attach_message(size: usize) -> Bytes {
    let mut attach = Bytes::new(raw::ATTACH, raw::ATTACH_SIZE, 1);
    attach.u64(16, size as u64);
    attach
}

fn attach(place: &Place) -> Played {
    let good = hello(place);
    attack(place, |bystanders| {
        let refuse = |what: &str, message: &[u8], descriptors: &[BorrowedFd<'_>]| {
            let (socket, ..) = be_welcomed(place, &good);
            raw::send(&socket, message, descriptors);
            assert!(is_thrown_out(&socket), "not thrown out: {what}");
            bystanders.go_on();
        };
        let (socket, welcome, of_producer) = be_welcomed(place, &good);
        drop(socket);
        let size = region_size(&welcome);
        let region = Region::new(size);
        let right = attach_message(size);
        refuse("no descriptor", &right.0, &[]);
        for count in [2, 3, 4, 5, 250] {
            refuse("too many descriptors", &right.0, &vec![region.borrow(); count]);
        }
        for wrong in [0, 1, size - 1, size + 1, usize::MAX] {
            refuse("another size", &attach_message(wrong).0, &[region.borrow()]);
        }
        refuse("the first message again", &good.0, &[]);
        refuse("the first message again", &good.0, &[region.borrow()]);
        refuse("one byte", &[1], &[region.borrow()]);
        let mut bent = right.clone();
        refuse("another version", &bent.u16(4, 9).0, &[region.borrow()]);
        for kind in [0, 1, 2, 4, 6, 7, 8, 9, 10, 99] {
            let mut bent = right.clone();
            refuse("another kind", &bent.u16(6, kind).0, &[region.borrow()]);
        }
        for (what, file) in raw::wrong_files(place.root(), size) {
            refuse(what, &right.0, &[file.as_fd()]);
        }
        for own in &of_producer {
            refuse("the producer's own memory", &right.0, &[own.as_fd()]);
        }
    });
    Ok(())
}

/// Peers that connect and say nothing, at each stage, are hung up on; they keep no honest consumer out for longer.
fn silence(place: &Place) -> Played {
    let good = hello(place);
    attack(place, |bystanders| {
        let start = Instant::now();
        let mute: Vec<OwnedFd> = (0..100).map(|_| connect(place)).collect();
        bystanders.go_on();
        for socket in &mute {
            assert!(is_thrown_out(socket), "a silent peer is kept");
        }
        assert!(
            start.elapsed() < 10 * HANDSHAKE,
            "silent peers were kept for {:?}",
            start.elapsed()
        );
        let start = Instant::now();
        let waiting: Vec<_> = (0..8).map(|_| be_welcomed(place, &good)).collect();
        for (socket, ..) in &waiting {
            assert!(is_thrown_out(socket), "a silent peer is kept");
        }
        assert!(
            start.elapsed() < 10 * HANDSHAKE,
            "silent peers were kept for {:?}",
            start.elapsed()
        );
        let mute: Vec<OwnedFd> = (0..100).map(|_| connect(place)).collect();
        drop(place.consumer(NAME));
        drop(mute);
    });
    Ok(())
}

/// Peers that say nothing, or nothing after the welcome, and come back as soon as they are hung up on: an honest consumer
/// gets in all the same.
fn silence_renewed(place: &Place) -> Played {
    let good = hello(place);
    attack(place, |bystanders| {
        for words in [None, Some(&good)] {
            let mut waited = Durations::default();
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| occupy(place, words, &stop));
                }
                let context = place.context();
                for _ in 0..times(100) {
                    let start = Instant::now();
                    let opened = ConsumerOptions::new().timeout(10 * HANDSHAKE);
                    let consumer = Consumer::open(&context, NAME, &opened);
                    waited.add(start.elapsed());
                    if let Err(error) = consumer {
                        stop.store(true, Ordering::SeqCst);
                        panic!("kept out: {error}");
                    }
                }
                stop.store(true, Ordering::SeqCst);
            });
            let attack = if words.is_some() { "silent after the welcome" } else { "silent" };
            println!("result: beside peers that are {attack}, connected after {}", waited.text());
            assert!(waited.longest() < 5 * HANDSHAKE, "{attack}: {:?}", waited.longest());
        }
        bystanders.go_on();
    });
    Ok(())
}

/// Holds 32 connections that say `words`, renewing each as soon as it is ended.
fn occupy(place: &Place, words: Option<&Bytes>, stop: &AtomicBool) {
    let begin = || {
        let socket = connect(place);
        if let Some(words) = words {
            raw::send(&socket, &words.0, &[]);
        }
        socket
    };
    let mut sockets: Vec<OwnedFd> = (0..32).map(|_| begin()).collect();
    while !stop.load(Ordering::SeqCst) {
        for socket in &mut sockets {
            let mut found = [PollFd::new(&*socket, PollFlags::empty())];
            let ended = poll(&mut found, Some(&Timespec::default())) == Ok(1);
            if ended {
                *socket = begin();
            }
        }
    }
}

/// Peers that come and go as fast as they can, at each stage.
fn storm(place: &Place) -> Played {
    let good = hello(place);
    attack(place, |bystanders| {
        for round in 0..times(2000) {
            let socket = connect(place);
            if round % 2 == 0 {
                raw::send(&socket, &good.0, &[]);
            }
            if round % 4 == 0
                && let Some((welcome, _)) = raw::receive(&socket)
            {
                let size = region_size(&welcome);
                let region = Region::new(size);
                raw::send(&socket, &attach_message(size).0, &[region.borrow()]);
                if round % 8 == 0 {
                    raw::receive(&socket);
                }
            }
        }
        bystanders.go_on();
    });
    Ok(())
}

fn connect_as_nobody(place: &Place) {
    let good = hello(place);
    system::become_nobody();
    let socket = connect(place);
    raw::send(&socket, &good.0, &[]);
    actor::say(if raw::receive(&socket).is_none() { "thrown out" } else { "let in" });
}

/// Even where the directory's mode lets another user reach the socket.
fn another_user(place: &Place) -> Played {
    if !system::is_root() {
        return Err(Skip("becoming another user needs root".into()));
    }
    use std::os::unix::fs::PermissionsExt;
    attack(place, |bystanders| {
        let allow = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        allow(place.root(), 0o711);
        allow(&place.runtime(), 0o711);
        allow(&place.runtime().join(NAME), 0o777);
        let mut other = Actor::start(place, "hostile/nobody");
        other.expect("thrown out");
        assert!(other.end().success());
        bystanders.go_on();
    });
    Ok(())
}

/// The check of these scenes can fail: a peer that does everything right is not thrown out.
fn finds_a_peer_that_stays(place: &Place) -> Played {
    let good = hello(place);
    attack(place, |_| {
        let (socket, welcome, _) = be_welcomed(place, &good);
        let region = Region::new(region_size(&welcome));
        raw::send(&socket, &attach_message(region_size(&welcome)).0, &[region.borrow()]);
        assert!(!is_thrown_out(&socket), "an honest peer was thrown out");
        let socket = connect(place);
        raw::send(&socket, &good.0, &[]);
        assert!(!is_thrown_out(&socket), "a welcome is no refusal");
    });
    Ok(())
}
