//! Progress of anything long, on a terminal's standard error and nowhere else.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
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
