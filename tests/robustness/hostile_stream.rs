//! A hostile producer against a real consumer, after the handshake: lies in the memory that it writes, and messages that
//! have no place there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lava::{Consumer, ConsumerOptions, Context, ErrorKind, Frame, Received};

use crate::hostile_producer::{
    BLOCK, CAPACITY, NAME, QUEUE, STRIDE, Trap, await_hello, shake_hands,
};
use crate::support::bystanders::{Bystanders, Frames};
use crate::support::census::Census;
use crate::support::place::Place;
use crate::support::raw::{self, Bytes, Region};
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, Random, times};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "hostile_stream/descriptors", play: descriptors },
    Scene { name: "hostile_stream/tensors", play: tensors },
    Scene { name: "hostile_stream/header", play: header },
    Scene { name: "hostile_stream/endless_drops", play: endless_drops },
    Scene { name: "hostile_stream/random", play: random },
    Scene { name: "hostile_stream/messages", play: messages },
    Scene { name: "hostile_stream/buffers", play: buffers },
    Scene { name: "hostile_stream/late_buffer", play: late_buffer },
    Scene { name: "hostile_stream/an_honest_one_is_believed", play: an_honest_one_is_believed },
];

const DROP_OLDEST: u32 = 2;
const INLINE: u64 = 1;
const SLOT: u64 = 2;
const PACKED: u64 = 3;
const TENSOR: u64 = 1;
const TAG: u64 = 2;
/// A call that was told to wait for less must be over by now, however slow the machine.
const FAR_TOO_LONG: Duration = Duration::from_secs(10);

/// A connection whose producer is played by hand.
struct Snare {
    trap: Trap,
    socket: OwnedFd,
    releases: Region,
    position: u64,
}

impl Snare {
    /// Catches a consumer.
    fn set(place: &Place, context: &Context, policy: u32) -> (Self, Consumer) {
        let (trap, path) = (Trap::new(place), place.runtime().join(NAME));
        let listener = raw::listen(&path);
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                let opened = ConsumerOptions::new().timeout(PATIENCE);
                Consumer::open(context, NAME, &opened).expect("no lie yet")
            });
            let socket = await_hello(&listener);
            let releases = shake_hands(&socket, &trap, policy);
            raw::send(&socket, &Bytes::new(raw::READY, raw::PLAIN_SIZE, 0).0, &[]);
            std::fs::remove_file(path).expect("the trap's socket");
            let snare = Self { trap, socket, releases, position: 0 };
            (snare, consumer.join().expect("no panic"))
        })
    }

    /// Publishes a line: kind, size and flags of its first word, and the other words.
    fn publish(&mut self, kind: u64, size: u64, flags: u64, rest: [u64; 7]) {
        let line = raw::HEADER / 8 + 8 * (self.position % u64::from(QUEUE)) as usize;
        for (index, word) in rest.into_iter().enumerate() {
            self.trap.lines.set(line + 1 + index, word);
        }
        self.position += 1;
        let stamp = self.position & u64::from(u32::MAX);
        self.trap.lines.set(line, stamp | kind << 32 | size << 40 | flags << 48);
        self.wake();
    }

    fn wake(&self) {
        self.trap.lines.word(raw::PRODUCER_WAKE).fetch_add(1, Ordering::SeqCst);
        self.trap.lines.wake(raw::PRODUCER_WAKE);
    }

    /// Publishes a frame in a slot.
    fn publish_slot(&mut self, slot: u64, buffer: u64, offset: u64, size: u64, flags: u64) {
        let sequence = self.position;
        self.publish(SLOT, 0, flags, [sequence, 0, 0, size, slot | buffer << 32, offset, 0]);
    }
}

/// The next frame. A call must not take much longer than it was told to.
fn receive(consumer: &mut Consumer, timeout: Duration) -> lava::Result<Received> {
    let start = Instant::now();
    let received = consumer.receive_timeout(timeout);
    assert!(start.elapsed() < FAR_TOO_LONG, "a call for {timeout:?} took {:?}", start.elapsed());
    received
}

