//! Names of channels: one live producer each, free again at once when it dies, and what may lie in the way.

use std::time::Duration;

use lava::{Consumer, ConsumerOptions, ErrorKind, Producer, ProducerOptions, Received};

use crate::support::actor::{self, Actor, Role};
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, eventually};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "names/one_live_producer", play: one_live_producer },
    Scene { name: "names/stale_files_are_removed", play: stale_files_are_removed },
    Scene { name: "names/something_in_the_way", play: something_in_the_way },
    Scene { name: "names/lock_held_for_ever", play: lock_held_for_ever },
];

pub(crate) const ROLES: &[Role] = &[Role { name: "names/owner", play: own }];

/// Creates the channels that it is told of, until it is killed.
fn own(place: &Place) {
    let context = place.context();
    let mut producers = Vec::new();
    while let Some(name) = actor::hear() {
        producers.push(Producer::create(&context, &name, &ProducerOptions::new()).unwrap());
        actor::say("created");
    }
}

fn owner(place: &Place, names: &[&str]) -> Actor {
    let mut owner = Actor::start(place, "names/owner");
    for name in names {
        owner.say(name);
        owner.expect("created");
    }
    owner
}

fn one_live_producer(place: &Place) -> Played {
    let context = place.context();
    for _ in 0..20 {
        let owner = owner(place, &["claimed"]);
        let refused =
            Producer::create(&context, "claimed", &ProducerOptions::new()).expect_err("taken");
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert!(refused.to_string().contains("claimed"), "{refused}");
        owner.kill();
        // No second try: the name is free at once.
        drop(Producer::create(&context, "claimed", &ProducerOptions::new()).expect("free again"));
    }
    Ok(())
}

fn files(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.runtime()).unwrap().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn stale_files_are_removed(place: &Place) -> Played {
    // By the first producer of another context.
    owner(place, &["one", "two", "three/four"]).kill();
    assert_eq!(files(place).len(), 3);
    let producer = place.producer("new", &ProducerOptions::new());
    assert_eq!(files(place), ["new"]);
    drop(producer);
    assert!(files(place).is_empty());
    // By a consumer whose producer died, when it is destroyed.
    let owner = owner(place, &["lost"]);
    let mut consumer = place.consumer("lost");
    owner.kill();
    let error = consumer.receive_timeout(PATIENCE).expect_err("the producer is dead");
    assert_eq!(error.kind(), ErrorKind::PeerLost);
    drop(consumer);
    assert!(files(place).is_empty());
    Ok(())
}

fn something_in_the_way(place: &Place) -> Played {
    let context = place.context();
    let path = place.runtime().join("blocked");
    let elsewhere = place.root().join("elsewhere");
    std::fs::write(&elsewhere, "precious").unwrap();
    type Block<'a> = (&'a str, &'a dyn Fn());
    let blocks: [Block<'_>; 3] = [
        ("a file", &|| std::fs::write(&path, "precious").unwrap()),
        ("a directory", &|| std::fs::create_dir(&path).unwrap()),
        ("a link", &|| std::os::unix::fs::symlink(&elsewhere, &path).unwrap()),
    ];
    for (what, block) in blocks {
        block();
        let error = Producer::create(&context, "blocked", &ProducerOptions::new()).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{what}: {error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{what}: {error}");
        // It is not lava's: it is left alone, and does not disturb other names.
        assert!(path.symlink_metadata().is_ok(), "{what} was removed");
        let options = ConsumerOptions::new().timeout(Duration::from_millis(50));
        assert!(Consumer::open(&context, "blocked", &options).is_err(), "{what}");
        meet(place);
        if path.is_dir() { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) }
            .unwrap();
    }
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "precious");
    drop(Producer::create(&context, "blocked", &ProducerOptions::new()).expect("nothing there"));
    Ok(())
}

/// A frame goes through another channel.
fn meet(place: &Place) {
    let mut producer = place.producer("free", &ProducerOptions::new());
    let mut consumer = place.consumer("free");
    producer.send_bytes(b"hello").unwrap();
    let Received::Frame(frame) = consumer.receive_timeout(PATIENCE).unwrap() else {
        panic!("no frame")
    };
    assert_eq!(frame.copy_to_vec::<u8>().unwrap(), b"hello");
}

/// Another process has the directory's lock and does not give it back: deaths are told and consumers served as ever, and
/// a call that needs the lock says so after a while.
fn lock_held_for_ever(place: &Place) -> Played {
    let owner = owner(place, &["lost"]);
    let context = place.context();
    let mut producer = Producer::create(&context, "kept", &ProducerOptions::new()).unwrap();
    let opened = ConsumerOptions::new().timeout(PATIENCE);
    let mut consumer = Consumer::open(&context, "lost", &opened).unwrap();
    let directory = std::fs::File::open(place.runtime()).unwrap();
    rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive).unwrap();
    owner.kill();
    let error = consumer.receive_timeout(PATIENCE).expect_err("the producer is dead");
    assert_eq!(error.kind(), ErrorKind::PeerLost);
    let mut late = Consumer::open(&context, "kept", &opened).expect("the service thread goes on");
    producer.send_bytes(b"on").unwrap();
    assert!(matches!(late.receive_timeout(PATIENCE).unwrap(), Received::Frame(_)));
    let error = Producer::create(&context, "more", &ProducerOptions::new()).map(drop);
    let error = error.expect_err("the lock is held").to_string();
    assert!(error.contains("lock") && error.contains("LAVA_RUNTIME_DIR"), "no way out: {error}");
    drop(directory);
    // The next to come cleans up.
    drop(place.producer("lost", &ProducerOptions::new()));
    drop((late, producer));
    eventually("nothing is left", || files(place).is_empty());
    Ok(())
}
