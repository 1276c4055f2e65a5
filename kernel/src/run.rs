//! One cell on its way through evcxr: rewritten, compiled, run, and answered for.
//!
//! A cell whose variables cannot be kept as they are does not compile at first. What the errors say
//! changes the [`Plan`] for its variables, and it is tried again; nothing of it has run by then.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use evcxr::{CommandContext, CompilationError, Error, EvalOutputs};
use jupyter_protocol::ExecutionCount;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::cell_source::{CellSource, is_item};
use crate::child::Orders;
use crate::commands::{ErrorFormat, Formats};
use crate::declare::Declarations;
use crate::error::{CallPlace, CellError, Lost, Variables};
use crate::history::History;
use crate::inference::Inference;
use crate::items::{ItemChanges, Items};
use crate::keep::Plan;
use crate::output::Output;
use crate::pace::Limits;
use crate::relay::{End, Instruction};
use crate::remedy::{Remedy, remedy};
use crate::rewrite::{Drain, Rewritten, Wishes, rewrite};
use crate::running::Running;
use crate::type_name::of_other_crates;
use crate::wire::{Bundle, Call, CellId, Line, Order, Outcome, Stream};
use crate::{
    ask, cell_build, declare, diagnostics, display_calls, hand_over, hints, line_tables, warnings,
};

/// How often a cell is compiled with another plan. Each failure settles at least one variable in one
/// respect, so this only bounds what has gone wrong.
const MAX_ATTEMPTS: usize = 12;

/// How long the end of the cell process may take to be noticed after evcxr has noticed it. It has
/// ended by then, so this only bounds the case in which it ended before it had connected.
const GONE_TIMEOUT: Duration = Duration::from_secs(2);

/// What evcxr puts in front of how its child process ended.
const EVCXRS_WORDS: &str = "Subprocess terminated with status:";

/// The crates that re-export the trait of streams, as cells call them, and its path.
const STREAM_CRATES: [(&str, &str); 4] = [
    ("futures", "futures::Stream"),
    ("futures-util", "futures_util::Stream"),
    ("tokio-stream", "tokio_stream::Stream"),
    ("futures-core", "futures_core::Stream"),
];

/// What one cell hands to the next.
#[derive(Debug)]
pub struct Notebook {
    /// The items.
    pub items: Items,
    /// How values are shown.
    pub formats: Formats,
    /// Whether loops can be stopped that do not await.
    pub checkpoints: bool,
    /// What has been compiled.
    pub history: History,
    /// The variables of which evcxr has not been told yet.
    pub declarations: Declarations,
    /// The types of other crates that variables have had.
    pub other_types: BTreeSet<String>,
}

impl Notebook {
    /// A notebook of which no cell has run.
    pub fn new(history: History) -> Notebook {
        Notebook {
            items: Items::default(),
            formats: Formats::default(),
            checkpoints: true,
            history,
            declarations: Declarations::default(),
            other_types: BTreeSet::new(),
        }
    }

    /// The names of the variables that cells have left, whether evcxr knows of them yet or not.
    pub fn variables(&self, context: &CommandContext) -> Vec<String> {
        let known = context.variables_and_types().map(|(name, _)| name);
        let mut names: Vec<&str> = known.chain(self.declarations.names()).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(str::to_owned).collect()
    }
}

/// Where a run sends what it has to say, and hears how its cell ends.
pub struct Wires {
    /// The kernel's own runtime.
    pub kernel: Handle,
    /// What can be stopped.
    pub running: Arc<Running>,
    /// To the cell process.
    pub orders: Orders,
    /// From the cell process, by way of the relay.
    pub end_rx: mpsc::UnboundedReceiver<End>,
    /// To the relay.
    pub instruction_tx: mpsc::UnboundedSender<Instruction>,
}

