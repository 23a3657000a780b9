//! Runs every scenario of `scenarios.txt` between every ordered pair of languages: one produces, the other consumes.
//!
//! With `LAVA_PLUGIN_DIR` also over MPI, the two as ranks that take each other for remote: `openmpi/c-rust/order`.
//!
//! One test each, named `PRODUCER-CONSUMER/SCENARIO`: `cargo test -p lava-tests --test conformance -- c-c/order`.

mod job;
mod language;
mod play;
mod scenario;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use job::Mpi;
use language::Language;
use play::Outcome;
use scenario::Scenario;

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
        trials.extend(scenarios.iter().map(|scenario| remote(scenario, mpi, &languages)));
    }
    trials.push(Trial::test("harness/finds_faults", || Ok(play::find_faults()?)));
    libtest_mimic::run(&arguments, trials).exit();
}

/// Whether the language's program has exactly the scenarios of the list.
fn complete(language: &Language, scenarios: &[Scenario]) -> Trial {
    let wanted: Vec<_> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let language = language.clone();
    Trial::ignorable_test(format!("{}/complete", language.name), move || {
        let Some(program) = &language.program else {
            return Ok(Completion::ignored_with(language.missing));
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
        let (Some(first), Some(second)) = (&producer.program, &consumer.program) else {
            let missing =
                if producer.program.is_none() { producer.missing } else { consumer.missing };
            return Ok(Completion::ignored_with(missing));
        };
        match play::play(&scenario, first, second)? {
            Outcome::Passed => Ok(Completion::Completed),
            Outcome::Skipped(why) => Ok(Completion::ignored_with(why)),
        }
    })
}

/// A scenario over MPI, between two languages; with the other MPI they change parts.
fn remote(scenario: &Scenario, mpi: Mpi, languages: &[Language]) -> Trial {
    let there: Vec<_> = languages.iter().filter(|one| one.program.is_some()).cloned().collect();
    let (first, last) = (there.first().cloned(), there.last().cloned());
    let (producer, consumer) = if mpi == Mpi::OpenMpi { (first, last) } else { (last, first) };
    let name_of = |language: &Option<Language>| language.as_ref().map_or("none", |one| one.name);
    let pair = format!("{}-{}", name_of(&producer), name_of(&consumer));
    let scenario = scenario.clone();
    let name = format!("{}/{pair}/{}", mpi.name(), scenario.name);
    Trial::ignorable_test(name, move || {
        if let Some(why) = mpi.leaves_out(&scenario.name) {
            return Ok(Completion::ignored_with(why));
        }
        let program = |language: Option<Language>| language.and_then(|one| one.program);
        let (Some(first), Some(second)) = (program(producer), program(consumer)) else {
            return Ok(Completion::ignored_with("no programs"));
        };
        match play::play_remote(&scenario, mpi, &first, &second)? {
            Outcome::Passed => Ok(Completion::Completed),
            Outcome::Skipped(why) => Ok(Completion::ignored_with(why)),
        }
    })
}
