//! The statuses that `include/lava.h` documents for each function, against those that the tests here have provoked: one that
//! is documented and was never seen is a promise that nobody has looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use lava_tests::{root, skip, succeed};

use crate::calls::RECORD;

type Statuses = BTreeMap<String, BTreeSet<String>>;

/// What every function that has a handle answers to none and to another one, whether its comment says so or not.
const OF_HANDLES: [&str; 2] = ["LAVA_ERROR_INVALID_POINTER", "LAVA_ERROR_INVALID_HANDLE"];

/// What the header's rules say that these answer in a forked child.
const FORKED: ([&str; 3], &str) = (["context", "producer", "consumer"], "LAVA_ERROR_FORKED");

/// Functions, a status, and why no test here can provoke it.
const UNPROVOKED: [(&str, &str, &str); 19] = [
    (
        "lava_buffer_import lava_consumer_create lava_consumer_receive lava_consumer_receive_many \
         lava_producer_create lava_producer_loan lava_producer_loan_many lava_producer_send_bytes \
         lava_producer_send_bytes_many",
        "LAVA_ERROR_OUT_OF_MEMORY",
        "the machine would have to be out of memory; lava_buffer_allocate is asked for too much instead",
    ),
    (
        "lava_buffer_allocate lava_buffer_import lava_consumer_create lava_consumer_get_event_fd \
         lava_location_current lava_producer_create",
        "LAVA_ERROR_OS",
        "a system call that fails as none does here",
    ),
    (
        "lava_consumer_create lava_consumer_receive lava_consumer_receive_many lava_frame_get_tensor",
        "LAVA_ERROR_PROTOCOL",
        "needs a peer that lies: tests/robustness",
    ),
    ("lava_consumer_create", "LAVA_ERROR_PERMISSION", "needs a peer of another user"),
    (
        "lava_consumer_receive lava_consumer_receive_many",
        "LAVA_ERROR_LIMIT",
        "files have to run out between two frames: tests/robustness",
    ),
    ("lava_producer_send_buffer", "LAVA_ERROR_LIMIT", "needs 2^32 buffers"),
    (
        "lava_producer_send_buffer lava_producer_send_bytes lava_producer_send_bytes_many",
        "LAVA_ERROR_FRAME_STATE",
        "they take no frame; the comments say `as lava_producer_send`",
    ),
    (
        "lava_consumer_receive lava_consumer_receive_many lava_frame_wait_ready",
        "LAVA_ERROR_DEVICE",
        "needs a GPU that fails",
    ),
    (
        "lava_buffer_get_cuda lava_frame_get_cuda lava_frame_release_cuda lava_frame_set_ready_cuda \
         lava_frame_wait_cuda",
        "LAVA_ERROR_DEVICE",
        CUDA,
    ),
    ("lava_buffer_get_cuda lava_frame_get_cuda", "LAVA_ERROR_FORKED", CUDA),
    ("lava_buffer_get_cuda lava_frame_get_cuda lava_frame_release_cuda", "LAVA_OK", CUDA),
    ("lava_frame_set_ready_cuda lava_frame_wait_cuda", "LAVA_ERROR_UNSUPPORTED", CUDA),
    ("lava_context_get_peer_count lava_context_get_peer_location", "LAVA_ERROR_LIMIT", JOB),
    ("lava_context_get_peer_count lava_context_get_peer_location", "LAVA_ERROR_UNSUPPORTED", JOB),
    ("lava_context_get_peer_count lava_context_get_peer_location", "LAVA_TIMED_OUT", JOB),
    ("lava_context_get_peer_location lava_context_progress", "LAVA_OK", JOB),
    ("lava_frame_wait_ready", "LAVA_ERROR_PEER_LOST", TIMELINE),
    ("lava_frame_wait_ready", "LAVA_TIMED_OUT", TIMELINE),
    ("lava_frame_wait_ready", "LAVA_WOULD_BLOCK", TIMELINE),
];

const TIMELINE: &str =
    "needs a GPU whose semaphores can be shared: lava/tests/integration/gpu_work.rs";
const CUDA: &str = "needs CUDA: lava-sys/src/interop/cuda/tests";
const JOB: &str = "needs an MPI job: tests/stages/mpi.sh";

/// A function of the header: its comment's part after `Returns:`, and its declaration.
struct Function {
    name: String,
    returns: String,
    declaration: String,
}

fn functions(header: &str) -> Vec<Function> {
    let comments = header.split("/**").skip(1).filter_map(|part| part.split_once("*/"));
    let with_returns = comments.filter_map(|(comment, rest)| {
        let returns = comment.split_once("Returns:")?.1.split_once("Since:")?.0;
        let declaration = rest.split_once(';')?.0.trim().to_owned();
        let name = declaration.split_once('(')?.0.rsplit([' ', '*']).next()?.to_owned();
        let returns = returns.replace("\n *", "").split_whitespace().collect::<Vec<_>>().join(" ");
        Some(Function { name, returns, declaration })
    });
    with_returns.filter(|function| function.declaration.contains("lava_status ")).collect()
}

/// `text` without what is in parentheses: reasons, and whose other statuses are the same.
fn plain(text: &str) -> String {
    let mut depth = 0_usize;
    let outside = text.chars().filter(|c| {
        depth += usize::from(*c == '(');
        let keep = depth == 0;
        depth -= usize::from(*c == ')');
        keep
    });
    outside.collect()
}

