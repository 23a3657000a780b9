//! Containers on one host: with a shared runtime directory they are one place, without it they are apart, and are told so.

use std::time::Duration;

use lava::{
    Consumer, ConsumerOptions, ErrorKind, Evidence, Location, Outcome, Producer, ProducerOptions,
    Received, Scope, Transport,
};

use crate::support::actor::{self, Actor, Role};
use crate::support::container::play_inside;
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, Skip, eventually, payload};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "namespaces/containers_connect", play: containers_connect },
    Scene { name: "namespaces/death_is_seen", play: death_is_seen },
    Scene { name: "namespaces/without_shared_directory", play: without_shared_directory },
];

pub(crate) const ROLES: &[Role] = &[
    Role { name: "namespaces/producer", play: |place| play_inside(place, false, produce) },
    Role { name: "namespaces/consumer", play: |place| play_inside(place, false, consume) },
    Role { name: "namespaces/stranger", play: |place| play_inside(place, true, be_apart) },
];

const NAME: &str = "across";
const FRAMES: u64 = 2000;
const SEED: u64 = 5;

fn pid_namespace() -> String {
    std::fs::read_link("/proc/self/ns/pid").unwrap().to_string_lossy().into_owned()
}

/// Says where it is, then does what it is told.
fn produce(place: &Place) {
    let context = place.context();
    let mut producer = Producer::create(&context, NAME, &ProducerOptions::new()).unwrap();
    actor::say(&pid_namespace());
    actor::say(&Location::current(&context).unwrap().to_string());
    while let Some(order) = actor::hear() {
        let (order, count) = order.split_once(' ').unwrap();
        let count: u64 = count.parse().unwrap();
        match order {
            "await" => {
                let connected = producer.wait_consumers(count as u32, PATIENCE).unwrap();
                assert_eq!(connected, Outcome::Done);
            }
            "send" => (0..count).for_each(|number| {
                payload::send(&mut producer, SEED, number).unwrap();
            }),
            "remain" => eventually("only so many consumers remain", || {
                producer.consumer_count() as u64 == count
            }),
            _ => panic!("{order}?"),
        }
        actor::say("done");
    }
}

/// Opens the channel of the producer whose location it is told, and tells what it finds.
fn consume(place: &Place) {
    let context = place.context();
    actor::say(&pid_namespace());
    let producer: Location = actor::hear().unwrap().parse().unwrap();
    let here = Location::current(&context).unwrap();
    let report = Scope::detect(&context, &here, &producer).unwrap();
    assert_eq!(report.scope(), Scope::Local, "{report}");
    assert_eq!(report.decided_by(), Some(Evidence::Rendezvous), "{report}");
    assert!(report.differs().any(|evidence| evidence == Evidence::PidNamespace), "{report}");
    let opened = ConsumerOptions::new().timeout(PATIENCE).producer(producer);
    let mut consumer = Consumer::open(&context, NAME, &opened).unwrap();
    let connection = consumer.connection().unwrap();
    assert_eq!(connection.transport, Transport::Shm);
    assert_eq!(connection.peer_process, None, "a process that cannot be seen from here");
    actor::say("connected");
    for number in 0..FRAMES {
        let Received::Frame(frame) = consumer.receive_timeout(PATIENCE).unwrap() else {
            panic!("no frame {number}")
        };
        payload::check(&frame, SEED, number).unwrap();
    }
    actor::say("received");
    let end = loop {
        match consumer.receive_timeout(PATIENCE) {
            Ok(Received::Frame(_)) => {}
            Ok(Received::Closed) => break "closed",
            Ok(Received::Empty) => panic!("no end"),
            Err(error) => break error.status_name(),
        }
    };
    actor::say(end);
}

/// What an actor says first, or why it is not there.
fn first_words(actor: &mut Actor) -> Result<String, Skip> {
    let said = actor.hear().expect("a container");
    match said.strip_prefix("skipped: ") {
        Some(why) => Err(Skip(why.to_owned())),
        None => Ok(said),
    }
}

