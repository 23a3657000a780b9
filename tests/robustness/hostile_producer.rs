//! A hostile producer against a real consumer, until the connection is made.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use lava::{Consumer, ConsumerOptions, Context, Error, ErrorKind};
use rustix::fs::SealFlags;

use crate::support::bystanders::{Bystanders, Frames};
use crate::support::census::Census;
use crate::support::place::Place;
use crate::support::raw::{self, Bytes, Region};
use crate::support::stage::Scene;
use crate::support::{Played, Random, times};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "hostile_producer/welcome", play: welcome },
    Scene { name: "hostile_producer/descriptors", play: descriptors },
    Scene { name: "hostile_producer/geometry", play: geometry },
    Scene { name: "hostile_producer/gpu_memory", play: gpu_memory },
    Scene { name: "hostile_producer/ready", play: ready },
    Scene { name: "hostile_producer/silence", play: silence },
    Scene { name: "hostile_producer/not_a_channel", play: not_a_channel },
    Scene { name: "hostile_producer/an_honest_one_is_taken", play: an_honest_one_is_taken },
];

pub(crate) const NAME: &str = "trap";
pub(crate) const CAPACITY: u32 = 8;
pub(crate) const QUEUE: u32 = 64;
pub(crate) const STRIDE: u64 = 4096;
/// Entries of the ring of releases for so many slots.
const RELEASES: u32 = 64;
/// Bytes of a slot's metadata.
const SLOT_HEADER: usize = 192;
/// Policies.
pub(crate) const BLOCK: u32 = 0;

/// What a producer has: the memory that it passes to a consumer.
pub(crate) struct Trap {
    pub(crate) lines: Region,
    pub(crate) metadata: Region,
    pub(crate) pool: Region,
    location: String,
}

impl Trap {
    pub(crate) fn new(place: &Place) -> Self {
        Self {
            lines: Region::new(raw::HEADER + 64 * QUEUE as usize),
            metadata: Region::new(SLOT_HEADER * CAPACITY as usize),
            pool: Region::new((STRIDE * u64::from(CAPACITY)) as usize),
            location: lava::Location::current(&place.context()).expect("a location").to_string(),
        }
    }

    /// A correct welcome.
    pub(crate) fn welcome(&self, policy: u32) -> Bytes {
        let mut message = Bytes::new(raw::WELCOME, raw::WELCOME_SIZE, 3);
        message.u32(20, 1).u32(24, policy).u32(28, CAPACITY).u32(32, QUEUE).u32(36, RELEASES);
        message.u64(40, STRIDE).u64(48, STRIDE).u64(56, STRIDE * u64::from(CAPACITY));
        message.u32(64, 1).u32(68, 1).put(592, self.location.as_bytes());
        message
    }

    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.lines.borrow(), self.metadata.borrow(), self.pool.borrow()]
    }
}

/// The next connection that says something: others only look whether somebody listens.
pub(crate) fn await_hello(listener: &OwnedFd) -> OwnedFd {
    loop {
        let socket = raw::accept(listener);
        if let Some((hello, _)) = raw::receive(&socket) {
            assert_eq!((hello.kind(), hello.0.len()), (raw::HELLO_ATTACH, raw::HELLO_SIZE));
            return socket;
        }
    }
}

/// Answers the first message, and goes on until the consumer's memory has come.
pub(crate) fn shake_hands(socket: &OwnedFd, trap: &Trap, policy: u32) -> Region {
    assert!(raw::send(socket, &trap.welcome(policy).0, &trap.descriptors()));
    let (attach, mut descriptors) = raw::receive(socket).expect("the consumer attaches");
    assert_eq!((attach.kind(), descriptors.len()), (raw::ATTACH, 1));
    Region::of_peer(descriptors.remove(0))
}

/// Opens the trap's channel while `serve` plays the producer for each connection that comes. Gives the consumer's error.
fn spring(
    context: &Context,
    listener: &OwnedFd,
    timeout: Duration,
    serve: impl FnOnce(OwnedFd) + Send,
) -> Error {
    let start = Instant::now();
    let error = std::thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            let opened = ConsumerOptions::new().timeout(timeout);
            Consumer::open(context, NAME, &opened).map(drop).expect_err("a trap")
        });
        serve(raw::accept(listener));
        // A consumer may look for a better producer as long as it has time: it finds nobody.
        while !consumer.is_finished() {
            let mut fds = [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)];
            let short = rustix::event::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
            if rustix::event::poll(&mut fds, Some(&short)).expect("a listener") == 1 {
                drop(raw::accept(listener));
            }
        }
        consumer.join().expect("no panic")
    });
    assert!(start.elapsed() < timeout + Duration::from_secs(5), "it took {:?}", start.elapsed());
    error
}