/// The statuses and the functions that a text names: `_LIMIT` stands for `LAVA_ERROR_LIMIT`; functions after "as" or "and".
fn named(function: &Function) -> (BTreeSet<String>, Vec<String>) {
    let (mut statuses, mut others) = (BTreeSet::new(), Vec::new());
    let text = plain(&function.returns);
    let parts: Vec<_> = text.split('`').collect();
    for pair in parts.chunks_exact(2) {
        let (before, word) = (pair[0], pair[1]);
        if let Some(short) = word.strip_prefix('_') {
            statuses.insert(format!("LAVA_ERROR_{short}"));
        } else if word.starts_with("LAVA_ERROR_")
            || ["LAVA_OK", "LAVA_WOULD_BLOCK", "LAVA_TIMED_OUT", "LAVA_CLOSED"].contains(&word)
        {
            statuses.insert(word.to_owned());
        } else if word.starts_with("lava_")
            && ["as ", "and "].iter().any(|end| before.ends_with(end))
        {
            others.push(word.to_owned());
        }
    }
    if text.contains("the status of the first") {
        others.extend(function.name.strip_suffix("_many").map(str::to_owned));
    }
    (statuses, others)
}

/// Whether its first argument is a handle of one of these kinds.
fn takes(handles: &[&str], function: &Function) -> bool {
    let first = function.declaration.split_once('(').map_or("", |(_, arguments)| arguments);
    let first = first.split(',').next().unwrap_or_default();
    handles.iter().any(|name| first.contains(&format!("lava_{name} *")))
        && !first.contains("**")
        && !first.contains("*const *")
}

fn documented(header: &str) -> Statuses {
    let functions = functions(header);
    let own: BTreeMap<_, _> =
        functions.iter().map(|function| (function.name.clone(), named(function))).collect();
    let mut all = Statuses::new();
    for function in &functions {
        let mut statuses = BTreeSet::new();
        let mut open = vec![function.name.clone()];
        while let Some(name) = open.pop() {
            let (found, others) =
                own.get(&name).unwrap_or_else(|| panic!("{}: as {name}?", function.name));
            statuses.extend(found.iter().cloned());
            open.extend(others.iter().cloned());
        }
        if takes(&["context", "buffer", "producer", "consumer", "frame"], function) {
            statuses.extend(OF_HANDLES.map(str::to_owned));
        }
        if takes(&FORKED.0, function) {
            statuses.insert(FORKED.1.to_owned());
        }
        all.insert(function.name.clone(), statuses);
    }
    all
}

/// Runs the other tests of this program once more, with a record; None: this machine lacks something for them.
fn provoked() -> Option<Statuses> {
    let record = tempfile::NamedTempFile::new().expect("a temporary file");
    // One test changes its user.
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(record.path(), all).expect("own file");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--skip", "documented::", "--show-output"]).env(RECORD, record.path());
    let output = succeed(&mut command);
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(why) = said.lines().find_map(|line| line.strip_prefix("skipped: ")) {
        skip(why);
        return None;
    }
    let mut all = Statuses::new();
    for line in std::fs::read_to_string(record.path()).expect("a record").lines() {
        let (name, status) = line.split_once(' ').expect("a line of two words");
        all.entry(name.to_owned()).or_default().insert(status.to_owned());
    }
    Some(all)
}

fn header() -> String {
    std::fs::read_to_string(root().join("include/lava.h")).expect("lava.h")
}

#[test]
fn every_documented_status_is_provoked() {
    let (documented, Some(provoked)) = (documented(&header()), provoked()) else { return };
    let mut missing = Vec::new();
    for (name, statuses) in &documented {
        for status in statuses {
            let is_excused = UNPROVOKED.iter().any(|(functions, unprovoked, _)| {
                unprovoked == status
                    && (*functions == "*" || functions.split(' ').any(|one| one == name))
            });
            if !is_excused && !provoked.get(name).is_some_and(|found| found.contains(status)) {
                missing.push(format!("{name}: {status}"));
            }
        }
    }
    assert!(missing.is_empty(), "documented, never seen:\n{}", missing.join("\n"));
}

/// An excuse for what is not documented, or a name that is no status, hides a gap.
#[test]
fn what_is_excused_is_documented() {
    let header = header();
    let documented = documented(&header);
    assert!(documented.len() > 50, "only {} functions", documented.len());
    for status in documented.values().flatten() {
        assert!(header.contains(&format!("#define {status} ")), "{status} is no status");
    }
    for (functions, status, why) in UNPROVOKED {
        for name in functions.split_whitespace() {
            let found = documented.get(name).is_some_and(|statuses| statuses.contains(status));
            assert!(found, "{name} does not document {status} ({why})");
        }
    }
}

#[test]
fn statuses_are_read_from_comments() {
    let header = "/**\n * Returns:   `LAVA_OK`; `LAVA_ERROR_LIMIT` (as `lava_z`), `_OS`\n *            (x); else as `lava_b`.\n * Since: 0\n */\n\
        LAVA_API lava_status lava_a(struct lava_context **context);\n\
        /** Returns: `LAVA_CLOSED` Since: */ lava_status lava_b(const struct lava_frame *frame);\n\
        /** Returns: else the status of the first Since: */ lava_status lava_b_many(size_t count);\n";
    let found = documented(header);
    let of = |name: &str| found[name].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("lava_a"), ["LAVA_CLOSED", "LAVA_ERROR_LIMIT", "LAVA_ERROR_OS", "LAVA_OK"]);
    assert_eq!(of("lava_b").len(), 1 + OF_HANDLES.len());
    assert_eq!(of("lava_b_many"), ["LAVA_CLOSED"]);
}
