//! MPI: what is there, and the job that this process is in.

use std::time::Duration;

use lava::Context;
use serde::Serialize;
use serde_json::Value;

use crate::failure::{Doing, Failure};

/// How long other ranks may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Serialize)]
pub struct Mpi {
    /// What the library says of it.
    pub library: Value,
    /// This process's rank.
    pub rank: Option<usize>,
    pub ranks: Vec<Peer>,
}

/// One rank of the job.
#[derive(Debug, Serialize)]
pub struct Peer {
    pub host: String,
    pub process: u32,
}

impl Mpi {
    /// Joins the job if there is one.
    pub fn look(context: &Context) -> Result<Self, Failure> {
        // Why it cannot be joined is told by the library below.
        let peers = context.peers(PATIENCE).unwrap_or_default();
        let library: Value = serde_json::from_str(&context.describe_mpi()?)
            .doing("reading the library's description of MPI")?;
        let rank = library["job"]["rank"].as_u64().and_then(|rank| usize::try_from(rank).ok());
        let ranks = peers
            .iter()
            .map(|peer| Peer { host: peer.host().to_owned(), process: peer.process() })
            .collect();
        Ok(Self { library, rank, ranks })
    }

    /// Whether another rank tells the same.
    pub fn is_told_by_another(&self) -> bool {
        self.rank.is_some_and(|rank| rank != 0)
    }
}
