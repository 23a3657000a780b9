//! What changes a whole process, in processes of their own: a fork, a death, files that have run out, another user.

use std::process::Command;
use std::ptr::{null, null_mut};

use lava_tests::succeed;

use crate::calls::*;
use crate::gives;
use crate::world::{SECOND, World, sized};

/// Runs the test of this name, which calls this, in another process with one thread.
fn alone(test: &str, body: impl FnOnce()) {
    const CHILD: &str = "MISUSE_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([test, "--exact", "--test-threads=1"]).env(CHILD, "1");
    let output = succeed(&mut command);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn a_forked_child_is_turned_away() {
    alone("alone::a_forked_child_is_turned_away", || {
        let world = World::new();
        // SAFETY: this process has no other thread that holds a lock which the child needs.
        match unsafe { libc::fork() } {
            0 => {
                let played = std::panic::catch_unwind(|| {
                    contexts_of_the_parent(&world);
                    producers_of_the_parent(&world);
                    consumers_of_the_parent(&world);
                });
                // SAFETY: it ends here; the parent has everything.
                unsafe { libc::_exit(i32::from(played.is_err())) }
            }
            child => {
                let mut status = -1;
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert_eq!(status, 0, "the child was not turned away: see its message above");
            }
        }
    });
}

fn contexts_of_the_parent(world: &World) {
    let (context, none) = (world.context, null_mut());
    let (mut count, mut needed) = (0, 0);
    let (mut device, mut place, mut report) = (sized(), sized(), sized());
    let here: lava_location = sized();
    let (mut buffer, mut producer, mut consumer) = (null_mut(), null_mut(), null_mut());
    let options = lava_buffer_options { size: 1, ..sized() };
    let (handle, name): (lava_buffer_handle, _) = (sized(), c"forked".as_ptr());
    gives! {
        lava_context_describe(context, null_mut(), 0, &mut needed, none) => LAVA_ERROR_FORKED;
        lava_context_list_channels(context, 0, null_mut(), 0, &mut needed, none) => LAVA_ERROR_FORKED;
        lava_context_get_peer_count(context, 0, &mut count, none) => LAVA_ERROR_FORKED;
        lava_context_get_peer_location(context, 0, &mut place, none) => LAVA_ERROR_FORKED;
        lava_context_progress(context, 0, none) => LAVA_ERROR_FORKED;
        lava_context_describe_mpi(context, null_mut(), 0, &mut needed, none) => LAVA_ERROR_FORKED;
        lava_context_get_device_count(context, &mut count, none) => LAVA_ERROR_FORKED;
        lava_context_get_device(context, 0, &mut device, none) => LAVA_ERROR_FORKED;
        lava_location_current(context, &mut place, none) => LAVA_ERROR_FORKED;
        lava_scope_detect(context, &here, &here, &mut report, none) => LAVA_ERROR_FORKED;
        lava_buffer_allocate(context, &options, &mut buffer, none) => LAVA_ERROR_FORKED;
        lava_buffer_import(context, &handle, &mut buffer, none) => LAVA_ERROR_FORKED;
        lava_producer_create(context, name, null(), &mut producer, none) => LAVA_ERROR_FORKED;
        lava_consumer_create(context, name, null(), &mut consumer, none) => LAVA_ERROR_FORKED;
    }
}

fn producers_of_the_parent(world: &World) {
    let (producer, none, mut loan, mut count) = (world.producer, null_mut(), null_mut(), 0);
    let (mut info, mut rejection) = (sized(), sized());
    let part = lava_bytes { data: null(), size: 0 };
    gives! {
        lava_producer_wait_consumers(producer, 1, 0, none) => LAVA_ERROR_FORKED;
        lava_producer_loan(producer, 100, 0, &mut loan) => LAVA_ERROR_FORKED;
        lava_producer_loan_many(producer, 100, &mut loan, 1, 0, &mut count) => LAVA_ERROR_FORKED;
        lava_producer_send(producer, world.loan, 0) => LAVA_ERROR_FORKED;
        lava_producer_send_many(producer, &world.loan, 1, 0, &mut count) => LAVA_ERROR_FORKED;
        lava_producer_send_bytes(producer, null(), 0, 0) => LAVA_ERROR_FORKED;
        lava_producer_send_bytes_many(producer, &part, 1, 0, &mut count) => LAVA_ERROR_FORKED;
        lava_producer_send_buffer(producer, world.buffer, 0, 1, 0, null(), 0, none) => LAVA_ERROR_FORKED;
        lava_producer_wait_released(producer, null(), 0, none) => LAVA_ERROR_FORKED;
        lava_producer_get_connection(producer, 0, &mut info, null_mut(), none) => LAVA_ERROR_FORKED;
        lava_producer_get_rejection(producer, 0, 0, &mut rejection, none) => LAVA_ERROR_FORKED;
        lava_producer_describe(producer, null_mut(), 0, &mut count, none) => LAVA_ERROR_FORKED;
    }
}

fn consumers_of_the_parent(world: &World) {
    let (consumer, none, mut frame, mut count) = (world.consumer, null_mut(), null_mut(), 0);
    let (mut info, mut rejection, mut fd) = (sized(), sized(), -1);
    gives! {
        lava_consumer_receive(consumer, 0, &mut frame) => LAVA_ERROR_FORKED;
        lava_consumer_receive_many(consumer, &mut frame, 1, 0, &mut count) => LAVA_ERROR_FORKED;
        lava_consumer_get_event_fd(consumer, &mut fd, none) => LAVA_ERROR_FORKED;
        lava_consumer_get_connection(consumer, &mut info, null_mut(), none) => LAVA_ERROR_FORKED;
        lava_consumer_get_rejection(consumer, 0, &mut rejection, none) => LAVA_ERROR_FORKED;
        lava_consumer_describe(consumer, null_mut(), 0, &mut count, none) => LAVA_ERROR_FORKED;
    }
}

#[test]
fn files_run_out() {
    alone("alone::files_run_out", || {
        let world = World::new();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = std::ffi::CString::new(directory.path().to_str().expect("UTF-8"));
        let path = path.expect("no NUL");
        let context_options = lava_context_options { runtime_directory: path.as_ptr(), ..sized() };
        let (mut silent, mut context) = (null_mut(), null_mut());
        let (mut buffer, mut producer, mut consumer) = (null_mut(), null_mut(), null_mut());
        let (mut handle, mut copy, mut place, mut fd) = (sized(), sized(), sized(), -1);
        let shareable =
            lava_buffer_options { size: 1 << 20, flags: LAVA_BUFFER_SHAREABLE, ..sized() };
        gives! {
            lava_context_create(&context_options, &mut silent, null_mut()) => LAVA_OK;
            lava_buffer_export(world.buffer, &mut handle, null_mut()) => LAVA_OK;
        }
        let others = use_up_the_files();
        gives! {
            lava_context_create(&context_options, &mut context, null_mut()) => LAVA_ERROR_LIMIT;
            lava_location_current(silent, &mut place, null_mut()) => LAVA_ERROR_LIMIT;
            lava_buffer_allocate(world.context, &shareable, &mut buffer, null_mut()) => LAVA_ERROR_LIMIT;
            lava_buffer_export(world.buffer, &mut copy, null_mut()) => LAVA_ERROR_LIMIT;
            lava_buffer_import(world.context, &handle, &mut buffer, null_mut()) => LAVA_ERROR_LIMIT;
            lava_producer_create(world.context, c"new".as_ptr(), null(), &mut producer, null_mut()) => LAVA_ERROR_LIMIT;
            lava_consumer_create(world.context, c"world".as_ptr(), null(), &mut consumer, null_mut()) => LAVA_ERROR_LIMIT;
            lava_consumer_get_event_fd(world.consumer, &mut fd, null_mut()) => LAVA_ERROR_LIMIT;
        }
        drop(others);
        gives! { lava_consumer_get_event_fd(world.consumer, &mut fd, null_mut()) => LAVA_OK; }
        drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(handle.fd) });
        unsafe { lava_context_destroy(silent) };
    });
}

