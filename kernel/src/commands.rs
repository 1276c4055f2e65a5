//! The commands at the head of a cell. Most are evcxr's to follow. The others here would take the
//! shared runtime away from the cells, or concern what evcxr does not do any more.

use evcxr::{CommandContext, EvalOutputs};

use crate::cell_source;
use crate::diagnostics;
use crate::error::CellError;
use crate::items::Items;
use crate::options;
use crate::pace::Limits;
use crate::prebuilt::{Prebuilt, Toolchain};
use crate::rewrite::Drain;
use crate::run::Wires;

/// What can be said to `:output`.
const OUTPUT: &str =
    "say `:output`, `:output rate BYTES` (a second; 0: unlimited) or `:output backlog BYTES`";

/// What `:help` says of this kernel's own commands.
const HELP: &str = "\
:checkpoints [0|1] Whether loops can be stopped that do not await
:drain [seconds]   The cell ends when the tasks that have been spawned so far have ended
:output [rate BYTES] [backlog BYTES]   Shows or changes how much output goes to the front end";

/// How values and errors are shown, as `:fmt`, `:types` and `:efmt` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formats {
    /// The format of results, where it is not Debug's.
    pub output: Option<String>,
    /// Whether a result is shown with its type.
    pub types: bool,
    /// The format of the errors of `?`.
    pub error: ErrorFormat,
}

/// The formats that evcxr knows for errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorFormat {
    /// `{}`
    #[default]
    Display,
    /// `{:?}`
    Debug,
    /// `{:#?}`
    PrettyDebug,
}

/// What following a command can concern.
pub struct Session<'a> {
    /// evcxr.
    pub context: &'a mut CommandContext,
    /// What was built for it.
    pub prebuilt: &'a Prebuilt,
    /// How values are shown.
    pub formats: &'a mut Formats,
    /// Whether loops can be stopped that do not await.
    pub checkpoints: &'a mut bool,
    /// The session's items.
    pub items: &'a mut Items,
    /// To the cell process and to the relay.
    pub wires: &'a Wires,
    /// For what the cell waits at its end.
    pub drain: Option<Drain>,
}

