//! SIGKILL at random instants in a producer: while it starts, shakes hands, sends, ends.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use lava::{Consumer, ConsumerOptions, ErrorKind, Outcome, Producer, ProducerOptions, Received};

use crate::support::actor::Role;
use crate::support::census::Census;
use crate::support::durations::Durations;
use crate::support::nursery::{self, Killed, Log, Nursery, Progress};
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, Random, eventually, payload, times};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "kill/producer", play: producer },
    Scene { name: "kill/producer_in_handshake", play: producer_in_handshake },
    Scene { name: "kill/finds_a_lost_frame", play: finds_a_lost_frame },
];

pub(crate) const ROLES: &[Role] = &[
    Role { name: "kill/producers", play: |place| nursery::serve(place, stream) },
    Role { name: "kill/shaking_producers", play: |place| nursery::serve(place, shake_hands) },
];

const NAME: &str = "kill/me";
const SURVIVORS: usize = 2;
/// Nothing may take longer, however slow the machine.
const LONGEST: Duration = Duration::from_secs(2);
/// How soon a loss is told, on a machine that has a processor for whoever is to hear of it.
const PROMISED: Duration = Duration::from_millis(100);

fn options() -> ProducerOptions {
    ProducerOptions::new().max_frame_size(16 * 1024)
}

/// The victim: sends for ever, as soon as the survivors are there.
fn stream(place: &Place, progress: &Progress) {
    let mut producer = place.producer(NAME, &options());
    assert_eq!(producer.wait_consumers(SURVIVORS as u32, PATIENCE).unwrap(), Outcome::Done);
    let seed = u64::from(std::process::id());
    for number in 0.. {
        progress.begun.store(number + 1, Ordering::SeqCst);
        payload::send(&mut producer, seed, number).unwrap();
        progress.done.store(number + 1, Ordering::SeqCst);
    }
}

/// The victim: creates and ends a channel again and again.
fn shake_hands(place: &Place, progress: &Progress) {
    let context = place.context();
    let seed = u64::from(std::process::id());
    loop {
        let mut producer = Producer::create(&context, NAME, &options()).unwrap();
        if producer.wait_consumers(1, Duration::from_millis(5)).unwrap() == Outcome::Done {
            progress.begun.fetch_add(1, Ordering::SeqCst);
            for number in 0..3 {
                payload::send(&mut producer, seed, number).unwrap();
            }
        }
    }
}

/// What a survivor saw of one producer.
struct Seen {
    process: u32,
    first: u64,
    received: u64,
    /// None: it ended as it should.
    lost: Option<Instant>,
    connected: Instant,
}

/// Connects, receives until the producer is lost, connects again, until the harness's own producer ends the channel.
fn survive(place: &Place, seen: &Sender<Seen>) {
    let context = place.context();
    let own = std::process::id();
    loop {
        let opened = ConsumerOptions::new().timeout(PATIENCE);
        let mut consumer = Consumer::open(&context, NAME, &opened).expect("a producer comes");
        let connected = Instant::now();
        let process = consumer.connection().unwrap().peer_process.expect("the same namespace");
        let (mut first, mut received) = (0, 0);
        let lost = loop {
            match consumer.receive_timeout(PATIENCE) {
                Ok(Received::Frame(frame)) => {
                    if received == 0 {
                        first = frame.info().sequence;
                    }
                    payload::check(&frame, process.into(), first + received).unwrap();
                    received += 1;
                }
                Ok(Received::Closed) => break None,
                Err(error) if error.kind() == ErrorKind::PeerLost => break Some(Instant::now()),
                other => panic!("{other:?}"),
            }
        };
        let over = process == own;
        seen.send(Seen { process, first, received, lost, connected }).unwrap();
        if over {
            return;
        }
    }
}

/// What happened in all rounds.
struct Tale {
    killed: HashMap<u32, (usize, Killed)>,
    seen: Vec<Seen>,
    log: Log,
}

/// Kills `rounds` victims of `role` while survivors hold on to the channel; `wait` chooses the instant.
fn massacre(
    place: &Place,
    role: &str,
    rounds: usize,
    wait: impl Fn(&Progress, &mut Random),
) -> Tale {
    let before = Census::take();
    let mut nursery = Nursery::start(place, role, rounds);
    let (sender, seen) = channel();
    let survivors: Vec<_> = (0..SURVIVORS)
        .map(|_| {
            let (place, sender) = (place.clone(), sender.clone());
            std::thread::spawn(move || survive(&place, &sender))
        })
        .collect();
    drop(sender);
    let mut random = Random::new();
    let mut killed = HashMap::new();
    for _ in 0..rounds {
        let victim = nursery.bear();
        wait(nursery.progress(&victim), &mut random);
        killed.insert(victim.process, (victim.round, victim.kill()));
    }
    // The survivors end with a producer that ends well. Its name is free at once.
    let mut last = None;
    eventually("the last victim's name is free", || {
        last = Producer::create(&place.context(), NAME, &options()).ok();
        last.is_some()
    });
    let mut last = last.unwrap();
    assert_eq!(last.wait_consumers(SURVIVORS as u32, PATIENCE).unwrap(), Outcome::Done);
    drop(last);
    survivors.into_iter().for_each(|survivor| survivor.join().expect("a survivor"));
    let log = nursery.end();
    before.assert_not_exceeded();
    Tale { killed, seen: seen.into_iter().collect(), log }
}

