//! GPUs: what is told of them, frames in their memory, and that everything goes on without any.

use std::fs;

use serde_json::Value;

use crate::support::{Place, assert_code, error_text, json, text};

#[test]
fn info_without_vulkan_says_why_and_how_to_mend_it() {
    let place = Place::with_vulkan("off");
    let output = place.run(&["info", "--json"]);
    assert_code(&output, 0);
    let gpus = &json(&output)["gpus"];
    assert_eq!(gpus["found"], false);
    assert!(gpus["problem"].as_str().unwrap().contains("LAVA_VULKAN"), "{gpus}");
    let table = String::from_utf8(place.run(&["info"]).stdout).unwrap();
    assert!(table.contains("GPUs\n  none"), "{table}");
}

#[test]
fn info_tries_the_capabilities_of_every_device_that_is_used() {
    let Some(place) = Place::with_gpu() else { return };
    let output = place.run(&["info", "--json"]);
    assert_code(&output, 0);
    let report = json(&output);
    let devices = report["gpus"]["devices"].as_array().unwrap();
    for device in devices {
        assert_eq!(device["used"], true, "{device}");
        assert_eq!(device["uuid"].as_str().unwrap().len(), 36, "{device}");
        assert!(device["heaps"][0]["bytes"].as_u64().unwrap() > 0, "{device}");
        let capabilities = device["capabilities"].as_array().unwrap();
        let names: Vec<&str> = capabilities.iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["shared memory", "shared timeline", "host-pointer import", "CUDA view"]);
        assert_eq!(capabilities[0]["available"], true, "{device}");
        assert!(capabilities.iter().all(|it| !it["note"].as_str().unwrap().is_empty()), "{device}");
    }
    let table = String::from_utf8(place.run(&["info"]).stdout).unwrap();
    assert!(table.contains("shared memory        ok: "), "{table}");
}

#[test]
fn the_cpu_in_disguise_is_shown_and_not_used_unless_asked_for() {
    if Place::with_gpu().is_none() {
        return;
    }
    let report = json(&Place::with_vulkan("auto").run(&["info", "--json"]));
    let devices = report["gpus"]["devices"].as_array().unwrap();
    for device in devices.iter().filter(|device| device["kind"] == "CPU") {
        assert_eq!(device["used"], false, "{device}");
        assert!(device["reason"].as_str().unwrap().contains("LAVA_VULKAN=cpu"), "{device}");
        assert_eq!(device["capabilities"].as_array().unwrap().len(), 0, "{device}");
    }
}

const DEMO: [&str; 7] = ["demo", "--memory", "device", "--size", "5MB", "--frame-size", "256KiB"];

#[test]
fn the_demo_without_a_gpu_says_so_and_goes_on() {
    let output = Place::with_vulkan("off").run(&[&DEMO[..], &["--json"]].concat());
    assert_code(&output, 0);
    let report = json(&output);
    assert_eq!(report["verified"], true);
    assert_eq!(report["memory"]["memory"], "standard");
    assert_eq!(report["consumers"][0]["transport"], "shm");
    assert!(error_text(&output).contains("no GPU memory"), "{}", error_text(&output));
}

