//! How a cell can fail, by who can do something about it.

use std::fmt;

use crate::hints;
use crate::running::TasksOfCell;

/// Why a cell did not succeed. Each becomes an `error` message and a reply with status `error`.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// The user's code does not compile.
    #[error("{summary}")]
    Compile {
        /// The first error's message.
        summary: String,
        /// All errors, as shown in the terminal colours that front ends understand.
        rendered: String,
    },
    /// A command such as `:dep` failed, or evcxr refuses the cell.
    #[error("{message}")]
    Refused {
        /// What was wrong, and what to do.
        message: String,
    },
    /// The user's code panicked.
    #[error("{message}")]
    Panicked {
        /// The panic's message.
        message: String,
        /// The user's calls that had not returned, innermost first.
        frames: Vec<CallPlace>,
        /// What became of the cell's variables.
        variables: Variables,
    },
    /// A `?` at the cell's top level met an error.
    #[error("{message}")]
    Failed {
        /// The error's type.
        name: String,
        /// Its own text.
        message: String,
        /// Its chain of sources.
        sources: Vec<String>,
        /// What became of the cell's variables.
        variables: Variables,
    },
    /// The stop button ended it at an await point, or before it began.
    #[error("stopped; variables, tasks and queues are kept")]
    Interrupted {
        /// What became of the cell's own variables.
        variables: Variables,
    },
    /// The stop button ended it together with the cell process, since it reached no await point.
    #[error(
        "the cell reached no await point, so the process that runs the cells was ended: all \
         variables and tasks are lost ({lost}); functions, types and dependencies are kept"
    )]
    Killed {
        /// What ended with it.
        lost: Lost,
    },
    /// The cell process ended by itself.
    #[error(
        "the process that runs the cells ended ({reason}): all variables and tasks are lost \
         ({lost}); functions, types and dependencies are kept, and the next cell starts a new one"
    )]
    CellProcessDied {
        /// How it ended.
        reason: String,
        /// What ended with it.
        lost: Lost,
    },
    /// The kernel itself cannot go on with this cell.
    #[error("{message}")]
    Kernel {
        /// What happened, and what to do.
        message: String,
    },
}

impl CellError {
    /// The error's name, as front ends show it.
    pub fn name(&self) -> &str {
        match self {
            CellError::Compile { .. } => "CompilationError",
            CellError::Refused { .. } => "Error",
            CellError::Panicked { .. } => "Panic",
            CellError::Failed { name, .. } => name,
            CellError::Interrupted { .. } | CellError::Killed { .. } => "Interrupted",
            CellError::CellProcessDied { .. } => "CellProcessDied",
            CellError::Kernel { .. } => "KernelError",
        }
    }

    /// What front ends show, by lines.
    pub fn traceback(&self) -> Vec<String> {
        let mut detail = match self {
            CellError::Compile { rendered, .. } => {
                return rendered.lines().map(str::to_owned).collect();
            }
            CellError::Panicked {
                message, frames, ..
            } => {
                let frames = frames.iter().map(|frame| format!("\n  {frame}"));
                let hint = hints::for_panic(message).map(|hint| format!("\nhint: {hint}"));
                format!("{message}{}", frames.chain(hint).collect::<String>())
            }
            CellError::Failed {
                message, sources, ..
            } => sources.iter().fold(message.clone(), |text, source| {
                format!("{text}\n  caused by: {source}")
            }),
            other => other.to_string(),
        };
        if let CellError::Panicked { variables, .. }
        | CellError::Failed { variables, .. }
        | CellError::Interrupted { variables } = self
        {
            detail.push_str(&variables.to_string());
        }
        let mut lines = detail.lines();
        let first = headline(self.name(), lines.next().unwrap_or_default());
        std::iter::once(first)
            .chain(lines.map(str::to_owned))
            .collect()
    }
}

/// A call in the user's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPlace {
    /// The function; none for the statements of the cell.
    pub function: Option<String>,
    /// The line, from 1, and the number of the cell where that is another one.
    pub place: Option<(usize, Option<usize>)>,
}

impl fmt::Display for CallPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => write!(f, "in `{function}`")?,
            None => f.write_str("at")?,
        }
        let separator = if self.function.is_some() { ", at" } else { "" };
        match self.place {
            Some((line, None)) => write!(f, "{separator} line {line} of the cell"),
            Some((line, Some(cell))) => write!(f, "{separator} line {line} of cell [{cell}]"),
            None if self.function.is_none() => f.write_str(" some line of the cell"),
            None => Ok(()),
        }
    }
}

/// What has ended with a cell process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// The names of the variables.
    pub variables: Vec<String>,
    /// The tasks that had not ended, by their cells.
    pub tasks: Vec<TasksOfCell>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.variables.is_empty() {
            f.write_str("there were no variables")?;
        } else {
            f.write_str(&self.variables.join(", "))?;
        }
        for (cell, tasks) in &self.tasks {
            let noun = if *tasks == 1 { "task" } else { "tasks" };
            write!(f, "; {tasks} {noun}")?;
            if let Some(cell) = cell {
                write!(f, " of cell [{cell}]")?;
            }
        }
        Ok(())
    }
}

/// What became of the variables of a cell that did not run to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    /// Those that later cells can use.
    pub kept: Vec<String>,
    /// The others.
    pub lost: Vec<String>,
}

impl fmt::Display for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.kept.is_empty() {
            write!(
                f,
                "\nof this cell's variables, kept: {}",
                self.kept.join(", ")
            )?;
        }
        if !self.lost.is_empty() {
            write!(
                f,
                "\nof this cell's variables, not kept: {}",
                self.lost.join(", ")
            )?;
        }
        Ok(())
    }
}

/// A line that says what kind of error it is, in red, and what is wrong.
fn headline(name: &str, message: &str) -> String {
    format!("\x1b[1;31m{name}\x1b[0m: {message}")
}
