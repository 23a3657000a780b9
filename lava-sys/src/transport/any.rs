//! The ends of a connection, whichever transport it has. The methods of the hot path are dispatched by a match, so that
//! they can be inlined; the others through the traits.

use std::ops::{Deref, DerefMut};

use super::descriptor::{Descriptor, Words};
use super::shm::{ShmInlet, ShmOutlet};
use super::{Inlet, Outlet, Popped, Released};
use crate::error::Hot;

/// The producer's end.
#[derive(Debug)]
pub enum AnyOutlet {
    Shm(ShmOutlet),
}

/// The consumer's end.
#[derive(Debug)]
pub enum AnyInlet {
    Shm(ShmInlet),
}

impl AnyOutlet {
    /// See [`Outlet::room`].
    #[inline(always)]
    pub fn room(&mut self, wanted: u64) -> Hot<u64> {
        match self {
            Self::Shm(outlet) => outlet.room(wanted),
        }
    }

    /// See [`Outlet::prepare`].
    #[inline(always)]
    pub fn prepare(&self) {
        match self {
            Self::Shm(outlet) => outlet.prepare(),
        }
    }

    /// See [`Outlet::has_room`].
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        match self {
            Self::Shm(outlet) => outlet.has_room(),
        }
    }

    /// See [`Outlet::push`].
    #[inline(always)]
    pub fn push(&mut self, descriptor: &Descriptor<'_>) -> u64 {
        match self {
            Self::Shm(outlet) => outlet.push(descriptor),
        }
    }

    /// See [`Outlet::wake`].
    #[inline(always)]
    pub fn wake(&mut self) {
        match self {
            Self::Shm(outlet) => outlet.wake(),
        }
    }

    /// See [`Outlet::released`].
    #[inline(always)]
    pub fn released(&mut self) -> Option<Released> {
        match self {
            Self::Shm(outlet) => outlet.released(),
        }
    }
}

impl AnyInlet {
    /// See [`Inlet::pop`].
    #[inline(always)]
    pub fn pop(&mut self, words: &mut Words) -> Hot<Popped> {
        match self {
            Self::Shm(inlet) => inlet.pop(words),
        }
    }

    /// See [`Inlet::ready`].
    #[inline(always)]
    pub fn ready(&self) -> bool {
        match self {
            Self::Shm(inlet) => inlet.ready(),
        }
    }

    /// See [`Inlet::wake`].
    #[inline(always)]
    pub fn wake(&self, kept: u64) {
        match self {
            Self::Shm(inlet) => inlet.wake(kept),
        }
    }
}

impl Deref for AnyOutlet {
    type Target = dyn Outlet;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Shm(outlet) => outlet,
        }
    }
}

impl DerefMut for AnyOutlet {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Shm(outlet) => outlet,
        }
    }
}

impl Deref for AnyInlet {
    type Target = dyn Inlet;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Shm(inlet) => inlet,
        }
    }
}

impl DerefMut for AnyInlet {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Shm(inlet) => inlet,
        }
    }
}
