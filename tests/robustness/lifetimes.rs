//! Ends of handles in every order, use from several threads, several contexts, fork.

use std::collections::VecDeque;

use lava::{
    Buffer, BufferOptions, Consumer, ConsumerOptions, Context, ErrorKind, Frame, Loan, Outcome,
    Producer, ProducerOptions, Received,
};

use crate::support::actor::{self, Actor, Role};
use crate::support::census::Census;
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, payload, pool};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "lifetimes/every_order", play: every_order },
    Scene { name: "lifetimes/many_threads", play: many_threads },
    Scene { name: "lifetimes/frames_cross_threads", play: frames_cross_threads },
    Scene { name: "lifetimes/fork", play: fork },
    Scene { name: "lifetimes/unknown_variables", play: unknown_variables },
];

pub(crate) const ROLES: &[Role] =
    &[Role { name: "lifetimes/misspelt", play: create_with_misspelt_variables }];

fn receive(consumer: &mut Consumer) -> Frame {
    match consumer.receive_timeout(PATIENCE).unwrap() {
        Received::Frame(frame) => frame,
        other => panic!("no frame, but {other:?}"),
    }
}

/// Everything that has a handle, each ended at its place in an order.
struct Handles {
    context: Option<Context>,
    producer: Option<Producer>,
    consumer: Option<Consumer>,
    frame: Option<Frame>,
    frame_of_buffer: Option<Frame>,
    loan: Option<Loan>,
    buffer: Option<Buffer>,
}

const HANDLES: usize = 7;

impl Handles {
    fn new(place: &Place) -> Self {
        let context = place.context();
        let options = ProducerOptions::new().max_frame_size(16 * 1024).capacity(4);
        let mut producer = Producer::create(&context, "ending", &options).unwrap();
        let mut consumer = Consumer::open(&context, "ending", &ConsumerOptions::new()).unwrap();
        producer.send_bytes(&payload::payload(1, 5)).unwrap();
        let frame = receive(&mut consumer);
        let mut buffer = Buffer::allocate(&context, &BufferOptions::new(8192).shareable()).unwrap();
        buffer.write(0, &payload::payload(1, 4)).unwrap();
        let sent = producer.send_buffer(&buffer, 0..200, 0, None, PATIENCE).unwrap();
        assert_eq!(sent, Outcome::Done);
        let frame_of_buffer = receive(&mut consumer);
        let loan = producer.loan(100).unwrap();
        Self {
            context: Some(context),
            producer: Some(producer),
            consumer: Some(consumer),
            frame: Some(frame),
            frame_of_buffer: Some(frame_of_buffer),
            loan: Some(loan),
            buffer: Some(buffer),
        }
    }

    fn end(&mut self, index: usize) {
        match index {
            0 => self.context = None,
            1 => self.producer = None,
            2 => self.consumer = None,
            3 => self.frame = None,
            4 => self.frame_of_buffer = None,
            5 => self.loan = None,
            _ => self.buffer = None,
        }
    }

    /// What is still held is still good.
    fn check(&mut self) {
        if let Some(frame) = &self.frame {
            assert_eq!(frame.copy_to_vec::<u8>().unwrap(), payload::payload(1, 5));
        }
        if let Some(frame) = &self.frame_of_buffer {
            assert_eq!(frame.copy_to_vec::<u8>().unwrap(), payload::payload(1, 4));
        }
        if let Some(loan) = &mut self.loan {
            loan.write_at(0, &[7_u8; 100]).unwrap();
        }
        match (&mut self.producer, &mut self.consumer) {
            (Some(producer), Some(consumer)) => {
                producer.send_bytes(b"on").unwrap();
                assert_eq!(receive(consumer).len(), 2);
            }
            (None, Some(consumer)) => {
                assert!(matches!(consumer.receive_timeout(PATIENCE).unwrap(), Received::Closed));
            }
            _ => {}
        }
    }
}

/// Calls `visit` with every order of the numbers below `count`.
fn orders(count: usize, visit: &mut impl FnMut(&[usize])) {
    fn extend(order: &mut Vec<usize>, count: usize, visit: &mut impl FnMut(&[usize])) {
        if order.len() == count {
            return visit(order);
        }
        for next in 0..count {
            if !order.contains(&next) {
                order.push(next);
                extend(order, count, visit);
                order.pop();
            }
        }
    }
    extend(&mut Vec::new(), count, visit);
}

fn every_order(place: &Place) -> Played {
    let before = Census::take();
    let mut played = 0;
    orders(HANDLES, &mut |order| {
        let mut handles = Handles::new(place);
        for index in order {
            handles.end(*index);
            handles.check();
        }
        played += 1;
    });
    assert_eq!(played, 5040);
    before.assert_not_exceeded();
    Ok(())
}

/// Channels come and go in several threads of one context at once.
fn many_threads(place: &Place) -> Played {
    let before = Census::take();
    let context = place.context();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let context = &context;
            scope.spawn(move || {
                for round in 0..20 {
                    let name = format!("thread/{thread}");
                    let mut producer =
                        Producer::create(context, &name, &ProducerOptions::new()).unwrap();
                    let mut consumer =
                        Consumer::open(context, &name, &ConsumerOptions::new()).unwrap();
                    for number in 0..20 {
                        payload::send(&mut producer, thread + round, number).unwrap();
                        payload::check(&receive(&mut consumer), thread + round, number).unwrap();
                    }
                }
            });
        }
    });
    drop(context);
    before.assert_not_exceeded();
    Ok(())
}

