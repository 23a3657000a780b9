//! Names follow one rule: `lava_<object>_<verb>`, with verbs from one list.

use crate::header;
use crate::layout::{CONSTANTS, STRUCTS};

const OBJECTS: [&str; 7] =
    ["context", "location", "scope", "buffer", "producer", "consumer", "frame"];

/// Verbs, alone or followed by what they apply to (`get_info`, `wait_consumers`, `send_many`).
const VERBS: [&str; 23] = [
    "create", "destroy", "describe", "list", "parse", "format", "detect", "allocate", "get", "set",
    "read", "write", "copy", "fill", "export", "import", "wait", "loan", "send", "receive",
    "release", "progress", "next",
];

/// Reads of one value that cannot fail are named by the value.
const VALUES: [&str; 5] = ["data", "data_mut", "size", "current", "connection_count"];

/// Functions of the library as a whole.
const LIBRARY: [&str; 3] = ["lava_version", "lava_abi_version", "lava_status_name"];

fn check(name: &str) -> Result<(), String> {
    if LIBRARY.contains(&name) {
        return Ok(());
    }
    let rest =
        name.strip_prefix("lava_").ok_or_else(|| format!("{name} does not begin with lava_"))?;
    let (object, action) = rest.split_once('_').ok_or_else(|| format!("{name} has no verb"))?;
    if !OBJECTS.contains(&object) {
        return Err(format!("{name}: `{object}` is no object of lava"));
    }
    let verb = action.split('_').next().unwrap_or(action);
    if VERBS.contains(&verb) || VALUES.contains(&action) {
        return Ok(());
    }
    Err(format!("{name}: `{verb}` is not in the list of verbs"))
}

#[test]
fn functions_are_named_by_the_rule() {
    let wrong: Vec<_> =
        header::functions().iter().filter_map(|function| check(&function.name).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rule_refuses_wrong_names() {
    for name in
        ["buffer_read", "lava_read", "lava_memory_read", "lava_buffer_make", "lava_frame_datum"]
    {
        assert!(check(name).is_err(), "{name} passed");
    }
}

#[test]
fn types_and_constants_are_named_by_the_rule() {
    for item in STRUCTS {
        let fields = item.fields.iter().map(|field| field.name);
        for name in fields.chain([item.name]) {
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()),
                "{name}"
            );
        }
        assert!(item.name.starts_with("lava_"), "{}", item.name);
    }
    for constant in CONSTANTS {
        let name = constant.name;
        assert!(name.starts_with("LAVA_"), "{name}");
        assert!(
            name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()),
            "{name}"
        );
    }
}

#[test]
fn the_error_is_the_last_argument() {
    for function in header::functions() {
        let last = function.parameters.len().saturating_sub(1);
        for (index, parameter) in function.parameters.iter().enumerate() {
            assert!(!parameter.contains("lava_error") || index == last, "{}", function.name);
        }
    }
}
