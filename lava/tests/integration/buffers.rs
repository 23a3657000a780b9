//! Memory: strategies, reading and writing, export and import.

use std::os::fd::{AsFd, OwnedFd};

use lava::*;

use crate::support::{Place, pattern};

fn allocate(place: &Place, options: BufferOptions) -> Result<Buffer> {
    Buffer::allocate(&place.context(), &options)
}

#[test]
fn every_strategy_gives_memory_or_falls_back() {
    let place = Place::new();
    for memory in [Memory::Auto, Memory::Standard, Memory::Numa, Memory::Huge, Memory::Pinned] {
        for size in [1u64, 64, 5000, 3 << 20] {
            let options = BufferOptions::new(size).memory(memory).fallback(&[Memory::Standard]);
            let mut buffer = allocate(&place, options).unwrap();
            let info = buffer.info().unwrap();
            assert_eq!((info.size, info.requested_memory), (size, memory));
            assert!(
                info.memory == memory || info.memory == Memory::Standard || memory == Memory::Auto
            );
            assert!(!info.reason.is_empty() && info.memory != Memory::Auto, "{info:?}");
            assert!(info.allocated_size >= size && info.page_size >= 1, "{info:?}");
            assert_eq!(buffer.as_ptr().addr() as u64 % info.alignment, 0, "{info:?}");
            let bytes = buffer.as_mut_slice().unwrap();
            assert!(bytes.iter().all(|byte| *byte == 0), "{memory:?} of {size} bytes is zero");
            bytes.fill(1);
            assert_eq!(buffer.as_slice().unwrap().len() as u64, size);
        }
    }
}

#[test]
fn a_required_strategy_is_had_or_refused() {
    let place = Place::new();
    for memory in [Memory::Standard, Memory::Numa, Memory::Huge, Memory::Pinned, Memory::Device] {
        match allocate(&place, BufferOptions::new(1 << 20).memory(memory).require()) {
            Ok(buffer) => assert_eq!(buffer.info().unwrap().memory, memory),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Requirement, "{memory:?}: {error}"),
        }
    }
}

#[test]
fn impossible_requests_say_what_is_wrong() {
    let place = Place::new();
    let new = BufferOptions::new;
    let invalid = [
        ("size", new(0)),
        ("alignment", new(64).alignment(3)),
        ("alignment", new(64).alignment(4 << 20)),
        ("fallback", new(64).fallback(&[Memory::Standard; 6])),
        ("fallback", new(64).memory(Memory::Huge).fallback(&[Memory::Standard]).require()),
    ];
    for (what, options) in invalid {
        let error = allocate(&place, options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{what}: {error}");
        assert!(error.message().contains(what), "{what}: {error}");
    }
    let node = new(64).memory(Memory::Numa).numa_node(4000).require();
    let error = allocate(&place, node).unwrap_err();
    assert!(error.message().contains("4000"), "{error}");
    let error = allocate(&place, new(u64::MAX)).unwrap_err();
    assert!(!error.message().is_empty() && error.kind() != ErrorKind::Internal, "{error:?}");
}

#[test]
fn alignment_is_kept() {
    let place = Place::new();
    for alignment in [1u64, 64, 4096, 2 << 20] {
        let buffer = allocate(&place, BufferOptions::new(100).alignment(alignment)).unwrap();
        assert_eq!(buffer.as_ptr().addr() as u64 % alignment, 0);
        assert!(buffer.info().unwrap().alignment >= alignment);
    }
}

#[test]
fn bytes_are_written_read_copied_and_filled() {
    let place = Place::new();
    let mut buffer = allocate(&place, BufferOptions::new(1000)).unwrap();
    buffer.write(10, &pattern(100, 1)).unwrap();
    let mut bytes = [0; 100];
    buffer.read(10, &mut bytes).unwrap();
    assert_eq!(bytes, pattern(100, 1)[..]);

    buffer.copy_within(50, 10, 100).unwrap();
    buffer.read(50, &mut bytes).unwrap();
    assert_eq!(bytes, pattern(100, 1)[..], "overlapping ranges");

    let mut other = allocate(&place, BufferOptions::new(200)).unwrap();
    other.copy_from(100, &buffer, 50, 100).unwrap();
    assert_eq!(other.as_slice().unwrap()[100..], pattern(100, 1)[..]);
    other.fill(150, 50, 7).unwrap();
    assert_eq!(other.as_slice().unwrap()[150..], [7; 50]);
}

#[test]
fn ranges_outside_a_buffer_are_refused() {
    let place = Place::new();
    let mut buffer = allocate(&place, BufferOptions::new(100)).unwrap();
    let mut other = allocate(&place, BufferOptions::new(50)).unwrap();
    let errors = [
        buffer.read(1, &mut [0; 100]),
        buffer.read(u64::MAX, &mut [0; 2]),
        buffer.write(101, &[0]),
        buffer.fill(0, u64::MAX, 0),
        buffer.fill(100, 1, 0),
        buffer.copy_within(1, 0, 100),
        other.copy_from(0, &buffer, 0, 51),
        buffer.copy_from(0, &other, 1, 50),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::TooLarge, "case {index}");
    }
    buffer.read(100, &mut []).unwrap();
    buffer.fill(100, 0, 1).unwrap();
}

