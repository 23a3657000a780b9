//! The C ABI as a contract: the committed header and declarations are what the sources give, every layout is what C
//! sees, and nothing that a program was built against ever changes.
//!
//! `LAVA_BLESS=1 cargo test -p lava-tests --test abi` writes the generated files anew.

mod abidiff;
mod baseline;
mod compile;
mod documentation;
mod drift;
mod header;
mod layout;
mod names;
mod symbols;

/// Whether generated files are to be written instead of compared.
fn bless() -> bool {
    std::env::var_os("LAVA_BLESS").is_some_and(|value| value == "1")
}
