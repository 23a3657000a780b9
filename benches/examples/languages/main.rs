//! What a language costs: the same calls of one `liblava.so` from C, C++ and Rust, and the same ping-pong between two
//! processes of each, in rounds that alternate.
//!
//! `cargo run --release -p lava-benches --example languages -- PREFIX [ROUNDS]`, where PREFIX is an installed lava
//! (doc/install.md, with `-DCMAKE_BUILD_TYPE=Release`). The programs are compiled with `cc -O2` and `c++ -O2`.
//!
//! Targets: a call from C within 5 ns of the same from Rust; the ping-pong in C++ within 3 % of that in C.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark fails by panicking"
)]

mod library;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use library::{Calls, Library, open, ping, pong};

const CALLS: [&str; 4] =
    ["lava_abi_version", "lava_frame_size", "lava_frame_data", "send, receive, release"];
const CALL_COUNT: u64 = 200_000;
const TRIP_COUNT: u64 = 20_000;

/// A process that measures on order.
struct Part {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Part {
    fn start(program: &Path, arguments: &[&str], runtime: &Path, cpu: usize) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", &cpu.to_string()]).arg(program).args(arguments);
        command.env("LAVA_RUNTIME_DIR", runtime).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("taskset runs");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("piped"));
        Self { child, input, output: BufReader::new(output) }
    }

    /// Nanoseconds of one, of so many.
    fn time(&mut self, name: &str, count: u64) -> f64 {
        let name = name.split(',').next().unwrap_or(name);
        writeln!(self.input.as_mut().expect("open"), "{name} {count}").expect("it runs");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        line.trim().parse().expect("nanoseconds")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

fn compile(compiler: &str, source: &str, prefix: &Path, to: &Path) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/languages");
    let program = to.join(source.replace('.', "_"));
    let library = prefix.join("lib");
    let mut command = Command::new(compiler);
    command.arg("-O2").arg(here.join(source)).arg("-o").arg(&program);
    command.arg(format!("-I{}", prefix.join("include").display()));
    command.arg(format!("-L{}", library.display())).arg("-llava");
    command.arg(format!("-Wl,-rpath,{}", library.display()));
    assert!(command.status().expect("a compiler").success(), "{command:?}");
    program
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare_calls(programs: &[PathBuf; 2], library: &Path, runtime: &Path, rounds: usize) {
    let [mut c, mut cpp] =
        programs.each_ref().map(|program| Part::start(program, &["calls"], runtime, 0));
    // SAFETY: no other thread of this process reads the environment.
    unsafe { std::env::set_var("LAVA_RUNTIME_DIR", runtime.join("rust")) };
    let mut rust = Calls::new(Library::open(library).expect("liblava.so"));
    println!(
        "{:24} {:>9} {:>9} {:>9} {:>12} {:>12}",
        "ns a call", "C", "C++", "Rust", "C - Rust", "C++ - C"
    );
    for name in CALLS {
        let mut times: [Vec<f64>; 5] = Default::default();
        for _ in 0..rounds {
            let (a, b, d) =
                (c.time(name, CALL_COUNT), cpp.time(name, CALL_COUNT), rust.time(name, CALL_COUNT));
            for (list, value) in times.iter_mut().zip([a, b, d, a - d, b - a]) {
                list.push(value);
            }
        }
        let [a, b, d, to_rust, to_c] = times.each_mut().map(|list| median(list));
        println!("{name:24} {a:9.2} {b:9.2} {d:9.2} {to_rust:12.2} {to_c:12.2}");
    }
}

fn compare_trips(programs: &[PathBuf; 2], runtime: &Path, rounds: usize) {
    let rust = std::env::current_exe().expect("this program");
    let programs = [&programs[0], &programs[1], &rust];
    let mut pairs: Vec<_> = programs
        .iter()
        .enumerate()
        .map(|(number, program)| {
            let channel = format!("trip{number}");
            let first = Part::start(program, &["ping", &channel], runtime, 0);
            (first, Part::start(program, &["pong", &channel], runtime, 1))
        })
        .collect();
    let mut times: [Vec<f64>; 5] = Default::default();
    for _ in 0..rounds {
        let round: Vec<f64> =
            pairs.iter_mut().map(|(first, _)| first.time("trip", TRIP_COUNT)).collect();
        let ratios = [round[1] / round[0], round[2] / round[0]];
        for (list, value) in times.iter_mut().zip(round.into_iter().chain(ratios)) {
            list.push(value);
        }
    }
    let [c, cpp, rust, cpp_to_c, rust_to_c] = times.each_mut().map(|list| median(list));
    println!(
        "\n{:24} {:>9} {:>9} {:>9} {:>12} {:>12}",
        "ns a round trip", "C", "C++", "Rust", "C++ / C", "Rust / C"
    );
    println!(
        "{:24} {c:9.1} {cpp:9.1} {rust:9.1} {cpp_to_c:12.3} {rust_to_c:12.3}",
        "8 B, two processes"
    );
}

fn serve(role: &str, channel: &str) -> lava::Result<()> {
    if role == "pong" {
        let (mut producer, mut consumer) = open(channel, "pong", "ping")?;
        return pong(&mut producer, &mut consumer);
    }
    let (mut producer, mut consumer) = open(channel, "ping", "pong")?;
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let count = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        println!("{}", ping(&mut producer, &mut consumer, count.expect("an order"))?);
    }
    Ok(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [role @ ("ping" | "pong"), channel] => serve(role, channel).expect("a channel"),
        [prefix] => compare(Path::new(prefix), 41),
        [prefix, rounds] => compare(Path::new(prefix), rounds.parse().expect("a number of rounds")),
        _ => panic!("usage: languages PREFIX [ROUNDS]"),
    }
}

fn compare(prefix: &Path, rounds: usize) {
    let directory = tempfile::tempdir().unwrap();
    let runtime = directory.path().join("run");
    let programs = [("cc", "program.c"), ("c++", "program.cpp")]
        .map(|(compiler, source)| compile(compiler, source, prefix, directory.path()));
    compare_calls(&programs, &prefix.join("lib/liblava.so"), &runtime.join("calls"), rounds);
    compare_trips(&programs, &runtime.join("trips"), rounds);
}
