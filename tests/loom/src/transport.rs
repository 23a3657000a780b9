//! The checked files of `lava-sys/src/transport`.

#[path = "../../../lava-sys/src/transport/descriptor.rs"]
pub mod descriptor;
#[path = "../../../lava-sys/src/transport/ring/mod.rs"]
pub mod ring;