/// Reads all of it, wherever it lies.
fn read(frame: &Frame) -> usize {
    frame.copy_to_vec::<u8>().expect("memory that can be read").len()
}

/// A consumer's context with an honest channel in it that must not suffer.
fn play_snares(place: &Place, play: impl FnOnce(&Context)) {
    let before = Census::take();
    let bystanders = Bystanders::start(place, "honest", Frames::All);
    bystanders.go_on();
    let context = place.context();
    play(&context);
    drop(context);
    bystanders.go_on();
    bystanders.end();
    before.assert_not_exceeded();
}

fn descriptors(place: &Place) -> Played {
    play_snares(place, |context| {
        type Lie<'a> = (&'a str, &'a dyn Fn(&mut Snare));
        let lies: [Lie<'_>; 22] = [
            ("no kind", &|snare| snare.publish(0, 0, 0, [0; 7])),
            ("kind 4", &|snare| snare.publish(4, 0, 0, [0; 7])),
            ("a pack of none", &|snare| snare.publish(PACKED, 8, 0, [0; 7])),
            ("a pack of nothing", &|snare| snare.publish(PACKED, 0, 2, [0; 7])),
            ("a pack of a large one", &|snare| snare.publish(PACKED, 17, 1, [0; 7])),
            ("a pack of six", &|snare| snare.publish(PACKED, 8, 6, [0; 7])),
            ("a pack of three twos", &|snare| snare.publish(PACKED, 9, 3, [0; 7])),
            ("a pack of too many", &|snare| snare.publish(PACKED, 255, 0xffff, [0; 7])),
            ("kind 255", &|snare| snare.publish(255, 0, 0, [0; 7])),
            ("unknown flags", &|snare| snare.publish(INLINE, 8, 4, [0; 7])),
            ("all flags", &|snare| snare.publish(SLOT, 0, 0xffff, [0; 7])),
            ("41 bytes in the line", &|snare| snare.publish(INLINE, 41, 0, [0; 7])),
            ("255 bytes in the line", &|snare| snare.publish(INLINE, 255, 0, [0; 7])),
            ("33 bytes and a tag", &|snare| snare.publish(INLINE, 33, TAG, [0; 7])),
            ("a tensor in the line", &|snare| snare.publish(INLINE, 8, TENSOR, [0; 7])),
            ("a slot too many", &|snare| snare.publish_slot(CAPACITY.into(), 0, 0, 8, 0)),
            ("the last slot there can be", &|snare| snare.publish_slot(0xffff_ffff, 0, 0, 8, 0)),
            ("a byte too many", &|snare| snare.publish_slot(0, 0, 0, STRIDE + 1, 0)),
            ("far too many bytes", &|snare| snare.publish_slot(0, 0, 0, u64::MAX, 0)),
            ("a buffer that never came", &|snare| snare.publish_slot(0, 1, 0, 8, 0)),
            ("the last buffer there can be", &|snare| snare.publish_slot(0, 0xffff_ffff, 0, 8, 0)),
            ("a truth, then a lie", &|snare| {
                snare.publish_slot(0, 0, 0, STRIDE, 0);
                snare.publish_slot(0, 0, 0, STRIDE + 1, 0);
            }),
        ];
        for (what, lie) in lies {
            let (mut snare, mut consumer) = Snare::set(place, context, BLOCK);
            lie(&mut snare);
            let error = loop {
                match receive(&mut consumer, Duration::from_secs(5)) {
                    Ok(Received::Frame(frame)) => {
                        assert_eq!(read(&frame), STRIDE as usize, "{what}")
                    }
                    Ok(other) => panic!("{what}: {other:?}"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error}");
            // It stays an error, and the producer is hung up on.
            let again = receive(&mut consumer, PATIENCE).map(drop).expect_err("not believed again");
            assert_eq!(again.kind(), ErrorKind::Protocol, "{what}: {again}");
            assert!(raw::receive(&snare.socket).is_none(), "{what}");
        }
        // Where a place of the queue must be one frame, a pack is a lie as such.
        for policy in [BLOCK, DROP_OLDEST] {
            let (mut snare, mut consumer) = Snare::set(place, context, policy);
            snare.publish(PACKED, 8, 5, [0; 7]);
            let received = (0..5).map(|_| receive(&mut consumer, PATIENCE));
            let believed = received.filter(|one| matches!(one, Ok(Received::Frame(_)))).count();
            assert_eq!(believed, if policy == BLOCK { 5 } else { 0 });
        }
    });
    Ok(())
}

/// Descriptions of arrays that lie outside of their frames, overflow, or change while they are read.
fn tensors(place: &Place) -> Played {
    let mut random = Random::new();
    play_snares(place, |context| {
        let (mut snare, mut consumer) = Snare::set(place, context, BLOCK);
        let mut believed = 0;
        for _ in 0..times(3000) {
            // dtype, bits, lanes, dimensions; then the offset, shape and strides.
            let kind = random.below(7) | (8 << random.below(6)) << 8 | random.below(3) << 16;
            snare.trap.metadata.set(0, kind | random.below(10) << 32);
            for index in 1..18 {
                let bits = random.below(64);
                snare.trap.metadata.set(index, random.next() >> bits);
            }
            snare.publish_slot(0, 0, 0, STRIDE, TENSOR);
            let Ok(Received::Frame(frame)) = receive(&mut consumer, PATIENCE) else {
                panic!("the frame itself is right")
            };
            match frame.tensor() {
                Ok(tensor) => believed += usize::from(tensor.is_some()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Protocol, "{error}"),
            }
        }
        assert!(believed < times(3000), "random numbers are not all arrays");
        println!("result: {believed} of {} random tensors lie within their frames", times(3000));
    });
    Ok(())
}

fn header(place: &Place) -> Played {
    play_snares(place, |context| {
        // Any number in `closed` is an end.
        let (snare, mut consumer) = Snare::set(place, context, BLOCK);
        snare.trap.lines.set(raw::CLOSED, 0xdead);
        snare.wake();
        assert!(matches!(receive(&mut consumer, PATIENCE), Ok(Received::Closed)));
        // The mark of dropped frames means nothing to a channel that does not drop.
        let (mut snare, mut consumer) = Snare::set(place, context, BLOCK);
        snare.trap.lines.set(raw::OLDEST, u64::MAX);
        snare.publish(INLINE, 8, 0, [0; 7]);
        assert!(matches!(receive(&mut consumer, PATIENCE), Ok(Received::Frame(_))));
        let set_oldest = |oldest| {
            let (snare, consumer) = Snare::set(place, context, DROP_OLDEST);
            snare.trap.lines.set(raw::OLDEST, oldest);
            snare.wake();
            (snare, consumer)
        };
        // A mark that may be right leads the consumer to where nothing is.
        let (_snare, mut consumer) = set_oldest(1 << 40);
        let received = receive(&mut consumer, Duration::from_millis(20));
        assert!(matches!(received, Ok(Received::Empty)), "{received:?}");
        for oldest in [u64::MAX, 1 << 63] {
            let (_snare, mut consumer) = set_oldest(oldest);
            let error = receive(&mut consumer, PATIENCE).map(drop).expect_err("no such frame");
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        }
        // Wake-ups for nothing, and an alarm that always rings, while the consumer waits and releases.
        let (mut snare, mut consumer) = Snare::set(place, context, BLOCK);
        let mut random = Random::new();
        for round in 0..times(1000) {
            snare.trap.lines.set(raw::PRODUCER_ALARM, random.next());
            snare.wake();
            if round % 3 == 0 {
                snare.publish_slot(round as u64 % 8, 0, 0, 100, 0);
            }
            match receive(&mut consumer, Duration::from_micros(100)) {
                Ok(Received::Frame(frame)) => assert_eq!(read(&frame), 100),
                Ok(Received::Empty) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    Ok(())
}

/// A producer that takes every frame back in the moment in which it is claimed keeps nobody in a call for ever.
fn endless_drops(place: &Place) -> Played {
    play_snares(place, |context| {
        let (mut snare, mut consumer) = Snare::set(place, context, DROP_OLDEST);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let consumed = snare.releases.get(raw::CONSUMED);
                    snare.trap.lines.set(raw::OLDEST, consumed + 1);
                    while snare.position < consumed + u64::from(QUEUE) / 2 {
                        let slot = snare.position % u64::from(CAPACITY);
                        snare.publish_slot(slot, 0, 0, 64, 0);
                        snare.trap.lines.set(raw::OLDEST, snare.position);
                    }
                }
            });
            let until = Instant::now() + Duration::from_millis(500);
            while Instant::now() < until {
                match receive(&mut consumer, Duration::from_millis(5)) {
                    Ok(Received::Frame(frame)) => assert_eq!(read(&frame), 64),
                    Ok(Received::Empty) => {}
                    other => panic!("{other:?}"),
                }
            }
            stop.store(true, Ordering::SeqCst);
        });
    });
    Ok(())
}

/// Random words in everything that the producer writes, all the time.
fn random(place: &Place) -> Played {
    let mut random = Random::new();
    play_snares(place, |context| {
        let (mut frames, mut found) = (0, 0);
        for round in 0..times(60) {
            let policy = if round % 2 == 0 { BLOCK } else { DROP_OLDEST };
            let (snare, mut consumer) = Snare::set(place, context, policy);
            let stop = AtomicBool::new(false);
            let mut random = Random::seeded(random.next());
            std::thread::scope(|scope| {
                scope.spawn(|| scribble(&snare, &stop, &mut random));
                let until = Instant::now() + Duration::from_millis(20);
                while Instant::now() < until {
                    match receive(&mut consumer, Duration::from_millis(2)) {
                        Ok(Received::Frame(frame)) => {
                            read(&frame);
                            let _ = frame.tensor();
                            frames += 1;
                        }
                        Ok(Received::Empty) => {}
                        Ok(Received::Closed) => break,
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
                            found += 1;
                            break;
                        }
                    }
                }
                stop.store(true, Ordering::SeqCst);
            });
        }
        println!("result: {frames} frames made of random words, {found} lies found");
        assert!(found > 0, "no lie was found");
    });
    Ok(())
}

