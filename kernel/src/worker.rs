//! The thread on which evcxr lives: it sets itself up while the user reads, then takes one request
//! after the other.

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self as std_mpsc, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use evcxr::{CommandContext, EvalContextOutputs};
use jupyter_protocol::{ExecutionCount, JupyterMessage, JupyterMessageContent};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::cell_source::{self, CellSource};
use crate::child::{self, Event, Orders};
use crate::complete::{self, Completions, Inspection};
use crate::error::{CellError, Variables};
use crate::history::History;
use crate::inference::Inference;
use crate::prebuilt::{Prebuilt, Toolchain};
use crate::programs::Programs;
use crate::relay::Instruction;
use crate::rewrite::Drain;
use crate::run::{self, Notebook, Run, Wires};
use crate::running::Running;
use crate::session_dir::SessionDir;
use crate::wire::CellId;
use crate::{commands, declare, evaluator, prepare, surroundings};

/// What the worker is asked for, each with the address to which it replies.
#[derive(Debug)]
pub enum Request {
    /// Run a cell.
    Execute {
        /// Its number.
        cell: CellId,
        /// What the user wrote.
        code: String,
        /// The execute_request.
        parent: Box<JupyterMessage>,
        /// The number beside its result.
        execution_count: ExecutionCount,
        /// How it ended.
        reply_tx: oneshot::Sender<Result<(), CellError>>,
    },
    /// Complete code at a byte.
    Complete {
        /// The cell.
        code: String,
        /// The byte.
        offset: usize,
        /// What fits.
        reply_tx: oneshot::Sender<Option<Completions>>,
    },
    /// Explain code at a byte.
    Inspect {
        /// The cell.
        code: String,
        /// The byte.
        offset: usize,
        /// What is known.
        reply_tx: oneshot::Sender<Option<Inspection>>,
    },
    /// End the cell process and remove the session's folder.
    ShutDown {
        /// Told when that is done.
        reply_tx: oneshot::Sender<()>,
    },
}

/// What a worker needs of the kernel.
pub struct Parts {
    /// Where the session's folder is to be.
    pub folder: PathBuf,
    /// What is compiled there.
    pub history: History,
    /// What can be stopped.
    pub running: Arc<Running>,
    /// To the cell process.
    pub orders: Orders,
    /// To the relay.
    pub instruction_tx: mpsc::UnboundedSender<Instruction>,
    /// From the cell process.
    pub event_tx: mpsc::Sender<Event>,
    /// For how many seconds each cell waits for its tasks.
    pub drain: Option<f64>,
    /// How many bytes of memory the cells may use.
    pub memory: Option<u64>,
}

/// After how long without a request the worker prepares for questions about code, during which a cell
/// would have to wait: at the beginning, when the user has not begun, and later.
const IDLE_BEFORE: Duration = Duration::from_millis(200);
const IDLE_BETWEEN: Duration = Duration::from_secs(3);

/// After how long evcxr is told of the variables of the last cells. Whoever runs all cells sends the next
/// one sooner.
const IDLE_BETWEEN_CELLS: Duration = Duration::from_millis(100);

/// What is said under cells that wait for the runtime.
const BUILDING: &str = "note: the kernel compiles its runtime for this Rust toolchain, which takes a minute \
                        or two, once; then this cell runs\n";

/// See the module's documentation.
pub struct Worker {
    parts: Parts,
    /// The kernel's own runtime, for the sockets.
    kernel: Handle,
    /// evcxr, once it is set up.
    evaluator: Option<Evaluator>,
}

/// What exists once evcxr is set up. The folder goes last: evcxr's process works in it.
struct Evaluator {
    context: CommandContext,
    prebuilt: Prebuilt,
    notebook: Notebook,
    /// Why the cell process was found dead while no cell ran, and the variables that it had: evcxr has
    /// started another one.
    died: Option<(String, Vec<String>)>,
    /// Whether rust-analyzer has been shown the standard library.
    knows_std: bool,
    _outputs: EvalContextOutputs,
    session_dir: SessionDir,
    /// Keeps the runtime from being removed.
    _in_use: File,
}