/// Time for a consumer whose producer breaks off: it tries again until then.
const SHORT: Duration = Duration::from_millis(30);
/// Time that a consumer must not need to find a lie.
const LONG: Duration = Duration::from_secs(60);

/// A listener in place of a producer, and an honest channel in the consumer's own context that must not suffer.
fn play_trap(place: &Place, play: impl FnOnce(&Context, &OwnedFd, &Trap)) {
    let before = Census::take();
    let bystanders = Bystanders::start(place, "honest", Frames::All);
    bystanders.go_on();
    let (context, trap) = (place.context(), Trap::new(place));
    let path = place.runtime().join(NAME);
    let listener = raw::listen(&path);
    play(&context, &listener, &trap);
    std::fs::remove_file(path).expect("the trap's socket");
    drop((listener, trap, context));
    bystanders.go_on();
    bystanders.end();
    before.assert_not_exceeded();
}

/// Answers the first message with this, and waits for the consumer to hang up.
fn answer(socket: &OwnedFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) {
    raw::receive(socket).expect("a first message");
    raw::send(socket, message, descriptors);
    if let Some((attach, _)) = raw::receive(socket) {
        panic!("the consumer believed it and answered with kind {}", attach.kind());
    }
}

/// The lie is found at once, and called one.
fn is_found(
    context: &Context,
    listener: &OwnedFd,
    what: &str,
    message: &[u8],
    files: &[BorrowedFd<'_>],
) {
    let error = spring(context, listener, LONG, |socket| answer(&socket, message, files));
    assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error}");
}

fn welcome(place: &Place) -> Played {
    play_trap(place, |context, listener, trap| {
        let good = trap.welcome(BLOCK);
        let found = |what: &str, change: &dyn Fn(&mut Bytes)| {
            let mut message = good.clone();
            change(&mut message);
            is_found(context, listener, what, &message.0, &trap.descriptors());
        };
        found("magic", &|message| {
            message.u32(0, 0);
        });
        for version in [0, 1, raw::VERSION - 1, raw::VERSION + 1, u16::MAX] {
            found("version", &|message| {
                message.u16(4, version);
            });
        }
        for kind in [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, u16::MAX] {
            found("kind", &|message| {
                message.u16(6, kind);
            });
        }
        for size in [0, 16, 784, 1039, 1041, u32::MAX] {
            found("size", &|message| {
                message.u32(8, size);
            });
        }
        for size in [1, 16, 760, 784, 1024, 1039, 1041, 2048, 2049, 100_000] {
            found("length", &|message| message.0.resize(size, 0));
        }
        found("no location", &|message| {
            message.put(592, &[0; 384]);
        });
        found("location of garbage", &|message| {
            message.put(592, &[0xff; 384]);
        });
        for count in [0, 1, 2, 4, 5, 250, 253] {
            let files = vec![trap.lines.borrow(); count];
            is_found(context, listener, "descriptors", &good.0, &files);
        }
        // A refusal is a refusal, whatever its number.
        for status in [-1, -202, -7, -9999, i32::MIN, 1, i32::MAX] {
            let mut message = good.clone();
            message.u32(16, status as u32).put(80, &[0xfe; 512]);
            let error = spring(context, listener, LONG, |socket| answer(&socket, &message.0, &[]));
            let kinds = [ErrorKind::Refused, ErrorKind::Permission, ErrorKind::Requirement];
            assert!(kinds.contains(&error.kind()), "status {status}: {error:?}");
        }
        let mut random = Random::new();
        for _ in 0..times(100) {
            let garbage: Vec<u8> =
                (0..1 + random.below(1500)).map(|_| random.next() as u8).collect();
            is_found(context, listener, "garbage", &garbage, &trap.descriptors());
        }
    });
    Ok(())
}

fn descriptors(place: &Place) -> Played {
    play_trap(place, |context, listener, trap| {
        let good = trap.welcome(BLOCK);
        let sizes = [trap.lines.words() * 8, trap.metadata.words() * 8, trap.pool.words() * 8];
        for (position, size) in sizes.into_iter().enumerate() {
            for (what, file) in raw::wrong_files(place.root(), size) {
                let mut files = trap.descriptors();
                files[position] = file.as_fd();
                is_found(
                    context,
                    listener,
                    &format!("{what} as number {position}"),
                    &good.0,
                    &files,
                );
            }
        }
        // Not smaller than it says, but in the wrong order.
        let [lines, metadata, pool] = trap.descriptors();
        is_found(context, listener, "order", &good.0, &[metadata, lines, pool]);
        is_found(context, listener, "order", &good.0, &[pool, metadata, lines]);
        is_found(context, listener, "one file for all", &good.0, &[pool, pool, pool]);
    });
    Ok(())
}

