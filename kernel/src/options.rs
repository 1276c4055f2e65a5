//! The kernel's options, which a kernelspec gives as arguments, and everybody else in the environment.

use std::time::Duration;

use clap::Args;

use crate::pace::Limits;

/// See the module's documentation.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// Every cell ends only when the tasks that it has spawned have ended, or after so many seconds:
    /// clients that run notebooks without a browser drop what comes after a cell's end.
    #[arg(long, env = "MORCEAUX_DRAIN", value_name = "SECONDS", value_parser = seconds)]
    pub drain: Option<f64>,
    /// How long a stopped cell may take to reach an await point or a checkpoint, before it is ended
    /// together with its process.
    #[arg(
        long,
        env = "MORCEAUX_GRACE",
        value_name = "SECONDS",
        value_parser = seconds,
        default_value = "5"
    )]
    pub grace: f64,
    /// How many bytes of memory the cells may use. Beyond it, the process that runs them ends, and not
    /// something else on the machine.
    #[arg(long, env = "MORCEAUX_MEMORY", value_name = "BYTES")]
    pub memory: Option<u64>,
    /// How many bytes of output a second go to the front ends; 0 is without limit. Default: what
    /// jupyter_server takes below a Jupyter server, else without limit.
    #[arg(long, env = "MORCEAUX_OUTPUT_RATE", value_name = "BYTES")]
    pub output_rate: Option<usize>,
    /// How many bytes of output of each cell wait for the front ends, before what tasks print is left
    /// out. Default: 2 MiB.
    #[arg(long, env = "MORCEAUX_OUTPUT_BACKLOG", value_name = "BYTES")]
    pub output_backlog: Option<usize>,
}

impl Options {
    /// How long a stopped cell may take.
    pub fn grace(&self) -> Duration {
        // The parser has seen to it that it is a time.
        Duration::try_from_secs_f64(self.grace).unwrap_or(Duration::MAX)
    }

    /// The limits of output.
    pub fn limits(&self) -> Limits {
        Limits {
            rate: self.output_rate,
            backlog: self.output_backlog,
        }
    }
}

/// Reads a time.
///
/// # Errors
/// Where it is none.
pub fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=1e9).contains(&seconds) => Ok(seconds),
        _ => Err(format!("`{text}` is no number of seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn only_a_number_is_a_time() {
        assert_eq!(seconds("2.5"), Ok(2.5));
        for other in ["", "a", "-1", "NaN", "inf", "1s"] {
            assert!(seconds(other).is_err(), "{other}");
        }
    }
}
