//! The list of scenarios.

use lava_tests::root;

/// One line of `scenarios.txt`.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// How many consumer processes take part.
    pub(crate) consumers: usize,
}

/// All of them, in the file's order.
pub(crate) fn list() -> Vec<Scenario> {
    let file = root().join("tests/conformance/scenarios.txt");
    let text = std::fs::read_to_string(&file).expect("tests/conformance/scenarios.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            parse(line).unwrap_or_else(|| panic!("not `NAME CONSUMERS DESCRIPTION`: {line}"))
        })
        .collect()
}

fn parse(line: &str) -> Option<Scenario> {
    let mut words = line.split_whitespace();
    let (name, consumers) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    words.next().map(|_| Scenario { name, consumers })
}
