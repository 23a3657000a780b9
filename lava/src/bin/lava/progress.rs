//! Progress of anything long, on a terminal's standard error and nowhere else; of the ranks of an MPI job only the first
//! draws, as they share the terminal.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if !stderr().is_terminal() || is_later_rank() {
        return ProgressBar::hidden();
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// As the launchers tell it: Open MPI, Hydra and Slurm with PMI, PMIx.
fn is_later_rank() -> bool {
    ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .is_some_and(|rank| rank != "0")
}

/// Bytes of `total`; `None` if the end is not known.
pub fn bytes(total: Option<u64>, what: &'static str) -> ProgressBar {
    let bar = match total {
        Some(total) => styled(
            ProgressBar::new(total),
            "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}",
        ),
        None => styled(
            ProgressBar::new_spinner(),
            "{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}",
        ),
    };
    bar.with_message(what)
}

/// Steps of `total`, each named by the bar's message.
pub fn steps(total: usize) -> ProgressBar {
    styled(ProgressBar::new(total as u64), "{wide_msg} {pos}/{len}")
}
