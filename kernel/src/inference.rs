//! Letting rust-analyzer see the standard library and the dependencies. It takes more than a second, and
//! most cells do without: it is for completion and inspection, and for the few types that only
//! rust-analyzer can name.

use evcxr::{CommandContext, Error};

use crate::prebuilt::Prebuilt;
use crate::session_dir::SessionDir;

/// What rust-analyzer is to see, if it has not yet.
#[derive(Debug)]
pub struct Inference<'a> {
    /// Where it looks.
    pub session_dir: &'a SessionDir,
    /// What there is.
    pub prebuilt: &'a Prebuilt,
    /// Whether it has seen it.
    pub is_shown: &'a mut bool,
}

impl Inference<'_> {
    /// Shows it.
    ///
    /// # Errors
    /// evcxr's own, and where the session's folder cannot be written to.
    pub fn show(&mut self, context: &mut CommandContext) -> Result<(), Error> {
        if *self.is_shown {
            return Ok(());
        }
        let failed = |error: anyhow::Error| {
            Error::Message(format!("the standard library cannot be read: {error:#}"))
        };
        self.session_dir.show_std(self.prebuilt).map_err(failed)?;
        let commands = self.prebuilt.commands_to_read_anew().map_err(failed)?;
        let shown = context.execute(&commands);
        // The cell process has nothing to do with it.
        *self.is_shown = matches!(shown, Ok(_) | Err(Error::SubprocessTerminated(_)));
        shown.map(drop)
    }
}
