//! Builds `liblava.so` from this checkout and prints its directory.

fn main() {
    println!("{}", lava_tests::library().directory.display());
}
