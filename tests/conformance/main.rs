//! Runs every scenario of `scenarios.txt` between every ordered pair of languages: one produces, the other consumes. C and
//! C++ run under AddressSanitizer and UndefinedBehaviorSanitizer, and some of C's scenarios under valgrind.
//!
//! With `LAVA_PLUGIN_DIR` also over MPI, the two as ranks that take each other for remote: `mpi/openmpi/c-rust/order`. There
//! each scenario is played by one pair of languages, the next one by the next pair, and by all with `LAVA_TESTS=soak`.
//!
//! One test each, named `PRODUCER-CONSUMER/SCENARIO`: `cargo test -p lava-tests --test conformance -- c-cpp/order`.

mod job;
mod language;
mod play;
mod scenario;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use job::Mpi;
use language::Language;
use play::Outcome;
use scenario::Scenario;

/// Scenarios that together take every path by which memory is given out and given back. All of them would take minutes.
const UNDER_VALGRIND: [&str; 6] =
    ["sizes", "tensor", "batch_loans", "send_buffer", "event_fd", "describe"];

fn main() {
    let arguments = Arguments::from_args();
    let scenarios = scenario::list();
    let languages = language::all();
    let mut trials: Vec<_> =
        languages.iter().map(|language| complete(language, &scenarios)).collect();
    for producer in &languages {
        for consumer in &languages {
            trials.extend(scenarios.iter().map(|scenario| trial(scenario, producer, consumer)));
        }
    }
    for mpi in Mpi::all() {
        for (at, scenario) in scenarios.iter().enumerate() {
            trials.extend(pairs(mpi, at).iter().map(|pair| remote(scenario, mpi, pair)));
        }
    }
    let valgrind = language::valgrind();
    let some = scenarios.iter().filter(|some| UNDER_VALGRIND.contains(&some.name.as_str()));
    trials.extend(some.map(|scenario| trial(scenario, &valgrind, &valgrind)));
    trials.push(Trial::test("harness/finds_faults", || Ok(play::find_faults()?)));
    libtest_mimic::run(&arguments, trials).exit();
}

/// Whether the language's program has exactly the scenarios of the list.
fn complete(language: &Language, scenarios: &[Scenario]) -> Trial {
    let wanted: Vec<_> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let language = language.clone();
    Trial::ignorable_test(format!("{}/complete", language.name), move || {
        let program = match language.command() {
            Ok(program) => program,
            Err(missing) => return Ok(Completion::ignored_with(missing)),
        };
        let found = language::scenarios_of(program)?;
        let missing: Vec<_> = wanted.iter().filter(|name| !found.contains(name)).collect();
        let unknown: Vec<_> = found.iter().filter(|name| !wanted.contains(name)).collect();
        if missing.is_empty() && unknown.is_empty() {
            return Ok(Completion::Completed);
        }
        Err(Failed::from(format!("missing: {missing:?}; not in scenarios.txt: {unknown:?}")))
    })
}

fn trial(scenario: &Scenario, producer: &Language, consumer: &Language) -> Trial {
    let (scenario, producer, consumer) = (scenario.clone(), producer.clone(), consumer.clone());
    let name = format!("{}-{}/{}", producer.name, consumer.name, scenario.name);
    Trial::ignorable_test(name, move || {
        for language in [&producer, &consumer] {
            if let Err(missing) = language.command() {
                return Ok(Completion::ignored_with(missing));
            }
        }
        match play::play(&scenario, &producer, &consumer)? {
            Outcome::Passed => Ok(Completion::Completed),
            Outcome::Skipped(why) => Ok(Completion::ignored_with(why)),
        }
    })
}

/// Who plays the scenario with this number, unsanitized: MPI's own memory is not looked at. With another MPI another pair.
fn pairs(mpi: Mpi, scenario: usize) -> Vec<[Language; 2]> {
    let languages = language::unsanitized();
    let pairs: Vec<[Language; 2]> = languages
        .iter()
        .flat_map(|producer| languages.iter().map(|consumer| [producer.clone(), consumer.clone()]))
        .collect();
    if std::env::var("LAVA_TESTS").is_ok_and(|length| length == "soak") {
        return pairs;
    }
    let first = if mpi == Mpi::OpenMpi { 0 } else { pairs.len() / 2 };
    vec![pairs[(first + scenario) % pairs.len()].clone()]
}

/// A scenario over MPI.
fn remote(scenario: &Scenario, mpi: Mpi, [producer, consumer]: &[Language; 2]) -> Trial {
    let (scenario, producer, consumer) = (scenario.clone(), producer.clone(), consumer.clone());
    let name = format!("mpi/{}/{}-{}/{}", mpi.name(), producer.name, consumer.name, scenario.name);
    Trial::ignorable_test(name, move || {
        if let Some(why) = mpi.leaves_out(&scenario.name) {
            return Ok(Completion::ignored_with(why));
        }
        let (Some(first), Some(second)) = (producer.program(), consumer.program()) else {
            return Ok(Completion::ignored_with("no gcc or no g++: install them"));
        };
        match play::play_remote(&scenario, mpi, first, second)? {
            Outcome::Passed => Ok(Completion::Completed),
            Outcome::Skipped(why) => Ok(Completion::ignored_with(why)),
        }
    })
}
