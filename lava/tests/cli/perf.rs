//! `lava perf`: what it measures has the right shape; how fast this machine is, is no matter of a test.

use std::fs;

use crate::support::{Place, assert_code, json, text, wait_gone};

const SHORT: [&str; 5] = ["perf", "--rounds", "2", "--round-time", "1ms"];

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn every_kind_of_row_is_measured_against_its_limit() {
    let place = Place::new();
    let (csv, plot) = (place.file("rows.csv"), place.file("rows.svg"));
    let more = ["--sizes", "8,64,64KiB", "--csv", text(&csv), "--plot", text(&plot), "--json"];
    let output = place.run(&[&SHORT[..], &more].concat());
    assert_code(&output, 0);
    let report = json(&output);
    let rows = report["rows"].as_array().unwrap();
    for row in rows {
        for side in ["lava", "limit"] {
            let of = |name: &str| row[side][name].as_f64().unwrap();
            assert!(0.0 < of("p50") && of("p50") <= of("p99") && of("p99") <= of("p999"), "{row}");
        }
        assert!(row["time_ratio"].as_f64().unwrap() > 0.0, "{row}");
    }
    let groups: Vec<&str> = rows.iter().map(|row| row["group"].as_str().unwrap()).collect();
    let expected: &[&str] = if processors() == 1 {
        println!("skipped: rows of two processes that spin need two processors");
        &["wake"]
    } else {
        &["latency", "zero-copy", "in-place", "copy", "send-bytes", "stream", "wake", "consumers"]
    };
    for group in expected {
        assert!(groups.contains(group), "{group}: {groups:?}");
    }
    assert!(!report["targets"].as_array().unwrap().is_empty());
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), rows.len() + 1);
    let picture = fs::read_to_string(&plot).unwrap();
    assert!(
        picture.starts_with("<svg ") && picture.ends_with("</svg>\n") && !picture.contains("NaN")
    );
    assert_eq!(place.sockets(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_table_ends_with_the_targets() {
    let output = Place::new().run(&[&SHORT[..], &["--rows", "wake,idle"]].concat());
    assert_code(&output, 0);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("bare futex"), "{table}");
    let verdicts = table.lines().filter(|line| line.ends_with("pass") || line.ends_with("FAIL"));
    assert_eq!(verdicts.count(), 4, "{table}");
}

#[test]
fn ctrl_c_ends_the_measurement_and_leaves_nothing() {
    let place = Place::new();
    let mut perf = place.start(&["perf", "--rounds", "100000"]);
    let children = perf.wait_children(2);
    // Rounds begin once the channels are open.
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while place.sockets().is_empty() {
        assert!(std::time::Instant::now() < deadline, "no channels");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    perf.signal(rustix::process::Signal::INT);
    assert_code(&perf.finish(), 1);
    children.into_iter().for_each(wait_gone);
    assert_eq!(place.sockets(), Vec::<std::path::PathBuf>::new());
}
