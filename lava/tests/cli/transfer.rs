//! `lava send` and `lava recv`: every byte arrives, or somebody says so.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Place, assert_code, error_text, json, text};

const SIZES: [usize; 5] = [0, 1, 40, 41, (1 << 20) + 1];

#[test]
fn a_file_arrives_when_the_receiver_starts_first() {
    for size in SIZES {
        let place = Place::new();
        let (source, bytes) = place.filled("source", size);
        let target = place.file("target");
        let mut receiver = place.start(&["recv", "files/one", "-o", text(&target)]);
        std::thread::sleep(Duration::from_millis(20));
        assert!(receiver.is_running());
        let sender = place.run(&["send", "files/one", text(&source)]);
        assert_code(&sender, 0);
        assert_code(&receiver.finish(), 0);
        assert_eq!(fs::read(&target).unwrap(), bytes, "{size}");
        assert!(!place.file("target.part").exists());
        assert_eq!(place.sockets(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_file_arrives_when_the_sender_starts_first() {
    for size in SIZES {
        let place = Place::new();
        let (source, bytes) = place.filled("source", size);
        let sender = place.start(&["send", "one", text(&source)]);
        place.wait_channel("one", 0);
        let receiver = place.run(&["recv", "one"]);
        assert_code(&receiver, 0);
        assert_code(&sender.finish(), 0);
        assert_eq!(receiver.stdout, bytes, "{size}");
    }
}

#[test]
fn a_pipe_arrives_as_it_is_written() {
    for size in SIZES {
        let place = Place::new();
        let (_, bytes) = place.filled("source", size);
        let receiver = place.start(&["recv", "pipe"]);
        let mut sender = place.start_fed(&["send", "pipe"]);
        let (first, second) = bytes.split_at(size / 3);
        sender.feed(first);
        sender.feed(second);
        assert_code(&sender.finish(), 0);
        let receiver = receiver.finish();
        assert_code(&receiver, 0);
        assert_eq!(receiver.stdout, bytes, "{size}");
    }
}

#[test]
fn frames_of_every_size_and_one_slot_will_do() {
    for frame_size in ["1", "32", "33", "40", "41", "4096", "1MiB"] {
        let place = Place::new();
        let (source, bytes) = place.filled("source", 1000);
        let sender = place.start(&[
            "send",
            "a",
            text(&source),
            "--frame-size",
            frame_size,
            "--capacity",
            "1",
        ]);
        let receiver = place.run(&["recv", "a", "--require", "shm", "--max-copies", "0"]);
        assert_code(&sender.finish(), 0);
        assert_code(&receiver, 0);
        assert_eq!(receiver.stdout, bytes, "{frame_size}");
    }
}

#[test]
fn every_receiver_gets_everything() {
    let place = Place::new();
    let (source, bytes) = place.filled("source", 3_000_000);
    let receivers: Vec<_> = (0..3)
        .map(|number| place.file(&format!("target{number}")))
        .map(|target| (place.start(&["recv", "many", "-o", text(&target), "--json"]), target))
        .collect();
    let sender = place.run(&[
        "send",
        "many",
        text(&source),
        "--receivers",
        "3",
        "--frame-size",
        "64KiB",
        "--json",
    ]);
    assert_code(&sender, 0);
    let sent = json(&sender);
    assert_eq!(sent["bytes"], 3_000_000);
    assert_eq!(sent["receivers"].as_array().unwrap().len(), 3);
    assert_eq!(sent["receivers"][0]["transport"], "shm");
    for (receiver, target) in receivers {
        let output = receiver.finish();
        assert_code(&output, 0);
        let received = json(&output);
        assert_eq!(received["checksum"], sent["checksum"]);
        assert_eq!(received["connection"]["copies"], 0);
        assert_eq!(fs::read(target).unwrap(), bytes);
    }
}

#[test]
fn a_sender_that_dies_is_told_with_what_arrived() {
    let place = Place::new();
    let target = place.file("target");
    let receiver = place.start(&["recv", "dies", "-o", text(&target)]);
    let mut sender = place.start_fed(&["send", "dies"]);
    sender.feed(&[7; 1000]);
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while fs::read(place.file("target.part")).unwrap_or_default().len() < 1000 {
        assert!(std::time::Instant::now() < deadline, "nothing arrives");
        std::thread::sleep(Duration::from_millis(2));
    }
    sender.signal(Signal::KILL);
    let output = receiver.finish();
    assert_code(&output, 1);
    assert!(error_text(&output).contains("1000 B were received"), "{}", error_text(&output));
    assert!(!target.exists());
    assert_eq!(fs::read(place.file("target.part")).unwrap(), [7; 1000]);
}

#[test]
fn a_sender_that_is_interrupted_leaves_nothing_and_tells_its_receiver() {
    let place = Place::new();
    let receiver = place.start(&["recv", "stops"]);
    let mut sender = place.start_fed(&["send", "stops"]);
    place.wait_channel("stops", 1);
    sender.signal(Signal::INT);
    let sender = sender.ended();
    assert_code(&sender, 1);
    assert!(error_text(&sender).contains("interrupted"), "{}", error_text(&sender));
    let receiver = receiver.finish();
    assert_code(&receiver, 1);
    assert!(error_text(&receiver).contains("before the end"), "{}", error_text(&receiver));
    assert_eq!(place.sockets(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_sender_whose_receivers_die_fails() {
    let place = Place::new();
    let mut receiver = place.start(&["recv", "lonely", "-o", "/dev/null"]);
    let mut sender = place.start_fed(&["send", "lonely"]);
    sender.feed(b"some");
    place.wait_channel("lonely", 1);
    receiver.signal(Signal::KILL);
    place.wait_channel("lonely", 0);
    // More than the pipe holds would block the test if the sender did not notice.
    sender.feed(&[1; 4096]);
    let output = sender.finish();
    assert_code(&output, 1);
    assert!(error_text(&output).contains("every receiver went away"), "{}", error_text(&output));
}

#[test]
fn waiting_ends_with_the_timeout() {
    let place = Place::new();
    let receiver = place.run(&["recv", "nobody", "--timeout", "150ms"]);
    assert_code(&receiver, 1);
    assert!(error_text(&receiver).contains("nobody"), "{}", error_text(&receiver));
    let sender = place.run(&["send", "nobody", "--timeout", "150ms"]);
    assert_code(&sender, 1);
    assert!(error_text(&sender).contains("0 of 1 receivers"), "{}", error_text(&sender));
    let (mut sender, receiver) = (
        place.start_fed(&["send", "silent"]),
        place.start(&["recv", "silent", "--timeout", "300ms"]),
    );
    place.wait_channel("silent", 1);
    let receiver = receiver.finish();
    assert_code(&receiver, 1);
    assert!(error_text(&receiver).contains("does not go on"), "{}", error_text(&receiver));
    assert!(sender.is_running());
}

#[test]
fn a_transport_that_cannot_be_had_is_refused_with_the_reason() {
    let place = Place::new();
    let (source, _) = place.filled("source", 10);
    let mut sender = place.start(&["send", "picky", text(&source)]);
    place.wait_channel("picky", 0);
    let receiver = place.run(&["recv", "picky", "--require", "vulkan,mpi"]);
    assert_code(&receiver, 1);
    assert!(error_text(&receiver).contains("vulkan"), "{}", error_text(&receiver));
    assert!(sender.is_running());
    assert_code(&place.run(&["recv", "picky", "-o", "/dev/null"]), 0);
    assert_code(&sender.finish(), 0);
}

#[test]
fn a_name_belongs_to_one_sender() {
    let place = Place::new();
    let _first = place.start_fed(&["send", "taken"]);
    place.wait_channel("taken", 0);
    let second = place.run(&["send", "taken"]);
    assert_code(&second, 1);
    assert!(error_text(&second).contains("taken"), "{}", error_text(&second));
}

#[test]
fn a_reader_that_goes_away_is_a_failure_and_no_panic() {
    let place = Place::new();
    let (source, _) = place.filled("source", 1 << 20);
    let receiver = place.start_unread(&["recv", "unread"]);
    let sender = place.run(&["send", "unread", text(&source), "--frame-size", "4KiB"]);
    let receiver = receiver.finish();
    assert_code(&receiver, 1);
    assert!(error_text(&receiver).contains("standard output"), "{}", error_text(&receiver));
    assert_code(&sender, 1);
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let place = Place::new();
    let (source, _) = place.filled("source", 10);
    let sender = place.start(&["send", "device", text(&source)]);
    assert_code(&place.run(&["recv", "device", "-o", "/dev/null"]), 0);
    assert_code(&sender.finish(), 0);
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}
