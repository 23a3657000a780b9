//! Container-like sets of namespaces: PIDs and mounts of their own, as a container runtime makes them.

use std::ffi::CString;

use super::place::Place;
use super::{Skip, actor, system};

/// For actors: plays a role inside a container of its own, and ends this process. `private` containers do not have the
/// shared runtime directory: an empty file system of their own lies over it.
pub(crate) fn play_inside(place: &Place, private: bool, play: fn(&Place)) {
    let user = system::user_and_group();
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    let made = if system::is_root() {
        system::unshare(namespaces, "a PID and a mount namespace")
    } else {
        system::unshare(namespaces | libc::CLONE_NEWUSER, "a user namespace")
            .and_then(|()| system::keep_user(user))
    };
    if let Err(Skip(why)) = made {
        return actor::say(&format!("skipped: {why}"));
    }
    // The new PID namespace is for children. This process has one thread.
    // SAFETY: no other thread, so the child may do anything.
    let inside = unsafe { libc::fork() };
    if inside != 0 {
        let mut status = 0;
        // SAFETY: our child, and a place for its status.
        unsafe { libc::waitpid(inside, &mut status, 0) };
        std::process::exit(i32::from(status != 0));
    }
    // SAFETY: no pointers. The container ends with whoever waits for it.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if let Err(Skip(why)) = furnish(place, private) {
        return actor::say(&format!("skipped: {why}"));
    }
    assert_eq!(std::process::id(), 1, "this is not a PID namespace of its own");
    play(place);
}

fn furnish(place: &Place, private: bool) -> Result<(), Skip> {
    system::mount("none", c"/", "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    system::mount("proc", c"/proc", "proc", 0, "")?;
    if private {
        std::fs::create_dir_all(place.runtime()).expect("a directory");
        let path = CString::new(place.runtime().to_str().expect("UTF-8")).expect("no NUL");
        system::mount("tmpfs", &path, "tmpfs", 0, "mode=700")?;
    }
    Ok(())
}
