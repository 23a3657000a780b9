//! Every function says Ownership, Threads, Blocks, Returns and Since, in this order and in fixed wording.

use crate::header::{self, Function};

const LINES: [&str; 5] = ["Ownership:", "Threads:", "Blocks:", "Returns:", "Since:"];

/// Which threads may call a function. Extend it only if none of these is true of a new function.
const THREADS: [&str; 8] = [
    "any thread.",
    "any thread, but the handle must not be in use.",
    "any thread, also while another receives.",
    "any thread; the caller orders its own accesses.",
    "any thread; the caller orders accesses to the same bytes.",
    "one thread at a time per producer.",
    "one thread at a time per consumer.",
    "one thread at a time per frame.",
];

/// How the line on blocking begins.
const BLOCKS: [&str; 6] = ["never.", "for ", "up to ", "until ", "as `lava_", "policy block: "];

fn check(function: &Function) -> Result<(), String> {
    let fail = |what: String| Err(format!("{}: {what}", function.name));
    let comment = &function.comment;
    if comment.iter().find(|line| !line.is_empty()).is_none_or(|line| is_labelled(line)) {
        return fail("no sentence says what it does".to_owned());
    }
    let labels: Vec<_> = comment.iter().filter(|line| is_labelled(line)).collect();
    let names: Vec<_> = labels.iter().filter_map(|line| line.split_whitespace().next()).collect();
    if names != LINES {
        return fail(format!("has the lines {names:?}, must have {LINES:?}"));
    }
    let value = |index: usize| labels[index][LINES[index].len()..].trim();
    if (0..LINES.len()).any(|index| value(index).is_empty()) {
        return fail("has an empty line".to_owned());
    }
    if !THREADS.contains(&value(1)) {
        return fail(format!("Threads: `{}` is not one of {THREADS:#?}", value(1)));
    }
    if !BLOCKS.iter().any(|start| value(2).starts_with(start)) {
        return fail(format!("Blocks: `{}` begins with none of {BLOCKS:?}", value(2)));
    }
    if !is_released(value(4)) {
        return fail(format!(
            "Since: `{}` is not a version up to {}",
            value(4),
            env!("CARGO_PKG_VERSION")
        ));
    }
    Ok(())
}

fn is_labelled(line: &str) -> bool {
    LINES.iter().any(|label| line.starts_with(label))
}

/// Whether `text` is `MAJOR.MINOR` of this version or an earlier one.
fn is_released(text: &str) -> bool {
    let number = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.split('.').next()?.parse::<u32>().ok()?))
    };
    text.matches('.').count() == 1
        && number(text).is_some_and(|since| Some(since) <= number(env!("CARGO_PKG_VERSION")))
}

#[test]
fn every_function_has_its_lines() {
    let wrong: Vec<_> =
        header::functions().iter().filter_map(|function| check(function).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_missing_or_free_line_is_found() {
    let good = [
        "",
        "Does it.",
        "",
        "Ownership: nothing is passed.",
        "Threads:   any thread.",
        "Blocks:    never.",
        "Returns:   nothing.",
        "Since:     0.1",
    ];
    let with = |index: usize, line: &str| {
        let mut comment = good.map(str::to_owned).to_vec();
        comment[index] = line.to_owned();
        Function {
            name: "lava_frame_do".into(),
            returns: "void".into(),
            parameters: Vec::new(),
            comment,
        }
    };
    assert_eq!(check(&with(0, "")), Ok(()));
    for (index, line) in [
        (1, ""),
        (3, ""),
        (4, "Threads:   mostly any."),
        (5, "Blocks:    sometimes."),
        (5, "Threads:   any thread."),
        (6, "Returns:"),
        (7, "Since:     99.0"),
        (7, "Since:     soon"),
    ] {
        assert!(check(&with(index, line)).is_err(), "`{line}` in line {index} passed");
    }
}