impl Session<'_> {
    /// Follows the commands of a cell. Returns the cell without them, in the same lines, and what
    /// they have to show. Dependencies are left to be added together with the code that needs them.
    ///
    /// # Errors
    /// Where one cannot be followed; says why.
    pub fn follow(&mut self, code: &str) -> Result<(String, EvalOutputs), CellError> {
        let (header, rest) = code.split_at(cell_source::start_of_code(code));
        let mut left = String::with_capacity(code.len());
        let mut outputs = EvalOutputs::new();
        for line in header.split_inclusive('\n') {
            let command = line.trim();
            let is_command = command.starts_with(':') || line.starts_with('!');
            let is_followed = if word(command) == ":dep" {
                is_old_tokio(command)
            } else {
                is_command
            };
            if is_followed {
                outputs.merge(self.follow_one(command)?);
                left.push_str(if line.ends_with('\n') { "\n" } else { "" });
            } else {
                left.push_str(line);
            }
        }
        Ok((left + rest, outputs))
    }

    fn follow_one(&mut self, command: &str) -> Result<EvalOutputs, CellError> {
        let argument = command[word(command).len()..].trim();
        match word(command) {
            ":clear" => {
                let commands = self
                    .prebuilt
                    .commands()
                    .map_err(|error| CellError::Kernel {
                        message: format!("{error:#}"),
                    })?;
                *self.items = Items::default();
                self.evaluate(&format!(":clear\n{commands}"))
            }
            ":restart" => {
                self.wires.running.kill();
                // evcxr notices that, forgets the variables, and starts a new process.
                self.evaluate("();")
            }
            ":quit" => {
                // The same as when Jupyter ends the kernel by a signal.
                let _ = rustix::process::kill_process(
                    rustix::process::getpid(),
                    rustix::process::Signal::TERM,
                );
                Ok(EvalOutputs::new())
            }
            // What was written for it mostly works with the present one, and two do not work together.
            ":dep" => Ok(said(
                "every cell has tokio 1 already; this line was left out",
            )),
            ":drain" => {
                let seconds = match argument {
                    "" => Ok(None),
                    seconds => options::seconds(seconds).map(Some),
                };
                let seconds = seconds.map_err(|why| refused(command, &why))?;
                self.drain = Some(Drain {
                    of_cell: false,
                    seconds,
                });
                Ok(EvalOutputs::new())
            }
            ":output" => self.output(command, argument),
            ":checkpoints" => {
                *self.checkpoints = match argument {
                    "" => !*self.checkpoints,
                    "0" => false,
                    "1" => true,
                    _ => return Err(refused(command, "say `:checkpoints 0` or `:checkpoints 1`")),
                };
                Ok(said(if *self.checkpoints {
                    "Checkpoints: loops can be stopped at each turn"
                } else {
                    "No checkpoints: loops run at full speed, and can be stopped only at an await point"
                }))
            }
            ":help" => {
                let mut outputs = self.evaluate(command)?;
                outputs.merge(said(HELP));
                Ok(outputs)
            }
            ":allow_static_linking" if argument != "1" => Err(refused(
                command,
                "every cell is linked dynamically to the one runtime already, and so are its dependencies; there is nothing to be changed",
            )),
            ":preserve_vars_on_panic" if argument != "1" => Err(refused(
                command,
                "a cell that fails or is stopped unwinds to its end, and has to be caught there: variables of earlier cells are always kept",
            )),
            ":sccache" if argument != "0" => Err(refused(
                command,
                "sccache would take the place of the compiler wrapper by which the cells share one runtime; `:cache MiB` does the same with it",
            )),
            ":toolchain" if !argument.is_empty() => self.toolchain(command, argument),
            ":fmt" => {
                let output = self.evaluate(command)?;
                self.formats.output = Some(argument.to_owned())
                    .filter(|format| !format.is_empty() && format != "{:?}");
                Ok(output)
            }
            ":types" => {
                let output = self.evaluate(command)?;
                self.formats.types = !self.formats.types;
                Ok(output)
            }
            ":efmt" => {
                let output = self.evaluate(command)?;
                self.formats.error = match argument {
                    "{}" => ErrorFormat::Display,
                    "{:?}" => ErrorFormat::Debug,
                    "{:#?}" => ErrorFormat::PrettyDebug,
                    _ => self.formats.error,
                };
                Ok(output)
            }
            _ => self.evaluate(command),
        }
    }

    /// Changes how output is limited, and tells how it is.
    fn output(&self, command: &str, argument: &str) -> Result<EvalOutputs, CellError> {
        let mut limits = Limits::default();
        let mut words = argument.split_whitespace();
        while let Some(word) = words.next() {
            let limit = match word {
                "rate" => &mut limits.rate,
                "backlog" => &mut limits.backlog,
                _ => return Err(refused(command, OUTPUT)),
            };
            let number = words.next().and_then(|number| number.parse().ok());
            *limit = Some(number.ok_or_else(|| refused(command, OUTPUT))?);
        }
        let limits = self.wires.limit(limits);
        let rate = limits.rate.map_or("unlimited".to_owned(), |rate| {
            format!("{rate} bytes a second")
        });
        let backlog = limits.backlog.unwrap_or_default();
        Ok(said(&format!(
            "rate: {rate}\nbacklog: {backlog} bytes of each cell wait for the front end"
        )))
    }

    fn toolchain(&mut self, command: &str, name: &str) -> Result<EvalOutputs, CellError> {
        let wanted = Toolchain::verbose_version_of(name);
        let present = Toolchain::find().map(|present| present.verbose_version);
        match (wanted, present) {
            (Ok(wanted), Ok(present)) if wanted == present => self.evaluate(command),
            (Err(error), _) => Err(refused(
                command,
                &format!("there is no toolchain {name}: {error:#}"),
            )),
            _ => Err(refused(
                command,
                &format!(
                    "the runtime that all cells share is built for one compiler. To work with {name}, choose it for the notebook's folder (`rustup override set {name}`) and restart the kernel, which then builds the runtime for it"
                ),
            )),
        }
    }

    /// Lets evcxr evaluate what is no cell. That the cell process has ended is no error.
    ///
    /// # Errors
    /// evcxr's, as a refusal.
    pub fn evaluate(&mut self, code: &str) -> Result<EvalOutputs, CellError> {
        match self.context.execute(code) {
            Ok(outputs) => Ok(outputs),
            Err(evcxr::Error::SubprocessTerminated(_)) => Ok(EvalOutputs::new()),
            Err(error) => Err(CellError::Refused {
                message: diagnostics::refusal(&error.to_string()),
            }),
        }
    }
}

/// Whether a `:dep` asks for a tokio from before its version 1.
fn is_old_tokio(command: &str) -> bool {
    let argument = command.strip_prefix(":dep").unwrap_or_default();
    let Ok(dependency) = argument.parse::<toml::Table>() else {
        return false;
    };
    let version = match dependency.get("tokio") {
        Some(toml::Value::String(version)) => Some(version),
        Some(toml::Value::Table(table)) => match table.get("version") {
            Some(toml::Value::String(version)) => Some(version),
            _ => None,
        },
        _ => None,
    };
    version.is_some_and(|version| {
        version
            .trim_start_matches(['=', '^', '~', ' '])
            .starts_with("0.")
    })
}

fn said(text: &str) -> EvalOutputs {
    EvalOutputs::text_html(text.to_owned(), format!("<pre>{text}</pre>"))
}

fn word(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or_default()
}

fn refused(command: &str, why: &str) -> CellError {
    CellError::Refused {
        message: format!("`{command}` cannot be followed: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tokio_from_before_its_version_1_is_left_out() {
        assert!(is_old_tokio(
            ":dep tokio = { version = \"0.2\", features = [\"full\"] }"
        ));
        assert!(is_old_tokio(":dep tokio = \"=0.3.1\""));
        for other in [
            ":dep tokio",
            ":dep tokio = \"1\"",
            ":dep tokio-stream = \"0.1\"",
            ":dep tokio = { path = \"x\" }",
        ] {
            assert!(!is_old_tokio(other), "{other}");
        }
    }
}
