//! The module exports its init symbol only: another copy of lava in the process, such as liblava.so, must neither see
//! nor replace its functions.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
}
