//! `lava info` and `lava ls`.

use crate::support::{Place, assert_code, json};

#[test]
fn info_tries_every_memory_and_says_what_came_of_it() {
    let place = Place::new();
    let output = place.run(&["info", "--json", "--size", "64KiB"]);
    assert_code(&output, 0);
    let report = json(&output);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert!(report["host"]["boot_id"].as_str().unwrap().len() >= 32);
    assert!(
        report["host"]["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .any(|space| space["inode"].is_u64())
    );
    assert!(report["context"]["runtime_directory"].is_string());
    assert!(report["gpus"]["found"].is_boolean());
    assert_eq!(report["mpi"]["library"]["state"], "not begun");
    let attempts = report["memory"].as_array().unwrap();
    let names: Vec<&str> =
        attempts.iter().map(|attempt| attempt["memory"].as_str().unwrap()).collect();
    assert_eq!(names, ["standard", "numa", "huge", "pinned", "auto"]);
    for attempt in attempts {
        assert!(!attempt["reason"].as_str().unwrap().is_empty(), "{attempt}");
        assert_eq!(attempt["available"].as_bool(), Some(attempt["pages"].is_string()), "{attempt}");
    }
    assert_eq!(attempts[0]["available"], true);
    assert_eq!(attempts[4]["available"], true);
}

#[test]
fn info_for_people_has_every_section() {
    let output = Place::new().run(&["info"]);
    assert_code(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let sections = ["Host\n", "NUMA\n", "Huge pages\n", "Limits\n", "Memory, ", "GPUs\n", "MPI\n"];
    for section in
        sections.into_iter().chain(["boot id", "runtime directory", "locked memory", "open files"])
    {
        assert!(text.contains(section), "{section}: {text}");
    }
}

#[test]
fn ls_of_nothing_is_empty() {
    let place = Place::new();
    assert_eq!(place.channels().len(), 0);
    let output = place.run(&["ls", "--interval", "1ms"]);
    assert_code(&output, 0);
    assert_eq!(output.stdout, b"no channels\n");
}

#[test]
fn ls_shows_channels_with_their_consumers_and_rates() {
    let place = Place::new();
    let mut sender =
        place.start_fed(&["send", "seen/a", "--frame-size", "64KiB", "--capacity", "3"]);
    place.wait_channel("seen/a", 0);
    let _other = place.start_fed(&["send", "seen/b"]);
    place.wait_channel("seen/b", 0);
    let _receiver = place.start(&["recv", "seen/a", "-o", "/dev/null"]);
    let channel = place.wait_channel("seen/a", 1);
    assert_eq!(channel["capacity"], 3);
    assert_eq!(channel["max_frame_size"], 65536);
    assert_eq!(channel["connections"][0]["transport"], "shm");
    let listing = place.start(&["ls", "--json", "--interval", "300ms"]);
    // Frames while `ls` takes its two lists.
    for _ in 0..60 {
        sender.feed(&[1; 100]);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let listing = listing.finish();
    assert_code(&listing, 0);
    let channels = json(&listing);
    assert_eq!(channels[0]["name"], "seen/a");
    assert_eq!(channels[1]["name"], "seen/b");
    assert!(channels[0]["frames_per_second"].as_f64().unwrap() > 0.0, "{channels}");
    assert_eq!(channels[1]["frames_per_second"], 0.0);
    let table = String::from_utf8(place.run(&["ls", "--interval", "1ms"]).stdout).unwrap();
    assert!(
        table.lines().any(|line| line.starts_with("seen/a") && line.contains("shm")),
        "{table}"
    );
    assert!(
        table.lines().any(|line| line.starts_with("seen/b") && line.contains("none")),
        "{table}"
    );
}

#[test]
fn a_watch_ends_with_ctrl_c() {
    let place = Place::new();
    let mut watch = place.start(&["ls", "--watch", "--interval", "10ms"]);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(watch.is_running());
    watch.signal(rustix::process::Signal::INT);
    let output = watch.finish();
    assert_code(&output, 0);
}

#[test]
fn a_report_that_nobody_reads_is_no_panic() {
    let place = Place::new();
    for arguments in [&["info"][..], &["info", "--json"], &["ls", "--json"], &["--help"]] {
        let output = place.start_unread(arguments).finish();
        assert_code(&output, 0);
        assert_eq!(output.stderr, b"", "{arguments:?}");
    }
}
