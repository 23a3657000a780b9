//! What must not break lava: deaths, hostile peers, failing systems, namespaces.
//!
//! Every scene plays in a process of its own with a runtime directory of its own, so that it may crash, hang, run out of
//! descriptors or change namespaces, and so that what it leaves behind can be counted. The stage (this program without
//! a part) starts it, limits its time, and looks for what is left. A scene starts its actors the same way.
#![allow(clippy::unwrap_used, reason = "a scene fails by panicking")]

mod directories;
mod endurance;
mod faults;
mod harness;
mod hostile_consumer;
mod hostile_memory;
mod hostile_producer;
mod hostile_stream;
mod idle;
mod kill_consumer;
mod kill_producer;
mod lifetimes;
mod limits;
mod losses;
mod names;
mod namespaces;
mod smoke;
mod support;

use libtest_mimic::{Arguments, Trial};

use support::actor::Role;
use support::stage::{self, Scene};

/// Every scene, as `FILE/NAME`.
fn scenes() -> Vec<Scene> {
    [
        harness::SCENES,
        smoke::SCENES,
        names::SCENES,
        directories::SCENES,
        limits::SCENES,
        faults::SCENES,
        lifetimes::SCENES,
        idle::SCENES,
        kill_producer::SCENES,
        losses::SCENES,
        kill_consumer::SCENES,
        hostile_consumer::SCENES,
        hostile_memory::SCENES,
        hostile_producer::SCENES,
        hostile_stream::SCENES,
        namespaces::SCENES,
        endurance::SCENES,
    ]
    .concat()
}

/// What processes that scenes start can be.
fn roles() -> Vec<Role> {
    [
        smoke::ROLES,
        names::ROLES,
        limits::ROLES,
        lifetimes::ROLES,
        kill_producer::ROLES,
        losses::ROLES,
        kill_consumer::ROLES,
        hostile_consumer::ROLES,
        namespaces::ROLES,
        endurance::ROLES,
    ]
    .concat()
}

fn main() {
    stage::play_part(&scenes(), &roles());
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = scenes().iter().map(|scene| scene.trial()).collect();
    libtest_mimic::run(&arguments, trials).exit();
}