impl Worker {
    /// A worker that has not started. Must be called on the kernel's runtime.
    pub fn new(parts: Parts) -> Worker {
        Worker {
            parts,
            kernel: Handle::current(),
            evaluator: None,
        }
    }

    /// Starts the thread. It ends when nobody can ask it any more.
    pub fn start(mut self) -> std_mpsc::Sender<Request> {
        let (request_tx, request_rx) = std_mpsc::channel();
        std::thread::spawn(move || {
            if let Err(error) = self.set_up() {
                // The next cell tries again, and says so if it still does not work.
                tracing::error!("the session cannot be set up yet: {error:#}");
            }
            let mut is_told = true;
            let mut before_warm_up = Some(IDLE_BEFORE);
            loop {
                let idle = if is_told {
                    before_warm_up
                } else {
                    Some(IDLE_BETWEEN_CELLS)
                };
                let request = match idle {
                    Some(idle) => request_rx.recv_timeout(idle),
                    None => request_rx.recv().map_err(RecvTimeoutError::from),
                };
                match request {
                    Ok(request) => {
                        self.take(request);
                        is_told = false;
                        before_warm_up = before_warm_up.and(Some(IDLE_BETWEEN));
                    }
                    // The user reads.
                    Err(RecvTimeoutError::Timeout) if !is_told => {
                        self.declare();
                        is_told = true;
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        self.warm_up();
                        before_warm_up = None;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        request_tx
    }

    fn take(&mut self, request: Request) {
        // Nobody waits any more for a reply that cannot be sent.
        match request {
            Request::Execute {
                cell,
                code,
                parent,
                execution_count,
                reply_tx,
            } => {
                // It may have been stopped while the worker did something else.
                if self.parts.running.take(cell) {
                    let result = self.execute(cell, &code, parent, execution_count);
                    let _ = reply_tx.send(result);
                }
            }
            Request::Complete {
                code,
                offset,
                reply_tx,
            } => {
                let _ =
                    reply_tx.send(self.ask(|context| complete::complete(context, &code, offset)));
            }
            Request::Inspect {
                code,
                offset,
                reply_tx,
            } => {
                let _ =
                    reply_tx.send(self.ask(|context| complete::inspect(context, &code, offset)));
            }
            Request::ShutDown { reply_tx } => {
                self.evaluator = None;
                let _ = reply_tx.send(());
            }
        }
    }

    /// Tells evcxr of the variables of the last cells. One that needs them says it if that fails.
    fn declare(&mut self) {
        if let Some(evaluator) = &mut self.evaluator {
            let declared = std::panic::catch_unwind(AssertUnwindSafe(|| evaluator.declare()));
            if let Ok(Err(error)) = declared {
                tracing::warn!("{error}");
            }
        }
    }

    /// Asks evcxr something that changes nothing. A bug of its own only costs the answer.
    fn ask<T>(&mut self, question: impl FnOnce(&mut CommandContext) -> Option<T>) -> Option<T> {
        self.declare();
        let evaluator = self.evaluator.as_mut()?;
        evaluator.show_std().ok()?;
        let context = &mut evaluator.context;
        std::panic::catch_unwind(AssertUnwindSafe(|| question(context))).ok()?
    }

    /// Lets rust-analyzer look at what most completions need, which takes seconds the first time.
    fn warm_up(&mut self) {
        let code = "let warm = tokio::spawn(async { String::new() }); warm.";
        self.ask(|context| complete::complete(context, code, code.len()));
    }

    fn set_up(&mut self) -> anyhow::Result<&mut Evaluator> {
        // Twice, since a borrow that is returned from the first test would last to the end.
        if self.evaluator.is_none() {
            let evaluator = self.open()?;
            self.parts
                .running
                .set_process(evaluator.context.process_handle());
            self.evaluator = Some(evaluator);
        }
        self.evaluator
            .as_mut()
            .context("the session was not set up")
    }

    fn open(&self) -> anyhow::Result<Evaluator> {
        tracing::debug!("looking for the runtime");
        let (toolchain, prebuilt) = self.find_or_build()?;
        let in_use = prebuilt.mark_used().context("the runtime cannot be read")?;
        let session_dir = SessionDir::create(&self.parts.folder)?;
        session_dir.fill(&prebuilt)?;
        session_dir.hide_std()?;
        session_dir.programs().link(&toolchain)?;
        tracing::debug!("starting evcxr");
        let _kernel = self.kernel.enter();
        child::listen(
            &session_dir.socket(),
            self.parts.orders.clone(),
            self.parts.event_tx.clone(),
        )?;
        let failed = |error: evcxr::Error| anyhow!("evcxr cannot be set up: {error}");
        let (mut context, outputs) = evaluator::open(
            &prebuilt,
            &session_dir.socket(),
            &session_dir.programs(),
            self.parts.memory,
        )
        .map_err(failed)?;
        tracing::debug!("making the runtime available to the cells");
        session_dir.restore_lock_file(&prebuilt)?;
        context.execute(&prebuilt.commands()?).map_err(failed)?;
        tracing::debug!("the session is set up");
        Ok(Evaluator {
            context,
            prebuilt,
            notebook: Notebook::new(self.parts.history.clone()),
            died: None,
            knows_std: false,
            _outputs: outputs,
            session_dir,
            _in_use: in_use,
        })
    }

    /// Finds what is built for the toolchain; else lets a process of its own build it, which says so in
    /// the kernel's log.
    fn find_or_build(&self) -> anyhow::Result<(Toolchain, Prebuilt)> {
        if let (toolchain, Some(ready)) = prepare::find()? {
            return Ok((toolchain, ready));
        }
        self.parts.running.set_delay(Some(BUILDING));
        let built = build(&Programs::of_session(&self.parts.folder));
        self.parts.running.set_delay(None);
        built
    }

    fn execute(
        &mut self,
        cell: CellId,
        code: &str,
        parent: Box<JupyterMessage>,
        execution_count: ExecutionCount,
    ) -> Result<(), CellError> {
        let (end_tx, end_rx) = mpsc::unbounded_channel();
        let silent = matches!(
            &parent.content,
            JupyterMessageContent::ExecuteRequest(request) if request.silent
        );
        let expect = Instruction::Expect {
            cell,
            parent,
            execution_count,
            silent,
            end_tx,
        };
        // The relay only ends with the kernel.
        let _ = self.parts.instruction_tx.send(expect);
        let wires = Wires {
            kernel: self.kernel.clone(),
            running: Arc::clone(&self.parts.running),
            orders: self.parts.orders.clone(),
            end_rx,
            instruction_tx: self.parts.instruction_tx.clone(),
        };
        let drain = self.parts.drain;
        let running = Arc::clone(&self.parts.running);
        let folder = self.parts.folder.clone();
        let evaluator = self.set_up().map_err(|error| {
            let message = format!("{error:#}");
            let error = surroundings::explain(CellError::Kernel { message }, &folder, false);
            running.cause(error)
        })?;
        if wires.running.is_stopped() {
            return Err(CellError::Interrupted {
                variables: Variables::default(),
            });
        }
        let drain = drain.map(|seconds| Drain {
            of_cell: true,
            seconds: Some(seconds),
        });
        let run = || evaluator.run(cell, code, execution_count, drain, wires);
        let result = std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            Err(CellError::Kernel {
                message: "evcxr panicked while it worked on this cell; the kernel's log has \
                          details. Restart the kernel if later cells fail too"
                    .to_owned(),
            })
        });
        cell_source::forget_all();
        // Whatever went wrong: the compilers were ended.
        let result = result.map_err(|error| surroundings::explain(error, &folder, true));
        result.map_err(|error| self.parts.running.cause(error))
    }
}

impl Evaluator {
    /// Tells evcxr of variables of which it does not know yet.
    fn declare(&mut self) -> Result<(), CellError> {
        let variables = self.notebook.variables(&self.context);
        let declarations = &mut self.notebook.declarations;
        match declarations.tell(&mut self.context, &self.session_dir.cells()) {
            Ok(()) => Ok(()),
            Err(evcxr::Error::SubprocessTerminated(reason)) => {
                self.died = Some((reason, variables));
                Ok(())
            }
            Err(error) => Err(declare::not_told(&error)),
        }
    }

    /// Lets rust-analyzer see what completion needs.
    fn show_std(&mut self) -> Result<(), evcxr::Error> {
        let variables = self.notebook.variables(&self.context);
        let mut inference = Inference {
            session_dir: &self.session_dir,
            prebuilt: &self.prebuilt,
            is_shown: &mut self.knows_std,
        };
        match inference.show(&mut self.context) {
            Err(evcxr::Error::SubprocessTerminated(reason)) => {
                self.died = Some((reason, variables));
                Ok(())
            }
            shown => shown,
        }
    }

    /// Whether evcxr has to be told of variables before a cell runs: the cell may take one, or make one
    /// unusable, or evcxr would take one for what it was before it was bound anew.
    fn has_to_know_variables(&self, cell: CellId, source: &CellSource) -> bool {
        let declarations = &self.notebook.declarations;
        let are_bound_anew = || {
            let mut known = self.context.variables_and_types().map(|(name, _)| name);
            known.any(|known| declarations.names().any(|name| name == known))
        };
        let changes = || self.notebook.items.changes(source, cell).changed;
        !declarations.is_empty()
            && (declarations.are_named_in(source.code())
                || are_bound_anew()
                || !changes().is_empty())
    }

    fn run(
        &mut self,
        cell: CellId,
        code: &str,
        execution_count: ExecutionCount,
        drain: Option<Drain>,
        wires: Wires,
    ) -> Result<(), CellError> {
        self.notebook.declarations.forget_lost(&self.context);
        let commands = &code[..cell_source::start_of_code(code)];
        if commands.contains([':', '!']) {
            self.declare()?;
        }
        if commands.contains(":dep") || commands.contains(":clear") {
            // Another version of a crate need not have such types.
            self.notebook.other_types.clear();
        }
        let mut session = commands::Session {
            context: &mut self.context,
            prebuilt: &self.prebuilt,
            formats: &mut self.notebook.formats,
            checkpoints: &mut self.notebook.checkpoints,
            items: &mut self.notebook.items,
            wires: &wires,
            drain,
        };
        let (code, outputs) = session.follow(code)?;
        let drain = session.drain;
        wires.show(cell, outputs);
        let source = CellSource::new(&code);
        if self.has_to_know_variables(cell, &source) {
            self.declare()?;
        }
        if let Some((reason, variables)) = self.died.take() {
            return Err(run::died(&reason, variables, &wires.running));
        }
        let run = Run {
            cell,
            execution_count,
            source: &source,
            context: &mut self.context,
            inference: Inference {
                session_dir: &self.session_dir,
                prebuilt: &self.prebuilt,
                is_shown: &mut self.knows_std,
            },
            folder: self.session_dir.cells(),
            notebook: &mut self.notebook,
            drain,
            wires,
        };
        run.run()
    }
}

fn build(programs: &Programs) -> anyhow::Result<(Toolchain, Prebuilt)> {
    let program = std::env::current_exe().context("this program does not know its own path")?;
    let mut command = Command::new(program);
    let status = programs
        .leave_environment(command.arg("prepare"))
        .status()?;
    let (toolchain, built) = prepare::find()?;
    built
        .map(|built| (toolchain, built))
        .with_context(|| format!("the runtime could not be built ({status}); see the kernel's log"))
}
