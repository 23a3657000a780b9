//! The checks that every scene relies on can fail.

use lava::{ProducerOptions, Received};

use crate::support::census::Census;
use crate::support::place::Place;
use crate::support::stage::{self, Scene};
use crate::support::{PATIENCE, Played, payload};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "harness/finds_leaks", play: finds_leaks },
    Scene { name: "harness/finds_damaged_frames", play: finds_damaged_frames },
    Scene { name: "harness/finds_what_is_left", play: finds_what_is_left },
];

fn finds_leaks(place: &Place) -> Played {
    let before = Census::take();
    assert_eq!(before.excess_now(), Vec::<String>::new());
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(before.excess_now().len(), 1, "a descriptor is not found");
    drop(file);
    let producer = place.producer("leak", &ProducerOptions::new());
    let excess = before.excess_now();
    for what in ["socket", "memfd", "mappings", "threads"] {
        assert!(excess.iter().any(|line| line.contains(what)), "{what} not found in {excess:?}");
    }
    drop(producer);
    let memory = vec![1_u8; 32 << 20];
    assert_eq!(before.excess_now().len(), 1, "memory is not found");
    drop(memory);
    before.assert_not_exceeded();
    Ok(())
}

fn finds_damaged_frames(place: &Place) -> Played {
    let mut producer = place.producer("damaged", &ProducerOptions::new());
    let mut consumer = place.consumer("damaged");
    let number = 5;
    let mut check = |bytes: &[u8]| {
        producer.send_bytes(bytes).unwrap();
        let Received::Frame(frame) = consumer.receive_timeout(PATIENCE).unwrap() else { panic!() };
        payload::check_bytes(&frame, 1, number)
    };
    let good = payload::payload(1, number);
    assert!(check(&good).is_ok(), "a good frame is refused");
    let mut torn = good.clone();
    let half = torn.len() / 2;
    torn[half..].copy_from_slice(&payload::payload(2, number)[half..]);
    assert!(check(&torn).is_err(), "a torn frame is taken");
    for bit in [0, 1000, good.len() * 8 - 1] {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&flipped).is_err(), "a wrong bit is not found");
    }
    assert!(check(&good[1..]).is_err(), "a missing byte is not found");
    Ok(())
}

fn finds_what_is_left(place: &Place) -> Played {
    use std::os::unix::process::CommandExt;
    let left = || stage::left_behind(std::process::id(), &place.runtime()).len();
    // This process leads its group.
    assert_eq!(left(), 1);
    let mut sleeper = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    assert_eq!(left(), 2, "a process is not found");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let mut other =
        std::process::Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    assert_eq!(left(), 1, "a process of another group is not this scene's");
    other.kill().unwrap();
    other.wait().unwrap();
    let producer = place.producer("left", &ProducerOptions::new());
    assert_eq!(left(), 2, "a socket file is not found");
    drop(producer);
    assert_eq!(left(), 1);
    Ok(())
}