/// Lines that often carry the right stamp, with anything in them; anything in the header and the metadata.
fn scribble(snare: &Snare, stop: &AtomicBool, random: &mut Random) {
    let lines = &snare.trap.lines;
    while !stop.load(Ordering::SeqCst) {
        for index in 0..snare.trap.metadata.words() {
            snare.trap.metadata.set(index, random.next() >> random.clone().below(64));
        }
        if random.below(8) == 0 {
            lines.set(raw::OLDEST, random.next() >> random.clone().below(64));
            lines.set(raw::PRODUCER_ALARM, random.next());
        }
        let position = snare.releases.get(raw::CONSUMED);
        for ahead in 0..4 {
            let line = raw::HEADER / 8 + 8 * ((position + ahead) % u64::from(QUEUE)) as usize;
            for word in 1..8 {
                // Many slots and sizes are right, so that frames come through.
                let bits = if word == 5 || word == 6 { 59 + random.below(5) } else { 50 };
                lines.set(line + word, random.next() >> bits);
            }
            lines.set(line + 6, random.below(2) * (random.below(100) / 99));
            let kind = 1 + random.below(3) + random.below(100) / 99;
            let size = random.below(42);
            let stamp = (position + ahead + 1) & u64::from(u32::MAX);
            lines.set(line, stamp | kind << 32 | size << 40 | (random.below(20) / 18) << 48);
        }
        snare.wake();
    }
}