fn geometry(place: &Place) -> Played {
    play_trap(place, |context, listener, trap| {
        let good = trap.welcome(BLOCK);
        let u32_fields: [(&str, usize, &[u32]); 8] = [
            ("transport", 20, &[0, 2, 3, 16, 64, u32::MAX]),
            ("policy", 24, &[3, 99, u32::MAX]),
            ("capacity", 28, &[0, 9, 65_537, 1 << 31, u32::MAX]),
            ("queue length", 32, &[0, 3, 63, 65, 128, 1 << 17, 1 << 31, u32::MAX]),
            ("releases", 36, &[0, 1, 32, 63, 65, 128, 1 << 31, u32::MAX]),
            ("memory", 64, &[5, 6, 99, u32::MAX]),
            ("pages", 68, &[0, 2, 4, 99, u32::MAX]),
            ("readiness", 76, &[1, 2, u32::MAX]),
        ];
        for (what, at, values) in u32_fields {
            for value in values {
                let mut message = good.clone();
                message.u32(at, *value);
                let what = format!("{what} {value}");
                is_found(context, listener, &what, &message.0, &trap.descriptors());
            }
        }
        let u64_fields: [(&str, usize, &[u64]); 3] = [
            ("largest frame", 40, &[STRIDE + 1, 1 << 40, u64::MAX]),
            ("stride", 48, &[0, 1, STRIDE - 1, STRIDE + 1, u64::MAX, u64::MAX / 8 + 1, 1 << 61]),
            ("pool", 56, &[0, 1, STRIDE, STRIDE * 8 - 1, STRIDE * 8 + 1, 1 << 62, u64::MAX]),
        ];
        for (what, at, values) in u64_fields {
            for value in values {
                let mut message = good.clone();
                message.u64(at, *value);
                let what = format!("{what} {value}");
                is_found(context, listener, &what, &message.0, &trap.descriptors());
            }
        }
        // As large as it says, and larger than any address space: the kernel refuses to map it.
        let size = 1_u64 << 62;
        let vast = Region::sealed(8, SealFlags::empty());
        rustix::fs::ftruncate(&vast.fd, size).expect("a file without pages");
        rustix::fs::fcntl_add_seals(&vast.fd, raw::right_seals()).expect("seals");
        let mut message = good.clone();
        message.u64(40, size / 8).u64(48, size / 8).u64(56, size);
        let files = [trap.lines.borrow(), trap.metadata.borrow(), vast.borrow()];
        let error = spring(context, listener, LONG, |socket| answer(&socket, &message.0, &files));
        let kinds = [ErrorKind::Protocol, ErrorKind::OutOfMemory];
        assert!(kinds.contains(&error.kind()), "{error:?}");
    });
    Ok(())
}

/// Claims about GPU memory: contradictions are found before anything is imported, and what no driver here can import
/// ends with one more try that says so.
fn gpu_memory(place: &Place) -> Played {
    place.load_vulkan();
    play_trap(place, |context, listener, trap| {
        let mut good = trap.welcome(BLOCK);
        let size = STRIDE * u64::from(CAPACITY);
        good.u32(20, 2).u32(64, 5);
        raw::recipe(&mut good, raw::WELCOME_RECIPE, size);
        let found = |what: &str, change: &dyn Fn(&mut Bytes)| {
            let mut message = good.clone();
            change(&mut message);
            is_found(context, listener, what, &message.0, &trap.descriptors());
        };
        let at = raw::WELCOME_RECIPE;
        found("a recipe of host memory", &|message| {
            message.u32(20, 1).u32(64, 1);
        });
        found("staged GPU memory", &|message| {
            message.u32(20, 4);
        });
        found("no recipe", &|message| {
            message.put(at, &[0; 64]);
        });
        for wrong in [0, size - 1] {
            found("a buffer smaller than the pool", &|message| {
                message.u64(at + 8, wrong);
            });
            found("an allocation smaller than its buffer", &|message| {
                message.u64(at, wrong);
            });
        }
        found("a semaphore that does not come", &|message| {
            message.u32(76, 1);
        });
        found("readiness of another kind", &|message| {
            message.u32(76, 2);
        });
        for count in [0, 1, 2, 4] {
            let files = vec![trap.lines.borrow(); count];
            is_found(context, listener, "descriptors", &good.0, &files);
        }
        // No contradiction, and nothing that can be imported: the consumer says so, once.
        let error = std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                let opened = ConsumerOptions::new().timeout(LONG);
                Consumer::open(context, NAME, &opened).map(drop).expect_err("a trap")
            });
            let first = raw::accept(listener);
            answer(&first, &good.0, &trap.descriptors());
            let second = raw::accept(listener);
            let (hello, _) = raw::receive(&second).expect("the second first message");
            assert_eq!(hello.get_u32(496), 1, "it says that it cannot import");
            assert_ne!(hello.0[504], 0, "and why");
            raw::send(&second, &good.0, &trap.descriptors());
            assert!(raw::receive(&second).is_none(), "the consumer believed it");
            consumer.join().expect("no panic")
        });
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    });
    Ok(())
}