/// Frames are released by threads that did not receive them, in any order, while others are received; loans likewise.
fn frames_cross_threads(place: &Place) -> Played {
    const FRAMES: u64 = 20_000;
    let options = ProducerOptions::new().max_frame_size(16 * 1024).capacity(32);
    let mut producer = place.producer("threads", &options);
    let mut consumer = place.consumer("threads");
    let (frames, to_check) = std::sync::mpsc::sync_channel::<(u64, Frame)>(16);
    let to_check = std::sync::Mutex::new(to_check);
    let (loans, to_drop) = std::sync::mpsc::sync_channel::<Loan>(4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..FRAMES {
                payload::send(&mut producer, 1, number).unwrap();
                if number % 16 == 0 {
                    loans.send(producer.loan(1000).unwrap()).unwrap();
                }
            }
            drop(loans);
            assert_eq!(producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
            assert_eq!(pool::free(&producer), 32);
        });
        scope.spawn(|| to_drop.into_iter().for_each(drop));
        for _ in 0..3 {
            scope.spawn(|| {
                let mut held = VecDeque::new();
                loop {
                    let next = to_check.lock().unwrap().recv();
                    let Ok((number, frame)) = next else { return };
                    payload::check(&frame, 1, number).unwrap();
                    held.push_back(frame);
                    if held.len() > 3 {
                        held.swap_remove_front(number as usize % held.len());
                    }
                }
            });
        }
        for number in 0..FRAMES {
            frames.send((number, receive(&mut consumer))).unwrap();
        }
        drop(frames);
    });
    Ok(())
}

fn fork(place: &Place) -> Played {
    let context = place.context();
    let mut producer = Producer::create(&context, "parent", &ProducerOptions::new()).unwrap();
    let mut consumer = place.consumer("parent");
    payload::send(&mut producer, 1, 5).unwrap();
    payload::send(&mut producer, 1, 6).unwrap();
    let held = receive(&mut consumer);
    let loan = producer.loan(1000).unwrap();
    // SAFETY: the child runs on this thread's copy only; the library is made for it, which is what is tested.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            in_child(place, (context, producer, consumer, held, loan));
        }));
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(i32::from(played.is_err())) };
    }
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child failed");
    // Nothing that the child ended was the parent's.
    assert_eq!(producer.consumer_count(), 1);
    assert_eq!(pool::free(&producer), 8 - 3);
    assert_eq!(receive(&mut consumer).copy_to_vec::<u8>().unwrap(), payload::payload(1, 6));
    for _ in 0..100 {
        producer.send_bytes(&[3; 5000]).unwrap();
        assert_eq!(receive(&mut consumer).len(), 5000);
        // Its release in the child is not one here: its slot is not given to another frame.
        assert_eq!(held.copy_to_vec::<u8>().unwrap(), payload::payload(1, 5));
    }
    assert_eq!(pool::free(&producer), 8 - 2);
    drop((held, loan));
    producer.send_bytes(&[3; 5000]).unwrap();
    assert_eq!(receive(&mut consumer).len(), 5000);
    assert_eq!(producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
    assert_eq!(pool::free(&producer), 8);
    drop(producer);
    assert!(matches!(consumer.receive_timeout(PATIENCE).unwrap(), Received::Closed));
    Ok(())
}

type Inherited = (Context, Producer, Consumer, Frame, Loan);

fn in_child(place: &Place, inherited: Inherited) {
    let (context, mut producer, mut consumer, held, loan) = inherited;
    let forked = |error: lava::Error| assert_eq!(error.kind(), ErrorKind::Forked, "{error}");
    forked(producer.send_bytes(b"no").unwrap_err());
    forked(producer.send_timeout(loan, PATIENCE).unwrap_err().error);
    forked(producer.loan(1000).map(drop).unwrap_err());
    forked(producer.wait_consumers(1, PATIENCE).map(drop).unwrap_err());
    forked(producer.wait_released(None, PATIENCE).map(drop).unwrap_err());
    forked(consumer.receive_timeout(PATIENCE).map(drop).unwrap_err());
    forked(consumer.try_receive().map(drop).unwrap_err());
    forked(consumer.event_fd().map(drop).unwrap_err());
    forked(Producer::create(&context, "of/child", &ProducerOptions::new()).map(drop).unwrap_err());
    forked(Consumer::open(&context, "parent", &ConsumerOptions::new()).map(drop).unwrap_err());
    drop((held, consumer, producer, context));
    // A context of its own is a new beginning.
    let own = place.producer("of/child", &ProducerOptions::new());
    drop(own);
    drop(place.consumer("parent"));
}

fn create_with_misspelt_variables(place: &Place) {
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&lines);
    let options = place.options().log(lava::LogLevel::Warn, move |_, line| {
        kept.lock().unwrap().push(line.to_owned());
    });
    let context = Context::create(&options).unwrap();
    for line in lines.lock().unwrap().iter() {
        actor::say(line);
    }
    actor::say(&context.describe().unwrap());
}

fn unknown_variables(place: &Place) -> Played {
    let mut other = Actor::start_with(place, "lifetimes/misspelt", |command| {
        command.env("LAVA_RUNTIME_DIRECTORY", "/tmp").env("LAVA_SPIN_NS", "1000");
    });
    let warning = other.hear().unwrap();
    assert!(warning.contains("LAVA_RUNTIME_DIRECTORY"), "{warning}");
    assert!(warning.contains("LAVA_RUNTIME_DIR"), "the right name is not told: {warning}");
    let described = other.hear().unwrap();
    assert!(described.contains("LAVA_RUNTIME_DIRECTORY"), "{described}");
    assert!(other.end().success());
    // One that is known and makes no sense is an error.
    let mut wrong = Actor::start_with(place, "lifetimes/misspelt", |command| {
        command.env("LAVA_SPIN_NS", "soon").stderr(std::process::Stdio::null());
    });
    assert_eq!(wrong.hear(), None);
    assert!(!wrong.end().success());
    Ok(())
}