fn buffer_message(kind: u16, id: u32, size: u64, file_size: u64) -> Bytes {
    let mut message = Bytes::new(kind, raw::BUFFER_SIZE, 1);
    message.u32(16, id).u32(20, 1).u32(24, 1).u64(32, size).u64(40, file_size);
    message
}

fn messages(place: &Place) -> Played {
    place.load_vulkan();
    play_snares(place, |context| {
        let file = Region::new(4096);
        let lost = |what: &str, message: &[u8], descriptors: &[BorrowedFd<'_>]| {
            let (snare, mut consumer) = Snare::set(place, context, BLOCK);
            raw::send(&snare.socket, message, descriptors);
            let error = receive(&mut consumer, PATIENCE).map(drop).expect_err(what);
            assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error}");
            assert!(raw::receive(&snare.socket).is_none(), "{what}");
        };
        let good = buffer_message(raw::BUFFER, 1, 4096, 4096);
        lost("no descriptor", &good.0, &[]);
        for count in [2, 4, 250] {
            lost("descriptors", &good.0, &vec![file.borrow(); count]);
        }
        for kind in [0, 1, 4, 5, 6, 7, 8, 11, u16::MAX] {
            lost("kind", &good.clone().u16(6, kind).0, &[file.borrow()]);
        }
        lost("version", &good.clone().u16(4, 7).0, &[file.borrow()]);
        lost("more than the file", &buffer_message(raw::BUFFER, 1, 4097, 4096).0, &[file.borrow()]);
        for size in [0, 1, 4095, 8192, u64::MAX] {
            let message = buffer_message(raw::BUFFER, 1, size.min(4096), size);
            lost("another file", &message.0, &[file.borrow()]);
        }
        lost("memory", &good.clone().u32(20, 77).0, &[file.borrow()]);
        lost("pages", &good.clone().u32(24, 77).0, &[file.borrow()]);
        let mut gpu = good.clone();
        raw::recipe(&mut gpu, raw::BUFFER_RECIPE, 4096);
        lost("host memory with a recipe", &gpu.0, &[file.borrow()]);
        lost("GPU memory of nobody", &gpu.u32(20, 5).0, &[file.borrow()]);
        lost("GPU memory without a recipe", &good.clone().u32(20, 5).0, &[file.borrow()]);
        lost("one byte", &[1], &[]);
        lost("a byte with descriptors", &[1], &vec![file.borrow(); 253]);
        lost("too long", &vec![0; 100_000], &[]);
        for (what, wrong) in raw::wrong_files(place.root(), 4096) {
            lost(what, &good.0, &[wrong.as_fd()]);
        }
    });
    Ok(())
}