fn order(producer: &mut Actor, order: &str) {
    producer.say(order);
    producer.expect("done");
}

struct Containers {
    producer: Actor,
    consumers: Vec<Actor>,
}

/// A producer and two consumers, each in a container of its own, with all frames received.
fn meet(place: &Place) -> Result<Containers, Skip> {
    let mut producer = Actor::start(place, "namespaces/producer");
    let mut namespaces = vec![pid_namespace(), first_words(&mut producer)?];
    let location = producer.hear().unwrap();
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let mut consumer = Actor::start(place, "namespaces/consumer");
        namespaces.push(first_words(&mut consumer)?);
        consumer.say(&location);
        consumer.expect("connected");
        consumers.push(consumer);
    }
    let count = namespaces.len();
    namespaces.sort();
    namespaces.dedup();
    assert_eq!(namespaces.len(), count, "some share a namespace");
    order(&mut producer, "await 2");
    order(&mut producer, &format!("send {FRAMES}"));
    consumers.iter_mut().for_each(|consumer| consumer.expect("received"));
    Ok(Containers { producer, consumers })
}

fn containers_connect(place: &Place) -> Played {
    let Containers { mut producer, mut consumers } = meet(place)?;
    // A process outside of all containers.
    let mut outside = place.consumer(NAME);
    order(&mut producer, "await 3");
    producer.say("send 10");
    for number in 0..10 {
        let Received::Frame(frame) = outside.receive_timeout(PATIENCE).unwrap() else {
            panic!("no frame {number}")
        };
        assert_eq!(frame.copy_to_vec::<u8>().unwrap(), payload::payload(SEED, number));
    }
    producer.expect("done");
    drop(outside);
    order(&mut producer, "remain 2");
    assert!(producer.end().success());
    for mut consumer in consumers.drain(..) {
        consumer.expect("closed");
        assert!(consumer.end().success());
    }
    Ok(())
}

fn death_is_seen(place: &Place) -> Played {
    let Containers { mut producer, mut consumers } = meet(place)?;
    consumers.remove(0).kill();
    order(&mut producer, "remain 1");
    producer.kill();
    consumers[0].expect("LAVA_ERROR_PEER_LOST");
    assert!(consumers.remove(0).end().success());
    // Whoever comes next finds the name free.
    drop(place.producer(NAME, &ProducerOptions::new()));
    Ok(())
}

/// In a container without the shared directory.
fn be_apart(place: &Place) {
    let context = place.context();
    actor::say(&pid_namespace());
    let producer: Location = actor::hear().unwrap().parse().unwrap();
    let here = Location::current(&context).unwrap();
    let report = Scope::detect(&context, &here, &producer).unwrap();
    assert_eq!(report.scope(), Scope::Remote, "{report}");
    let text = report.to_string();
    assert!(text.contains("runtime director"), "the report does not say why: {text}");
    let opened = ConsumerOptions::new().timeout(PATIENCE).producer(producer);
    let error = Consumer::open(&context, NAME, &opened).map(drop).expect_err("apart");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("runtime director"), "no reason: {error}");
    let opened = ConsumerOptions::new().timeout(Duration::from_millis(50));
    let error = Consumer::open(&context, NAME, &opened).map(drop).expect_err("apart");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(error.to_string().contains("LAVA_RUNTIME_DIR"), "no way out: {error}");
    // The name is free here: this is another place.
    drop(Producer::create(&context, NAME, &ProducerOptions::new()).expect("another place"));
    actor::say("apart");
}

fn without_shared_directory(place: &Place) -> Played {
    let mut producer = Actor::start(place, "namespaces/producer");
    first_words(&mut producer)?;
    let location = producer.hear().unwrap();
    let mut stranger = Actor::start(place, "namespaces/stranger");
    first_words(&mut stranger)?;
    stranger.say(&location);
    stranger.expect("apart");
    assert!(stranger.end().success());
    assert!(producer.end().success());
    Ok(())
}
