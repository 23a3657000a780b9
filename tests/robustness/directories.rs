//! Runtime directories that cannot be used, and one whose path is too long for a socket's address.

use std::ffi::CString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lava::{Context, ContextOptions, Error, ErrorKind, Producer, ProducerOptions};

use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::system::{self, NOBODY};
use crate::support::{Played, Skip, payload};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "directories/of_others", play: of_others },
    Scene { name: "directories/not_a_directory", play: not_a_directory },
    Scene { name: "directories/unwritable", play: unwritable },
    Scene { name: "directories/full", play: full },
    Scene { name: "directories/long_path", play: long_path },
];

fn refused(path: &Path) -> Error {
    let refused = Context::create(&ContextOptions::new().runtime_directory(path));
    let error = refused.map(drop).expect_err("a directory that is not safe");
    assert!(error.to_string().contains(path.to_str().unwrap()), "which one? {error}");
    error
}

fn of_others(place: &Place) -> Played {
    let path = place.root().join("shared");
    std::fs::create_dir(&path).unwrap();
    for mode in [0o720, 0o702, 0o777, 0o1777] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(refused(&path).kind(), ErrorKind::Permission, "mode {mode:o}");
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    drop(Context::create(&ContextOptions::new().runtime_directory(&path)).expect("mode 700"));
    if !system::is_root() {
        return Err(Skip("a directory of another user needs root".into()));
    }
    std::os::unix::fs::chown(&path, Some(NOBODY), None).unwrap();
    assert_eq!(refused(&path).kind(), ErrorKind::Permission, "another user's");
    Ok(())
}

fn not_a_directory(place: &Place) -> Played {
    let file = place.root().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert_eq!(refused(&file).kind(), ErrorKind::InvalidArgument);
    let link = place.root().join("link");
    std::os::unix::fs::symlink(place.root(), &link).unwrap();
    assert_eq!(refused(&link).kind(), ErrorKind::InvalidArgument);
    assert_eq!(refused(Path::new("not/absolute")).kind(), ErrorKind::InvalidArgument);
    refused(&file.join("below"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    Ok(())
}

/// As a user without privileges, so that permissions count.
fn unwritable(place: &Place) -> Played {
    std::fs::create_dir(place.runtime()).unwrap();
    if system::is_root() {
        std::fs::set_permissions(place.root(), PermissionsExt::from_mode(0o711)).unwrap();
        std::os::unix::fs::chown(place.runtime(), Some(NOBODY), None).unwrap();
        system::become_nobody();
    }
    let context = place.context();
    std::fs::set_permissions(place.runtime(), PermissionsExt::from_mode(0o500)).unwrap();
    let error =
        Producer::create(&context, "closed", &ProducerOptions::new()).expect_err("mode 500");
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    std::fs::set_permissions(place.runtime(), PermissionsExt::from_mode(0o700)).unwrap();
    drop(Producer::create(&context, "closed", &ProducerOptions::new()).expect("mode 700"));
    // A directory that cannot be made.
    let error = refused(Path::new("/proc/lava"));
    assert!(error.to_string().contains("LAVA_RUNTIME_DIR"), "no way out is named: {error}");
    Ok(())
}

/// On a file system without room for one more file.
fn full(place: &Place) -> Played {
    system::private_mounts()?;
    std::fs::create_dir(place.runtime()).unwrap();
    let target = CString::new(place.runtime().to_str().unwrap()).unwrap();
    system::mount("tmpfs", &target, "tmpfs", 0, "mode=700,size=16k,nr_inodes=3")?;
    let context = place.context();
    let keeper =
        Producer::create(&context, "first", &ProducerOptions::new()).expect("room for one");
    std::fs::write(place.runtime().join("filler"), "").unwrap();
    let error = Producer::create(&context, "second", &ProducerOptions::new()).expect_err("full");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    std::fs::remove_file(place.runtime().join("filler")).unwrap();
    drop(Producer::create(&context, "second", &ProducerOptions::new()).expect("room again"));
    drop(keeper);
    Ok(())
}

fn long_path(place: &Place) -> Played {
    let mut path = place.root().to_owned();
    while path.as_os_str().len() < 600 {
        path.push("directory-of-a-name-that-is-long-enough");
    }
    let options = ContextOptions::new().runtime_directory(&path);
    let name = "n".repeat(64);
    let (producing, consuming) =
        (Context::create(&options).unwrap(), Context::create(&options).unwrap());
    let mut producer = Producer::create(&producing, &name, &ProducerOptions::new()).unwrap();
    let options = lava::ConsumerOptions::new();
    let mut consumer = lava::Consumer::open(&consuming, &name, &options).unwrap();
    payload::send(&mut producer, 1, 0).unwrap();
    payload::check(&consumer.receive().unwrap().expect("a frame"), 1, 0).unwrap();
    Ok(())
}
