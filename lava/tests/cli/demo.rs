//! `lava demo`.

use rustix::process::Signal;

use crate::support::{Place, Running, assert_code, error_text, json, text, wait_gone};

#[test]
fn the_demo_verifies_every_byte_at_every_consumer() {
    let place = Place::new();
    let output = place.run(&["demo", "--size", "5MB", "--frame-size", "64KiB", "--json"]);
    assert_code(&output, 0);
    let report = json(&output);
    assert_eq!(report["verified"], true);
    assert_eq!(report["bytes"], 5_000_000);
    let consumers = report["consumers"].as_array().unwrap();
    assert_eq!(consumers.len(), 2);
    for consumer in consumers {
        assert_eq!(consumer["checksum"], report["checksum"]);
        assert_eq!(consumer["bytes"], 5_000_000);
        assert_eq!(consumer["frames"], 77);
        assert_eq!((&consumer["transport"], &consumer["copies"]), (&"shm".into(), &0.into()));
        assert!(!consumer["reason"].as_str().unwrap().is_empty());
        let p50 = consumer["latency"]["p50"].as_f64().unwrap();
        assert!(p50 > 0.0 && p50 <= consumer["latency"]["p99"].as_f64().unwrap());
    }
    assert_eq!(place.sockets(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_demo_streams_a_file_of_the_users_once() {
    let place = Place::new();
    let (file, bytes) = place.filled("file", 100_001);
    let output = place.run(&[
        "demo",
        text(&file),
        "--frame-size",
        "1000",
        "--capacity",
        "2",
        "--consumers",
        "3",
    ]);
    assert_code(&output, 0);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        table.lines().filter(|line| line.starts_with("process ") && line.contains(" ok ")).count(),
        3,
        "{table}"
    );
    assert!(table.contains("101 frames"), "{table}");
    assert_eq!(bytes.len(), 100_001);
}

#[test]
fn an_empty_or_absent_file_is_refused() {
    let place = Place::new();
    let (empty, _) = place.filled("empty", 0);
    for file in [text(&empty), "/no/such/file", "/dev/zero"] {
        let output = place.run(&["demo", file]);
        assert_code(&output, 1);
        assert!(error_text(&output).contains(file), "{}", error_text(&output));
    }
}

/// A demo that would go on for minutes, and its two consumers.
fn long_demo(place: &Place) -> (Running, Vec<u32>) {
    let mut demo = place.start(&["demo", "--size", "100TB", "--frame-size", "4KiB"]);
    let children = demo.wait_children(2);
    (demo, children)
}

#[test]
fn ctrl_c_ends_the_demo_with_its_consumers_and_leaves_nothing() {
    let place = Place::new();
    let (mut demo, children) = long_demo(&place);
    demo.signal(Signal::INT);
    let output = demo.finish();
    assert_code(&output, 1);
    assert!(error_text(&output).contains("interrupted"), "{}", error_text(&output));
    children.into_iter().for_each(wait_gone);
    assert_eq!(place.sockets(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_demo_that_is_killed_takes_its_consumers_with_it() {
    let place = Place::new();
    let (mut demo, children) = long_demo(&place);
    demo.signal(Signal::KILL);
    assert_eq!(demo.finish().status.code(), None);
    children.into_iter().for_each(wait_gone);
}
