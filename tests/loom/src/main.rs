//! Model checks: every interleaving (within a bound of preemptions) and every value that a weakly ordered load may
//! give, for small cases of the rings and the wake-up protocol. `tests/stages/loom.sh` runs it, and shows by seeded
//! faults that each check can fail.
//!
//! The files of `lava-sys` are compiled as they are; `sync` gives them loom's atomics. Loom takes accesses that are
//! SeqCst as acquire and release, and models fences, which is what the files use.
#![allow(non_camel_case_types, reason = "types have the names that they have in C")]
#![allow(dead_code, unused_imports, reason = "only a part of the included files is used")]

#[path = "../../../lava-sys/src/error.rs"]
mod error;
#[path = "../../../lava-sys/src/sync.rs"]
mod sync;
mod transport;
#[path = "../../../lava-sys/src/types/mod.rs"]
mod types;
#[path = "../../../lava-sys/src/wire/mod.rs"]
mod wire;

#[cfg(loom)]
mod alarms;
#[cfg(loom)]
mod dropping;
#[cfg(loom)]
mod frames;
#[cfg(loom)]
mod releases;
#[cfg(loom)]
mod world;

/// Runs the models whose names contain an argument, or all. Exit status 1 if one failed.
#[cfg(loom)]
fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let models = [frames::MODELS, dropping::MODELS, releases::MODELS, alarms::MODELS].concat();
    let (mut passed, mut failed) = (0, 0);
    for (name, model) in models {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part)) {
            continue;
        }
        let start = std::time::Instant::now();
        // A failed model leaves loom's state of this thread unusable, so each has its own.
        let result = std::thread::spawn(model).join();
        let outcome = if result.is_ok() { "ok" } else { "FAILED" };
        println!("model {name} ... {outcome} ({:.1} s)", start.elapsed().as_secs_f64());
        *(if result.is_ok() { &mut passed } else { &mut failed }) += 1;
    }
    println!("{passed} passed, {failed} failed, 0 skipped");
    std::process::exit(i32::from(failed > 0 || passed == 0));
}

#[cfg(not(loom))]
fn main() {
    eprintln!("build this with RUSTFLAGS=\"--cfg loom\": see tests/stages/loom.sh");
    std::process::exit(2);
}
