//! Every exported function called wrongly: NULL, misaligned pointers, wrong sizes, handles of another kind. Each call gives
//! its documented status, writes nothing it must not, and the library goes on working.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "calling the C ABI wrongly is the point; the library must hold"
)]

mod alone;
mod answers;
mod buffer;
mod calls;
mod channel;
mod context;
mod device;
mod documented;
mod error;
mod frame;
mod mpi;
mod sizes;
mod stale;
mod world;

/// Checks calls: `call => LAVA_STATUS;`. The call runs in an unsafe block.
macro_rules! gives {
    ($($call:expr => $status:ident;)*) => { $(
        #[allow(unused_unsafe)]
        let found = unsafe { $call };
        assert_eq!(crate::world::name(found), stringify!($status), "{}", stringify!($call));
    )* };
}
pub(crate) use gives;

const SOURCES: [&str; 7] = [
    include_str!("buffer.rs"),
    include_str!("channel.rs"),
    include_str!("context.rs"),
    include_str!("device.rs"),
    include_str!("error.rs"),
    include_str!("frame.rs"),
    include_str!("mpi.rs"),
];

#[test]
fn every_function_is_called_wrongly() {
    let declarations = include_str!("../../lava-sys/src/decl.rs");
    let names: Vec<_> = declarations
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub fn ")?.split('(').next())
        .collect();
    assert!(names.len() > 50, "only {} functions found", names.len());
    // Functions without an argument that could be wrong.
    let harmless = ["lava_version", "lava_abi_version"];
    for name in names.iter().filter(|name| !harmless.contains(name)) {
        assert!(
            SOURCES.iter().any(|source| source.contains(&format!("{name}("))),
            "no test misuses {name}"
        );
    }
}
