//! Arguments, help and exit codes.

use crate::support::{Place, assert_code, error_text, json, text};

#[test]
fn help_and_version_are_no_failures() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    assert_code(&help, 0);
    let help = String::from_utf8(help.stdout).unwrap();
    for command in ["demo", "send", "recv", "info", "ls", "perf"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        assert_code(&place.run(&[command, "--help"]), 0);
    }
    assert!(!help.contains("perf-peer") && !help.contains("demo-consumer"), "{help}");
    let version = place.run(&["--version"]);
    assert_code(&version, 0);
    assert_eq!(version.stdout, format!("lava {}\n", env!("CARGO_PKG_VERSION")).into_bytes());
}

#[test]
fn wrong_arguments_are_exit_code_2_and_say_why() {
    let place = Place::new();
    for (arguments, word) in [
        (&["fly"][..], "fly"),
        (&["send"], "NAME"),
        (&["send", "a", "--frame-size", "big"], "big"),
        (&["send", "a", "--frame-size", "0"], "at least 1"),
        (&["send", "a", "--receivers", "65"], "65"),
        (&["send", "a", "--require", "carrier-pigeon"], "carrier-pigeon"),
        (&["send", "no such channel name!", "/dev/null"], "name"),
        (&["send", "a", "/"], "directory"),
        (&["recv", "a", "--timeout", "5"], "5"),
        (&["recv", "a", "--json"], "standard output"),
        (&["ls", "--watch", "--json"], "--watch"),
        (&["perf", "--rows", "nonsense"], "nonsense"),
        (&["perf", "--cpus", "123456"], "123456"),
        (&["demo", "--consumers", "0"], "0"),
        (&["demo", "--device", "gpu0"], "UUID"),
        (&["recv", "a", "--memory", "huge"], "huge"),
        (&["perf", "--memory", "device", "--rows", "latency"], "latency"),
        (&["perf", "--memory", "device", "--sizes", "8"], "--sizes"),
        (&["demo-consumer", "a", "--parent", "1"], "lava itself"),
    ] {
        let output = place.run(arguments);
        assert_code(&output, 2);
        assert!(error_text(&output).contains(word), "{arguments:?}: {}", error_text(&output));
    }
}

#[test]
fn no_arguments_are_wrong_and_show_help() {
    let output = Place::new().run::<&str>(&[]);
    assert_code(&output, 2);
    assert!(error_text(&output).contains("Usage:"), "{}", error_text(&output));
}

#[test]
fn what_fails_is_exit_code_1_and_json_too() {
    let place = Place::new();
    let output = place.run(&["send", "a", "/no/such/file", "--json"]);
    assert_code(&output, 1);
    let message = json(&output)["error"].as_str().unwrap().to_owned();
    assert!(message.contains("/no/such/file"), "{message}");
    assert!(error_text(&output).contains(&message));
}

#[test]
fn an_unusable_runtime_directory_is_wrong_use_and_named() {
    let place = Place::new();
    let (file, _) = place.filled("file", 1);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lava"))
        .arg("ls")
        .env("LAVA_RUNTIME_DIR", &file)
        .output()
        .unwrap();
    assert_code(&output, 2);
    assert!(error_text(&output).contains(text(&file)), "{}", error_text(&output));
}