#[test]
fn the_demo_shows_frames_on_the_gpu_and_staged() {
    let Some(place) = Place::with_gpu() else { return };
    let output = place.run(&[&DEMO[..], &["--json"]].concat());
    assert_code(&output, 0);
    let report = json(&output);
    assert_eq!(report["verified"], true);
    assert_eq!(report["memory"]["memory"], "device");
    let transports: Vec<&Value> =
        report["consumers"].as_array().unwrap().iter().map(|it| &it["transport"]).collect();
    assert_eq!(transports, ["vulkan", "staged"], "{report}");
    assert_eq!(report["consumers"][0]["copies"], 0);
    assert_eq!(report["consumers"][1]["copies"], 1);
    assert_eq!(place.sockets(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_file_arrives_through_device_memory_wherever_it_is_wanted() {
    let Some(place) = Place::with_gpu() else { return };
    for (memory, transport) in [("any", "vulkan"), ("device", "vulkan"), ("host", "staged")] {
        let (source, bytes) = place.filled("source", (1 << 20) + 41);
        let target = place.file("target");
        let receiver =
            place.start(&["recv", "gpu", "--memory", memory, "-o", text(&target), "--json"]);
        let sender = place.run(&[
            "send",
            "gpu",
            text(&source),
            "--memory",
            "device",
            "--frame-size",
            "256KiB",
            "--json",
        ]);
        let receiver = receiver.finish();
        assert_code(&receiver, 0);
        assert_code(&sender, 0);
        assert_eq!(json(&sender)["memory"]["memory"], "device");
        assert_eq!(json(&receiver)["connection"]["transport"], transport, "{memory}");
        assert_eq!(fs::read(&target).unwrap(), bytes, "{memory}");
    }
}

#[test]
fn a_receiver_without_vulkan_gets_device_frames_staged_and_is_told_why() {
    let Some(place) = Place::with_gpu() else { return };
    let (source, bytes) = place.filled("source", 100_000);
    let sender = place.start(&["send", "gpu", text(&source), "--memory", "device"]);
    place.wait_channel("gpu", 0);
    let target = place.file("target");
    let receiver =
        place.start_with_vulkan("off", &["recv", "gpu", "-o", text(&target), "--json"]).finish();
    assert_code(&receiver, 0);
    assert_code(&sender.finish(), 0);
    let connection = &json(&receiver)["connection"];
    assert_eq!(connection["transport"], "staged", "{connection}");
    let why = connection["rejected"].to_string();
    assert!(why.contains("vulkan") && why.contains("LAVA_VULKAN"), "{connection}");
    assert_eq!(fs::read(&target).unwrap(), bytes);
}

#[test]
fn gpu_memory_is_measured_or_said_to_be_skipped() {
    let Some(place) = Place::with_gpu() else { return };
    let short = ["perf", "--memory", "device", "--quick", "--rounds", "2", "--round-time", "5ms"];
    let output = place.run(&[&short[..], &["--json"]].concat());
    assert_code(&output, 0);
    let report = json(&output);
    let rows = report["rows"].as_array().unwrap();
    for row in rows {
        assert!(row["time_ratio"].as_f64().unwrap() > 0.0, "{row}");
    }
    let skipped = report["skipped"].as_array().unwrap();
    assert!(skipped.iter().all(|it| !it["why"].as_str().unwrap().is_empty()), "{report}");
    assert_eq!(skipped.len(), 0, "{report}");
    let groups: Vec<&str> = rows.iter().map(|row| row["group"].as_str().unwrap()).collect();
    for group in ["hand-off", "gpu-ready", "device-copy", "transfer", "frame-read", "staged"] {
        assert!(groups.contains(&group), "{group}: {groups:?}");
    }
    assert_eq!(report["setup"]["imports"], 1, "{report}");
    assert_eq!(report["setup"]["imports_after"], 1, "{report}");
    assert_eq!(place.sockets(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn gpu_memory_cannot_be_measured_without_a_gpu() {
    let output = Place::with_vulkan("off").run(&["perf", "--memory", "device"]);
    assert_code(&output, 1);
    assert!(error_text(&output).contains("LAVA_VULKAN"), "{}", error_text(&output));
}

#[test]
fn a_gpu_that_is_named_is_used_even_if_it_is_the_cpu_in_disguise() {
    let Some(place) = Place::with_gpu() else { return };
    let report = json(&place.run(&["info", "--json"]));
    let uuid = report["gpus"]["devices"][0]["uuid"].as_str().unwrap().to_owned();
    let place = Place::with_vulkan("auto");
    let more = ["--size", "1MB", "--json", "--device", &uuid];
    let output = place.run(&[&["demo"], &more[..]].concat());
    assert_code(&output, 0);
    let report = json(&output);
    assert_eq!(report["consumers"][0]["transport"], "vulkan", "{report}");
    assert_eq!(report["verified"], true);
    let other = ["demo", "--memory", "device", "--device", "00000000-0000-0000-0000-0000000000ff"];
    let output = place.run(&[&other[..], &["--size", "1MB", "--json"]].concat());
    assert_code(&output, 0);
    assert_eq!(json(&output)["memory"]["memory"], "standard");
    assert!(error_text(&output).contains("no GPU memory"), "{}", error_text(&output));
}