/// The last message of the handshake.
fn ready(place: &Place) -> Played {
    play_trap(place, |context, listener, trap| {
        let plain = |kind| Bytes::new(kind, raw::PLAIN_SIZE, 0).0;
        let wrong = [
            trap.welcome(BLOCK).0,
            plain(raw::WELCOME),
            plain(raw::EVENT),
            plain(0),
            Bytes::new(raw::READY, 24, 0).0,
            vec![0; 16],
            vec![1],
            vec![0; 5000],
        ];
        for message in &wrong {
            let error = spring(context, listener, LONG, |socket| {
                raw::receive(&socket);
                shake_hands(&socket, trap, BLOCK);
                raw::send(&socket, message, &[]);
                assert!(raw::receive(&socket).is_none(), "the consumer believed it");
            });
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        }
        let error = spring(context, listener, SHORT, |socket| {
            raw::receive(&socket);
            shake_hands(&socket, trap, BLOCK);
        });
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    });
    Ok(())
}

/// Silence at every stage ends with the consumer's own patience.
fn silence(place: &Place) -> Played {
    play_trap(place, |context, listener, trap| {
        let until_hang_up = |socket: &OwnedFd| assert!(raw::receive(socket).is_none());
        let patience = Duration::from_millis(200);
        let stages: [&(dyn Fn(&OwnedFd) + Sync); 4] = [
            &|_| {},
            &|socket| drop(raw::receive(socket)),
            &|socket| {
                raw::receive(socket);
                shake_hands(socket, trap, BLOCK);
            },
            // An empty message is an end.
            &|socket| {
                raw::receive(socket);
                raw::send(socket, &[], &[]);
            },
        ];
        for (stage, play) in stages.into_iter().enumerate() {
            let error = spring(context, listener, patience, |socket| {
                play(&socket);
                if stage == 0 {
                    raw::receive(&socket);
                }
                until_hang_up(&socket);
            });
            assert_eq!(error.kind(), ErrorKind::TimedOut, "stage {stage}: {error}");
        }
    });
    Ok(())
}

/// Sockets of another kind under the channel's name.
fn not_a_channel(place: &Place) -> Played {
    let before = Census::take();
    let context = place.context();
    let path = place.runtime().join(NAME);
    let opened = ConsumerOptions::new().timeout(SHORT);
    let stream = std::os::unix::net::UnixListener::bind(&path).expect("a free name");
    let error = Consumer::open(&context, NAME, &opened).map(drop).expect_err("a stream");
    assert!(!matches!(error.kind(), ErrorKind::Internal), "{error}");
    std::fs::remove_file(&path).expect("the socket");
    drop(stream);
    let datagram = std::os::unix::net::UnixDatagram::bind(&path).expect("a free name");
    let error = Consumer::open(&context, NAME, &opened).map(drop).expect_err("a datagram socket");
    assert!(!matches!(error.kind(), ErrorKind::Internal), "{error}");
    let error = lava::Producer::create(&context, NAME, &lava::ProducerOptions::new());
    assert!(error.is_err(), "somebody lives there");
    std::fs::remove_file(&path).expect("the socket");
    drop((datagram, context));
    before.assert_not_exceeded();
    Ok(())
}

/// The checks of these scenes can fail: the same trap without a lie is taken for a producer.
fn an_honest_one_is_taken(place: &Place) -> Played {
    play_trap(place, |context, listener, trap| {
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                let opened = ConsumerOptions::new().timeout(LONG);
                let mut consumer = Consumer::open(context, NAME, &opened).expect("no lie");
                let received = consumer.try_receive().expect("nothing is wrong");
                assert!(matches!(received, lava::Received::Empty), "{received:?}");
            });
            let socket = await_hello(listener);
            shake_hands(&socket, trap, BLOCK);
            raw::send(&socket, &Bytes::new(raw::READY, raw::PLAIN_SIZE, 0).0, &[]);
            consumer.join().expect("no panic");
        });
    });
    Ok(())
}