/// Opens files until there can be no more.
fn use_up_the_files() -> Vec<std::fs::File> {
    let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
}

/// A context of this process in a directory.
fn context_in(directory: &std::path::Path) -> *mut lava_context {
    let path = std::ffi::CString::new(directory.to_str().expect("UTF-8")).expect("no NUL");
    let options = lava_context_options { runtime_directory: path.as_ptr(), ..sized() };
    let mut context = null_mut();
    gives! { lava_context_create(&options, &mut context, null_mut()) => LAVA_OK; }
    context
}

#[test]
fn a_producer_dies() {
    alone("alone::a_producer_dies", || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let name = c"mortal".as_ptr();
        // SAFETY: this process has no other thread that holds a lock which the child needs.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let (context, mut producer) = (context_in(directory.path()), null_mut());
            // SAFETY: all pointers are NULL or valid; the process waits for its end.
            unsafe {
                lava_producer_create(context, name, null(), &mut producer, null_mut());
                loop {
                    libc::pause();
                }
            }
        }
        let (context, mut consumer) = (context_in(directory.path()), null_mut());
        let (mut frame, mut count) = (null_mut(), 9);
        gives! { lava_consumer_create(context, name, null(), &mut consumer, null_mut()) => LAVA_OK; }
        assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
        assert_eq!(unsafe { libc::waitpid(child, null_mut(), 0) }, child);
        gives! {
            lava_consumer_receive(consumer, 60 * SECOND, &mut frame) => LAVA_ERROR_PEER_LOST;
            lava_consumer_receive_many(consumer, &mut frame, 1, SECOND, &mut count) => LAVA_ERROR_PEER_LOST;
        }
        assert!(frame.is_null() && count == 0);
        unsafe {
            lava_consumer_destroy(consumer);
            lava_context_destroy(context);
        }
    });
}

/// As a user to whom the kernel's rules apply.
#[test]
fn a_directory_that_was_closed() {
    use std::os::unix::fs::PermissionsExt;
    alone("alone::a_directory_that_was_closed", || {
        if unsafe { libc::geteuid() } == 0 {
            assert_eq!(unsafe { libc::seteuid(65534) }, 0);
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (context, mut producer) = (context_in(directory.path()), null_mut());
        let allow = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(directory.path(), mode).expect("own directory");
        };
        allow(0o500);
        gives! {
            lava_producer_create(context, c"x".as_ptr(), null(), &mut producer, null_mut())
                => LAVA_ERROR_PERMISSION;
        }
        allow(0o700);
        unsafe { lava_context_destroy(context) };
    });
}