impl Wires {
    /// Shows what commands such as `:vars` have returned under a cell, and how long it took where
    /// the user wants to know.
    pub fn show(&self, cell: CellId, outputs: EvalOutputs) {
        let bundle: Bundle = outputs.content_by_mime_type.into_iter().collect();
        if !bundle.is_empty() {
            self.show_and_wait(cell, Output::Result { bundle });
        } else if let Some(time) = outputs.timing {
            let took = format!("Took {}ms", time.as_millis());
            let bundle = vec![("text/plain".to_owned(), took)];
            let (id, update) = (None, false);
            self.show_and_wait(cell, Output::Display { bundle, id, update });
        }
    }

    /// Says something on a cell's standard error.
    fn note(&self, cell: CellId, text: String) {
        if !text.is_empty() {
            let stream = Stream::Stderr;
            self.show_and_wait(cell, Output::Text { stream, text });
        }
    }

    /// Limits output otherwise; returns the limits then.
    pub fn limit(&self, limits: Limits) -> Limits {
        let (limits_tx, limits_rx) = oneshot::channel();
        // The relay only ends with the kernel.
        let _ = self
            .instruction_tx
            .send(Instruction::Limit { limits, limits_tx });
        limits_rx.blocking_recv().unwrap_or_default()
    }

    /// Returns when it has gone out.
    fn show_and_wait(&self, cell: CellId, output: Output) {
        let (sent_tx, sent_rx) = oneshot::channel();
        let show = Instruction::Show {
            cell,
            output,
            sent_tx,
        };
        // The relay only ends with the kernel.
        if self.instruction_tx.send(show).is_ok() {
            let _ = sent_rx.blocking_recv();
        }
    }
}

/// See the module's documentation.
pub struct Run<'a> {
    /// The cell's number.
    pub cell: CellId,
    /// The number that the user sees.
    pub execution_count: ExecutionCount,
    /// What the user wrote, without commands that have been followed.
    pub source: &'a CellSource,
    /// evcxr.
    pub context: &'a mut CommandContext,
    /// What rust-analyzer needs to infer types.
    pub inference: Inference<'a>,
    /// The folder in which evcxr compiles.
    pub folder: PathBuf,
    /// What earlier cells have left.
    pub notebook: &'a mut Notebook,
    /// For what the cell waits at its end.
    pub drain: Option<Drain>,
    /// The ways out.
    pub wires: Wires,
}

