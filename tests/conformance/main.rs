//! Runs every scenario of `scenarios.txt` between every ordered pair of languages: one produces, the other consumes.
//!
//! One test each, named `PRODUCER-CONSUMER/SCENARIO`: `cargo test -p lava-tests --test conformance -- c-c/order`.

mod language;
mod play;
mod scenario;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

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