#[test]
fn an_imported_buffer_shares_the_bytes_but_cannot_change_them() {
    let place = Place::new();
    let mut buffer = allocate(&place, BufferOptions::new(10_000).shareable()).unwrap();
    let handle = buffer.export().unwrap();
    // As another process gets it: a duplicate of the descriptor, and bytes.
    let fd: OwnedFd = handle.as_fd().try_clone_to_owned().unwrap();
    let recipe = BufferRecipe::from_bytes(handle.recipe().to_bytes());
    drop(handle);
    let mut imported = Buffer::import(&place.context(), &BufferHandle::new(fd, recipe)).unwrap();

    buffer.as_mut_slice().unwrap()[9000..9100].copy_from_slice(&pattern(100, 3));
    let mut bytes = [0; 100];
    imported.read(9000, &mut bytes).unwrap();
    assert_eq!(bytes, pattern(100, 3)[..]);
    let info = imported.info().unwrap();
    assert!(info.imported && info.read_only && info.size == 10_000, "{info:?}");

    assert_eq!(imported.write(0, b"x").unwrap_err().kind(), ErrorKind::Permission);
    assert_eq!(imported.fill(0, 1, 1).unwrap_err().kind(), ErrorKind::Permission);
    assert_eq!(imported.as_mut_slice().unwrap_err().kind(), ErrorKind::Permission);
    let error = imported.as_slice().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert!(error.message().contains("read"), "{error}");

    drop(buffer);
    imported.read(9000, &mut bytes).unwrap();
    assert_eq!(bytes, pattern(100, 3)[..], "the memory lives as long as the import");
}

#[test]
fn importers_write_only_if_they_may() {
    let place = Place::new();
    let options = BufferOptions::new(100).shareable().writable_by_importers();
    let buffer = allocate(&place, options).unwrap();
    assert_eq!(buffer.as_slice().unwrap_err().kind(), ErrorKind::Permission);
    let mut imported = Buffer::import(&place.context(), &buffer.export().unwrap()).unwrap();
    imported.write(10, b"from there").unwrap();
    let mut bytes = [0; 10];
    buffer.read(10, &mut bytes).unwrap();
    assert_eq!(&bytes, b"from there");
}

#[test]
fn a_false_handle_is_refused() {
    let place = Place::new();
    let context = place.context();
    let private = allocate(&place, BufferOptions::new(100)).unwrap();
    assert_eq!(private.export().unwrap_err().kind(), ErrorKind::Unsupported);

    let buffer = allocate(&place, BufferOptions::new(10_000).shareable()).unwrap();
    let recipe = *buffer.export().unwrap().recipe();
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 20).unwrap();
    let memfd = rustix::fs::memfd_create("unsealed", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&memfd, 1 << 20).unwrap();
    for (what, fd) in [("a file", OwnedFd::from(file)), ("an unsealed memfd", memfd)] {
        let error = Buffer::import(&context, &BufferHandle::new(fd, recipe)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{what}: {error}");
    }
    // The recipe of a larger buffer than the descriptor's.
    let larger = allocate(&place, BufferOptions::new(10 << 20).shareable()).unwrap();
    let larger = *larger.export().unwrap().recipe();
    let fd = buffer.export().unwrap().as_fd().try_clone_to_owned().unwrap();
    let error = Buffer::import(&context, &BufferHandle::new(fd, larger)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}

#[test]
fn buffers_are_shared_between_threads() {
    let place = Place::new();
    let mut buffer = allocate(&place, BufferOptions::new(1000)).unwrap();
    buffer.as_mut_slice().unwrap().fill(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(buffer.as_slice().unwrap(), [4; 1000]));
        }
    });
}