impl Run<'_> {
    /// Runs the cell to its end.
    ///
    /// # Errors
    /// The way in which it failed.
    pub fn run(mut self) -> Result<(), CellError> {
        let items = self.notebook.items.changes(self.source, self.cell);
        let mut plan = Plan::new(self.source);
        let lost = items.lost(self.context.variables_and_types());
        if !lost.is_empty() {
            self.forget(&items, &mut plan, &lost)?;
        } else if !items.changed.is_empty() {
            self.tell_what_is_lost(&lost);
        }
        let mut statements = self.source.statements().into_iter().flatten();
        cell_build::note_items(&self.folder, statements.any(is_item)).map_err(|error| {
            let message = format!("the session's folder cannot be written to: {error}");
            CellError::Kernel { message }
        })?;
        for _ in 0..MAX_ATTEMPTS {
            if self.wires.running.is_stopped() {
                break;
            }
            if self.source.statements().is_none() || !plan.inferred().is_empty() {
                self.show_std()?;
            }
            warnings::forget(&self.folder);
            // evcxr has forgotten them when it says that they are lost.
            let variables = self.variables();
            let rewritten = self.rewritten(&items, &plan, &[]);
            let count = self.execution_count.value();
            let history = &self.notebook.history;
            history.compiles(self.cell, count, rewritten.map.rewritten());
            match self.context.execute(rewritten.map.rewritten()) {
                Ok(outputs) => {
                    self.notebook.items = items.after;
                    self.wires.show(self.cell, outputs);
                    return self.finish(&rewritten, &plan, variables);
                }
                Err(Error::SubprocessTerminated(reason)) => {
                    self.wait_until_gone();
                    return Err(self.died(&reason, variables));
                }
                Err(failure) => self.mend(&items, &mut plan, failure, &rewritten)?,
            }
        }
        if self.wires.running.is_stopped() {
            return Err(CellError::Interrupted {
                variables: Variables::default(),
            });
        }
        Err(CellError::Kernel {
            message: "no way was found to keep this cell's variables; put them in a block, `{ … }`"
                .to_owned(),
        })
    }

    fn show_std(&mut self) -> Result<(), CellError> {
        let variables = self.variables();
        match self.inference.show(self.context) {
            Ok(()) => Ok(()),
            Err(Error::SubprocessTerminated(reason)) => Err(self.died(&reason, variables)),
            Err(error) => Err(CellError::Kernel {
                message: error.to_string(),
            }),
        }
    }

    fn rewritten(&self, items: &ItemChanges, plan: &Plan, asked: &[String]) -> Rewritten {
        let wishes = Wishes {
            items,
            plan,
            formats: &self.notebook.formats,
            drain: self.drain,
            checkpoints: self.notebook.checkpoints,
            own_display: self.has_own_display(items),
            other_types: &self.notebook.other_types,
            asked,
        };
        rewrite(self.source, self.cell, wishes)
    }

    /// Whether a variable or an item of the user's is called as the function that shows values.
    fn has_own_display(&self, items: &ItemChanges) -> bool {
        let of_cell = self.source.bindings();
        let mut variables = self.variables().into_iter();
        items.after.has(display_calls::NAME)
            || variables.any(|name| name == display_calls::NAME)
            || of_cell
                .iter()
                .any(|binding| binding.name == display_calls::NAME)
    }

    fn variables(&self) -> Vec<String> {
        self.notebook.variables(self.context)
    }

    /// Tells evcxr of the variables of which it does not know yet.
    fn declare(&mut self) -> Result<(), CellError> {
        let variables = self.variables();
        let told = self.notebook.declarations.tell(self.context, &self.folder);
        told.map_err(|error| match error {
            Error::SubprocessTerminated(reason) => self.died(&reason, variables),
            error => declare::not_told(&error),
        })
    }

    /// Changes the plan, or what evcxr knows, so that the cell may compile.
    ///
    /// # Errors
    /// What is shown to the user, where that cannot be.
    fn mend(
        &mut self,
        items: &ItemChanges,
        plan: &mut Plan,
        failure: Error,
        rewritten: &Rewritten,
    ) -> Result<(), CellError> {
        let declarations = &self.notebook.declarations;
        if unknown_names(&failure).any(|name| declarations.may_be_meant_by(name)) {
            return self.declare();
        }
        let remedy = remedy(plan, &failure, self.source, rewritten);
        tracing::debug!("{failure}: {remedy:?}");
        match remedy {
            Remedy::Retry(better) => {
                if better.without_types {
                    // They can be learnt again.
                    self.notebook.other_types.clear();
                }
                *plan = better;
                Ok(())
            }
            Remedy::Ask(better, names) => {
                *plan = better;
                let stream = self.stream_trait();
                self.ask(items, plan, &names, stream)
                    .map_err(|errors| match errors {
                        Some(errors) => diagnostics::compile_error(&errors, rewritten),
                        None => report(&failure, rewritten),
                    })
            }
            Remedy::None => Err(report(&failure, rewritten)),
        }
    }

    /// Asks rustc for types, and changes the plan accordingly.
    ///
    /// # Errors
    /// Where nothing was found out: what else is wrong with the cell, if that is known.
    fn ask(
        &mut self,
        items: &ItemChanges,
        plan: &mut Plan,
        names: &[String],
        stream: Option<&str>,
    ) -> Result<(), Option<Vec<CompilationError>>> {
        let asking = self.rewritten(items, plan, names);
        let errors =
            ask::ask(self.context, &self.folder, asking.map.rewritten()).map_err(|_| None)?;
        let json: Vec<Value> = errors.iter().map(|error| error.json.clone()).collect();
        let answers = ask::answers(&json, names, stream);
        if answers.is_empty() {
            let of_user = |error: &CompilationError| !ask::is_of_question(&error.json);
            let errors: Vec<_> = errors.into_iter().filter(of_user).collect();
            return Err((!errors.is_empty()).then_some(errors));
        }
        tracing::debug!("rustc's answers: {answers:?}");
        for (name, way) in answers {
            plan.learn(&name, way);
        }
        Ok(())
    }

    /// The trait of streams, if the cells depend on a crate that has it.
    fn stream_trait(&mut self) -> Option<&'static str> {
        let dependencies = self.context.execute(":show_deps").ok()?;
        let dependencies = dependencies.get("text/plain")?.to_owned();
        let named = |name: &str| {
            dependencies
                .lines()
                .any(|line| line.split(['=', ' ']).next() == Some(name))
                || self.source.code().lines().any(|line| {
                    line.trim_start().strip_prefix(":dep").is_some_and(|rest| {
                        rest.trim_start().split(['=', ' ']).next() == Some(name)
                    })
                })
        };
        STREAM_CRATES
            .iter()
            .find(|(name, _)| named(name))
            .map(|(_, path)| *path)
    }

    /// Lets evcxr forget the variables that hold what the cell defines differently, once it is known
    /// that the cell compiles.
    fn forget(
        &mut self,
        items: &ItemChanges,
        plan: &mut Plan,
        lost: &[String],
    ) -> Result<(), CellError> {
        for _ in 0..MAX_ATTEMPTS {
            let rewritten = self.rewritten(items, plan, &[]);
            let errors = match self.context.check(rewritten.map.rewritten()) {
                Ok(errors) => errors,
                Err(error) => return Err(report(&error, &rewritten)),
            };
            if errors.iter().all(|error| error.level() != "error") {
                break;
            }
            self.mend(items, plan, Error::CompilationErrors(errors), &rewritten)?;
        }
        self.tell_what_is_lost(lost);
        match self.context.execute("();") {
            Ok(_) | Err(Error::SubprocessTerminated(_)) => {}
            Err(error) => {
                return Err(CellError::Refused {
                    message: diagnostics::refusal(&error.to_string()),
                });
            }
        }
        let lost: String = lost
            .iter()
            .map(|name| format!("note: `{name}` is lost: it holds a value of a type that this cell defines differently\n"))
            .collect();
        self.wires.note(self.cell, lost);
        Ok(())
    }

    /// Tells the cell process that types change and variables are lost, and waits until it knows.
    fn tell_what_is_lost(&mut self, lost: &[String]) {
        let order = Order::Forget {
            cell: self.cell,
            names: lost.to_vec(),
        };
        if self.wires.orders.send(order) {
            // Else the process has ended, and all variables with it.
            let end_rx = &mut self.wires.end_rx;
            while !matches!(
                end_rx.blocking_recv(),
                Some(End::Forgotten | End::Gone) | None
            ) {}
        }
    }

    /// Waits until all that the cell has written has gone out, and says how it ended.
    fn finish(
        mut self,
        rewritten: &Rewritten,
        plan: &Plan,
        variables: Vec<String>,
    ) -> Result<(), CellError> {
        if !rewritten.has_statements {
            self.wires.note(self.cell, self.hints());
            return Ok(());
        }
        let (outcome, kept) = loop {
            match self.wires.end_rx.blocking_recv() {
                Some(End::Ended { outcome, variables }) => break (outcome, variables),
                Some(End::Forgotten) => {}
                Some(End::Gone) | None => {
                    return Err(self.died("it has closed its socket", variables));
                }
            }
        };
        let notes = self.hints() + &plan.notes();
        self.wires.note(self.cell, notes);
        let bindings = &rewritten.bindings;
        self.notebook.declarations.add(&kept, bindings);
        let named = kept.iter().filter(|kept| !plan.is_annotated(&kept.name));
        let other_types = named.flat_map(|kept| of_other_crates(&kept.type_name));
        self.notebook.other_types.extend(other_types);
        if outcome == Outcome::Finished {
            return Ok(());
        }
        let names = bindings.iter().map(|binding| binding.name.clone());
        let (kept, lost) = names.partition(|name| kept.iter().any(|kept| kept.name == *name));
        Err(self.failure(outcome, Variables { kept, lost }))
    }

    fn failure(&self, outcome: Outcome, variables: Variables) -> CellError {
        match outcome {
            Outcome::Finished | Outcome::Interrupted => CellError::Interrupted { variables },
            Outcome::Failed {
                name,
                message,
                debug,
                sources,
            } => CellError::Failed {
                name,
                message: match (self.notebook.formats.error, debug) {
                    (ErrorFormat::Display, _) => message,
                    (ErrorFormat::Debug, [plain, _]) => plain,
                    (ErrorFormat::PrettyDebug, [_, pretty]) => pretty,
                },
                sources,
                variables,
            },
            Outcome::Panicked {
                message,
                line,
                calls,
            } => CellError::Panicked {
                message,
                frames: self.places(line, &calls),
                variables,
            },
        }
    }

    /// Where the user's own code was when it panicked, innermost first.
    fn places(&self, line: Option<Line>, calls: &[Call]) -> Vec<CallPlace> {
        let history = &self.notebook.history;
        let frames = line_tables::frames(&self.folder, calls);
        if frames.is_empty() {
            let line = line.iter();
            return line
                .map(|line| history.place(self.cell, None, *line))
                .collect();
        }
        let cell = self.cell;
        let place = |(function, line)| history.place(cell, function, Line { cell, line });
        frames.into_iter().map(place).collect()
    }

    /// What may help somebody who has just run this.
    fn hints(&self) -> String {
        let cell = self.cell;
        let mut hints = hints::for_cell(self.source).unwrap_or_default();
        for warning in warnings::read(&self.folder) {
            if let Some(line) = hints::never_awaited(&warning)
                && let Some((line, None)) = self.notebook.history.line(cell, Line { cell, line })
            {
                hints.push_str(&hints::of_never_awaited(line));
            }
        }
        hints
    }

    /// Waits until what the cell process has reported before its end has gone out.
    fn wait_until_gone(&mut self) {
        let end_rx = &mut self.wires.end_rx;
        let gone = async {
            while let Some(end) = end_rx.recv().await {
                if end == End::Gone {
                    break;
                }
            }
        };
        let _ = self
            .wires
            .kernel
            .block_on(async { tokio::time::timeout(GONE_TIMEOUT, gone).await });
    }

    fn died(&self, reason: &str, variables: Vec<String>) -> CellError {
        died(reason, variables, &self.wires.running)
    }
}