/// Checks that each survivor got exactly what was published. Gives what is wrong.
fn complaints(tale: &Tale) -> Vec<String> {
    let mut complaints = Vec::new();
    for (process, (round, _)) in &tale.killed {
        let progress = tale.log.of(*round);
        let (begun, done) =
            (progress.begun.load(Ordering::SeqCst), progress.done.load(Ordering::SeqCst));
        let witnesses: Vec<_> = tale.seen.iter().filter(|seen| seen.process == *process).collect();
        if done > 0 && witnesses.len() != SURVIVORS {
            complaints.push(format!("round {round}: {} survivors tell of it", witnesses.len()));
        }
        for seen in witnesses {
            // The frame that was being sent may or may not have been published.
            if seen.first != 0 || seen.received < done || seen.received > begun {
                complaints.push(format!(
                    "round {round}: {} frames from {} on received, {done} to {begun} published",
                    seen.received, seen.first
                ));
            }
        }
    }
    complaints
}

/// Half of the victims die at any time after their birth, half after some frames.
fn while_it_sends(progress: &Progress, random: &mut Random) {
    if random.below(2) == 0 {
        random.pause(Duration::from_millis(4));
        return;
    }
    let frames = 1 + random.below(100);
    eventually("the victim sends", || progress.done.load(Ordering::SeqCst) >= frames);
    random.pause(Duration::from_micros(300));
}

fn producer(place: &Place) -> Played {
    let rounds = times(1000);
    let start = Instant::now();
    let tale = massacre(place, "kill/producers", rounds, while_it_sends);
    assert_eq!(complaints(&tale), Vec::<String>::new());
    let (mut lost, mut frames, mut sending) = (Durations::default(), 0, 0);
    let mut after_death = Durations::default();
    for seen in &tale.seen {
        frames += seen.received;
        sending += usize::from(seen.received > 0);
        if let (Some(at), Some((_, killed))) = (seen.lost, tale.killed.get(&seen.process)) {
            lost.add(at - killed.at);
            after_death.add(at.saturating_duration_since(killed.dead));
        }
    }
    println!("result: {rounds} producers killed in {:.1?}, {frames} frames", start.elapsed());
    println!("result: PEER_LOST after {}", lost.text());
    assert!(sending > rounds / 2, "only {sending} victims lived long enough to send");
    println!("result: of that, after it was dead: {}", after_death.text());
    assert!(lost.longest() < LONGEST, "PEER_LOST after {:?}", lost.longest());
    // Other scenes play at the same time, and more threads than processors wait for their turn.
    let late = after_death.later_than(PROMISED);
    assert!(
        late <= rounds / 250,
        "{late} losses were told later than {PROMISED:?} after the death"
    );
    tell_reconnections(&tale);
    Ok(())
}

/// How long it took from one loss to the next connection, of survivors that found a next producer.
fn tell_reconnections(tale: &Tale) {
    let mut durations = Durations::default();
    let mut losses: Vec<Instant> = tale.seen.iter().filter_map(|seen| seen.lost).collect();
    losses.sort();
    for seen in &tale.seen {
        let before = losses.partition_point(|lost| *lost < seen.connected);
        if before > 0 {
            durations.add(seen.connected - losses[before - 1]);
        }
    }
    println!("result: connected to the next producer after {}", durations.text());
}

fn producer_in_handshake(place: &Place) -> Played {
    let rounds = times(1000);
    let start = Instant::now();
    let tale = massacre(place, "kill/shaking_producers", rounds, |progress, random| {
        let connections = random.below(2) * (1 + random.below(3));
        let connected = || progress.begun.load(Ordering::SeqCst) >= connections;
        eventually("the victim has connections", connected);
        random.pause(Duration::from_millis(2));
    });
    let mut lost = Durations::default();
    for seen in &tale.seen {
        if let (Some(at), Some((_, killed))) = (seen.lost, tale.killed.get(&seen.process)) {
            lost.add(at.saturating_duration_since(killed.at));
        }
    }
    println!(
        "result: {rounds} producers killed in {:.1?}, {} connections, PEER_LOST after {}",
        start.elapsed(),
        tale.seen.len(),
        lost.text()
    );
    assert!(tale.seen.len() > rounds / 4, "only {} connections", tale.seen.len());
    assert!(lost.longest() < LONGEST, "PEER_LOST after {:?}", lost.longest());
    Ok(())
}

/// The harness can fail: a frame more or less than was published is found.
fn finds_a_lost_frame(place: &Place) -> Played {
    let mut tale = massacre(place, "kill/producers", 3, |progress, _| {
        eventually("the victim sends", || progress.done.load(Ordering::SeqCst) >= 10);
    });
    assert_eq!(complaints(&tale), Vec::<String>::new());
    let victim = tale.seen.iter().position(|seen| seen.received >= 10).unwrap();
    tale.seen[victim].received -= 3;
    assert_eq!(complaints(&tale).len(), 1, "a lost frame is not found");
    tale.seen[victim].received += 6;
    assert_eq!(complaints(&tale).len(), 1, "a doubled frame is not found");
    tale.seen.remove(victim);
    assert_eq!(complaints(&tale).len(), 1, "a survivor that saw nothing is not found");
    Ok(())
}
