//! Text of a peer: locations, channel names, names of socket files.
#![no_main]

use lava_sys::internals::channel::name::Name;
use lava_sys::internals::scope::Location;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(location) = Location::parse(&text) {
        assert_eq!(Location::parse(&location.to_string()).expect("its own text"), location);
    }
    if let Ok(name) = Name::new(&text) {
        assert_eq!(Name::from_file(&name.file()), Some(name));
    }
    let _ = Name::from_file(&text);
});