/// Buffers: a lie about the range, one taken away or exchanged under a frame, and far too many.
fn buffers(place: &Place) -> Played {
    play_snares(place, |context| {
        let file = Region::new(8192);
        file.set(0, 0x1234);
        let good = buffer_message(raw::BUFFER, 1, 8000, 8192);
        for (offset, size) in [(0, 8193), (8192, 1), (1, 8192), (u64::MAX, 8), (8, u64::MAX)] {
            let (mut snare, mut consumer) = Snare::set(place, context, BLOCK);
            assert!(raw::send(&snare.socket, &good.0, &[file.borrow()]));
            snare.publish_slot(0, 1, offset, size, 0);
            let error = receive(&mut consumer, PATIENCE).map(drop).expect_err("outside");
            assert_eq!(error.kind(), ErrorKind::Protocol, "{size} at {offset}: {error}");
        }
        let (mut snare, mut consumer) = Snare::set(place, context, BLOCK);
        assert!(raw::send(&snare.socket, &good.0, &[file.borrow()]));
        snare.publish_slot(0, 1, 0, 8000, 0);
        let Ok(Received::Frame(held)) = receive(&mut consumer, PATIENCE) else { panic!("no lie") };
        let (mut retire, other) = (Bytes::new(raw::RETIRE, raw::BUFFER_SIZE, 0), Region::new(4096));
        for id in [0, 1, 2, u32::MAX] {
            assert!(raw::send(&snare.socket, &retire.u32(16, id).0, &[]));
        }
        assert!(raw::send(
            &snare.socket,
            &buffer_message(raw::BUFFER, 1, 16, 4096).0,
            &[other.borrow()]
        ));
        snare.publish_slot(1, 1, 0, 16, 0);
        let Ok(Received::Frame(next)) = receive(&mut consumer, PATIENCE) else { panic!("no lie") };
        assert_eq!((read(&held), read(&next)), (8000, 16), "the held frame keeps its memory");
        assert_eq!(held.copy_to_vec::<u64>().unwrap()[0], 0x1234);
        drop((held, next, consumer, snare));
        let (snare, consumer) = Snare::set(place, context, BLOCK);
        let sent = (1..10_000).take_while(|id| {
            raw::send(
                &snare.socket,
                &buffer_message(raw::BUFFER, *id, 8000, 8192).0,
                &[file.borrow()],
            )
        });
        assert!(sent.count() < 9000, "a consumer takes any number of buffers");
        drop(consumer);
    });
    Ok(())
}

