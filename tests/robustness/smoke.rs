//! The least that must work: one producer, one consumer, in one process and in two.

use lava::{Outcome, ProducerOptions, Received};

use crate::support::actor::{Actor, Role};
use crate::support::census::Census;
use crate::support::payload;
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "smoke/one_process", play: one_process },
    Scene { name: "smoke/two_processes", play: two_processes },
];

pub(crate) const ROLES: &[Role] = &[Role { name: "smoke/consumer", play: consumer }];

const FRAMES: u64 = 1000;
const SEED: u64 = 1;

fn one_process(place: &Place) -> Played {
    let before = Census::take();
    let mut producer = place.producer("smoke", &ProducerOptions::new());
    let mut consumer = place.consumer("smoke");
    for number in 0..FRAMES {
        payload::send(&mut producer, SEED, number).unwrap();
        let Received::Frame(frame) = consumer.receive_timeout(PATIENCE).unwrap() else {
            panic!("no frame {number}")
        };
        payload::check(&frame, SEED, number).unwrap();
    }
    drop(producer);
    assert!(matches!(consumer.receive_timeout(PATIENCE).unwrap(), Received::Closed));
    drop(consumer);
    before.assert_not_exceeded();
    Ok(())
}

fn two_processes(place: &Place) -> Played {
    let before = Census::take();
    let other = Actor::start(place, "smoke/consumer");
    let mut producer = place.producer("smoke", &ProducerOptions::new());
    assert_eq!(producer.wait_consumers(1, PATIENCE).unwrap(), Outcome::Done);
    for number in 0..FRAMES {
        payload::send(&mut producer, SEED, number).unwrap();
    }
    drop(producer);
    assert!(other.end().success());
    before.assert_not_exceeded();
    Ok(())
}

fn consumer(place: &Place) {
    let mut count = 0;
    for frame in place.consumer("smoke") {
        payload::check(&frame.unwrap(), SEED, count).unwrap();
        count += 1;
    }
    assert_eq!(count, FRAMES);
}