/// The end of the cell process as the user is told of it, for the reason that evcxr gives.
pub fn died(reason: &str, variables: Vec<String>, running: &Running) -> CellError {
    let lost = Lost {
        variables,
        tasks: running.lost_tasks(),
    };
    if running.is_killed() {
        return CellError::Killed { lost };
    }
    let reason = reason.trim();
    let reason = reason.strip_prefix(EVCXRS_WORDS).unwrap_or(reason).trim();
    let hint = hints::for_end(reason).map_or(String::new(), |hint| format!(": {hint}"));
    CellError::CellProcessDied {
        reason: format!("{reason}{hint}"),
        lost,
    }
}

/// The names that stand for nothing, for which a cell was not compiled.
fn unknown_names(failure: &Error) -> impl Iterator<Item = &str> {
    let errors = match failure {
        Error::CompilationErrors(errors) => &errors[..],
        _ => &[],
    };
    let unknown = errors.iter().filter(|error| error.code() == Some("E0425"));
    unknown.filter_map(|error| hand_over::quoted(error.json["message"].as_str()?))
}

/// What the user is told of a failed attempt.
fn report(failure: &Error, rewritten: &Rewritten) -> CellError {
    match failure {
        Error::CompilationErrors(errors) => diagnostics::compile_error(errors, rewritten),
        error => CellError::Refused {
            message: diagnostics::refusal(&error.to_string()),
        },
    }
}