/// A frame whose buffer comes late or never: nobody waits longer than they wanted to, and nothing is lost or mixed up.
fn late_buffer(place: &Place) -> Played {
    play_snares(place, |context| {
        let file = Region::new(4096);
        let (mut snare, mut consumer) = Snare::set(place, context, BLOCK);
        snare.publish_slot(0, 1, 0, 4096, 0);
        snare.publish(INLINE, 8, 0, [1, 0, 0x77, 0, 0, 0, 0]);
        let start = Instant::now();
        for timeout in [Duration::ZERO, Duration::from_millis(20), Duration::ZERO] {
            let received = receive(&mut consumer, timeout);
            assert!(matches!(received, Ok(Received::Empty)), "{received:?}");
        }
        let took = start.elapsed();
        assert!(
            took < Duration::from_millis(500),
            "two that do not wait and one of 20 ms: {took:?}"
        );
        assert!(raw::send(
            &snare.socket,
            &buffer_message(raw::BUFFER, 1, 4096, 4096).0,
            &[file.borrow()]
        ));
        for size in [4096, 8] {
            let Ok(Received::Frame(frame)) = receive(&mut consumer, PATIENCE) else {
                panic!("no frame of {size} bytes")
            };
            assert_eq!(read(&frame), size, "in the order of sending");
        }
        // One that never comes is a lie, for those who only poll as well.
        snare.publish_slot(1, 2, 0, 8, 0);
        let start = Instant::now();
        let error = loop {
            match receive(&mut consumer, Duration::ZERO) {
                Ok(Received::Empty) => std::thread::sleep(Duration::from_millis(5)),
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        let took = start.elapsed();
        assert!(took > Duration::from_millis(900) && took < FAR_TOO_LONG, "{took:?}");
    });
    Ok(())
}

/// The checks of these scenes can fail: the same producer without a lie is believed.
fn an_honest_one_is_believed(place: &Place) -> Played {
    play_snares(place, |context| {
        let (mut snare, mut consumer) = Snare::set(place, context, BLOCK);
        raw::assert_read_only(&snare.releases.fd, "the consumer's region");
        for number in 0..50 {
            snare.trap.pool.set(512 * (number as usize % 8), number);
            // In the pool an offset means nothing, whatever it is.
            snare.publish_slot(number % 8, 0, number << 40, STRIDE, 0);
            let Ok(Received::Frame(frame)) = receive(&mut consumer, PATIENCE) else {
                panic!("frame {number} is not believed")
            };
            assert_eq!(frame.copy_to_vec::<u64>().unwrap()[0], number);
            snare.publish(INLINE, 40, 0, [number; 7]);
            let Ok(Received::Frame(frame)) = receive(&mut consumer, PATIENCE) else {
                panic!("a frame in its line is not believed")
            };
            assert_eq!(read(&frame), 40);
            snare.position = consumer.connection().unwrap().frames;
        }
    });
    Ok(())
}
