//! Scope of two locations, with the one piece of evidence that has to be fetched: does the peer answer?

use std::os::fd::AsFd;

use super::context::Context;
use super::link::check_user;
use super::presence;
use crate::os::clock::Deadline;
use crate::os::socket::{self, Connected, Received};
use crate::scope::{self, Location, Rendezvous, Report};
use crate::wire::{self, Message, kind};

/// Time for a peer to answer.
const ANSWER_NS: u64 = 100_000_000;

/// Decides whether `a` and `b` share memory. `b` is asked if `a` is this context.
pub fn detect(context: &Context, a: &Location, b: &Location) -> Report {
    let rendezvous = if a.context == context.id && b.context != context.id && b.context != 0 {
        ask(context, b)
    } else {
        Rendezvous::NotAsked
    };
    scope::decide(a, b, context.forced, rendezvous)
}

/// Does the context at that location answer on its presence socket, in this context's runtime directory?
fn ask(context: &Context, peer: &Location) -> Rendezvous {
    let deadline = Deadline::after(ANSWER_NS);
    let Ok(Connected::Yes(socket)) =
        socket::connect(context.directory.as_fd(), &presence::file(peer.context))
    else {
        return Rendezvous::Silent;
    };
    let mut buffer = [0; wire::MESSAGE_MAX];
    let answered = check_user(socket.as_fd()).is_ok()
        && socket::wait_readable(socket.as_fd(), deadline).unwrap_or(false)
        && matches!(socket::receive(socket.as_fd(), &mut buffer),
            Ok(Received::Message { size, .. }) if is_answer_of(&buffer[..size], peer));
    if answered { Rendezvous::Answered } else { Rendezvous::Silent }
}

fn is_answer_of(message: &[u8], peer: &Location) -> bool {
    wire::Welcome::decode(message, &[kind::WELCOME])
        .ok()
        .and_then(|answer| Location::parse(&wire::get_text(&answer.location)).ok())
        .is_some_and(|answer| answer.context == peer.context)
}
