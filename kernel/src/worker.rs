//! The thread on which evcxr lives: it sets itself up while the user reads, then takes one request
//! after the other.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use evcxr::{CommandContext, EvalContextOutputs, EvalOutputs};
use jupyter_protocol::{ExecutionCount, JupyterMessage, JupyterMessageContent};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::child::{self, Event, Orders};
use crate::complete::{self, Completions, Inspection};
use crate::error::CellError;
use crate::prebuilt::Prebuilt;
use crate::relay::{End, Instruction};
use crate::rewrite::{self, Rewritten};
use crate::running::Running;
use crate::session_dir::SessionDir;
use crate::wire::{CellId, Outcome};
use crate::{diagnostics, evaluator, prepare};

/// How long the end of the cell process may take to be noticed after evcxr has noticed it. It has
/// ended by then, so this only bounds the case in which it ended before it had connected.
const GONE_TIMEOUT: Duration = Duration::from_secs(2);

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

/// See the module's documentation.
pub struct Worker {
    folder: PathBuf,
    running: Arc<Running>,
    orders: Orders,
    instruction_tx: mpsc::UnboundedSender<Instruction>,
    event_tx: mpsc::Sender<Event>,
    /// The kernel's own runtime, for the sockets.
    kernel: Handle,
    /// evcxr, once it is set up.
    evaluator: Option<Evaluator>,
}

/// What exists once evcxr is set up. The folder goes last: evcxr's process works in it.
struct Evaluator {
    context: CommandContext,
    prebuilt: Prebuilt,
    _outputs: EvalContextOutputs,
    _session_dir: SessionDir,
}

impl Evaluator {
    /// Follows those commands of a cell that evcxr would follow to the end of the session: `:clear`
    /// takes the runtime away from the cells, and after `:restart` evcxr 0.22.0 still counts on the
    /// variables. Returns the cell without them, in the same lines.
    fn follow_commands(&mut self, code: &str, running: &Running) -> Result<String, CellError> {
        let (header, rest) = code.split_at(rewrite::start_of_code(code));
        let mut left = String::with_capacity(code.len());
        for line in header.split_inclusive('\n') {
            match line.trim() {
                ":clear" => {
                    let commands = self.prebuilt.commands();
                    let commands = commands.map_err(|error| CellError::Kernel {
                        message: format!("{error:#}"),
                    })?;
                    self.evaluate(&format!(":clear\n{commands}"))?;
                }
                ":restart" => {
                    running.kill();
                    // evcxr notices that, forgets the variables, and starts a new process.
                    self.evaluate("();")?;
                }
                _ => {
                    left.push_str(line);
                    continue;
                }
            }
            left.push('\n');
        }
        Ok(left + rest)
    }

    /// Evaluates what is no cell. That the cell process has ended is no error.
    fn evaluate(&mut self, code: &str) -> Result<(), CellError> {
        match self.context.execute(code) {
            Ok(_) | Err(evcxr::Error::SubprocessTerminated(_)) => Ok(()),
            Err(error) => Err(CellError::Refused {
                message: diagnostics::refusal(&error.to_string()),
            }),
        }
    }
}

impl Worker {
    /// A worker that has not started. Must be called on the kernel's runtime.
    pub fn new(
        folder: PathBuf,
        running: Arc<Running>,
        orders: Orders,
        instruction_tx: mpsc::UnboundedSender<Instruction>,
        event_tx: mpsc::Sender<Event>,
    ) -> Worker {
        Worker {
            folder,
            running,
            orders,
            instruction_tx,
            event_tx,
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
            match request_rx.try_recv() {
                Ok(request) => self.take(request),
                // The user still reads.
                Err(_) => self.warm_up(),
            }
            while let Ok(request) = request_rx.recv() {
                self.take(request);
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
                let result = self.execute(cell, &code, parent, execution_count);
                let _ = reply_tx.send(result);
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

    /// Asks evcxr something that changes nothing. A bug of its own only costs the answer.
    fn ask<T>(&mut self, question: impl FnOnce(&mut CommandContext) -> Option<T>) -> Option<T> {
        let context = &mut self.evaluator.as_mut()?.context;
        std::panic::catch_unwind(AssertUnwindSafe(|| question(context))).ok()?
    }

    /// Lets rust-analyzer look at what most variables need, which takes seconds the first time.
    fn warm_up(&mut self) {
        let code = "let warm = tokio::spawn(async { String::new() }); warm.";
        self.ask(|context| complete::complete(context, code, code.len()));
    }

    fn set_up(&mut self) -> anyhow::Result<&mut Evaluator> {
        // Twice, since a borrow that is returned from the first test would last to the end.
        if self.evaluator.is_none() {
            let evaluator = self.open()?;
            self.running.set_process(evaluator.context.process_handle());
            self.evaluator = Some(evaluator);
        }
        self.evaluator
            .as_mut()
            .context("the session was not set up")
    }

    fn open(&self) -> anyhow::Result<Evaluator> {
        tracing::debug!("looking for the runtime");
        let prebuilt = find_or_build()?;
        let session_dir = SessionDir::create(&self.folder)?;
        session_dir.fill(&prebuilt)?;
        session_dir.hide_std()?;
        tracing::debug!("starting evcxr");
        let _kernel = self.kernel.enter();
        child::listen(
            &session_dir.socket(),
            self.orders.clone(),
            self.event_tx.clone(),
        )?;
        let failed = |error: evcxr::Error| anyhow!("evcxr cannot be set up: {error}");
        let (mut context, outputs) =
            evaluator::open(&prebuilt, &session_dir.socket()).map_err(failed)?;
        tracing::debug!("making the runtime available to the cells");
        session_dir.restore_lock_file(&prebuilt)?;
        session_dir.show_std(&prebuilt)?;
        context.execute(&prebuilt.commands()?).map_err(failed)?;
        tracing::debug!("the session is set up");
        Ok(Evaluator {
            context,
            prebuilt,
            _outputs: outputs,
            _session_dir: session_dir,
        })
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
        let _ = self.instruction_tx.send(expect);
        let instruction_tx = self.instruction_tx.clone();
        let running = Arc::clone(&self.running);
        let kernel = self.kernel.clone();
        let evaluator = self.set_up().map_err(|error| CellError::Kernel {
            message: format!("{error:#}"),
        })?;
        if running.is_stopped() {
            return Err(CellError::Interrupted);
        }
        let run = || {
            let code = evaluator.follow_commands(code, &running)?;
            let run = Run {
                cell,
                rewritten: rewrite::rewrite(&code, cell),
                context: &mut evaluator.context,
                kernel,
                running,
                end_rx,
                instruction_tx,
            };
            run.run()
        };
        std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            Err(CellError::Kernel {
                message: "evcxr panicked while it worked on this cell; the kernel's log has \
                          details. Restart the kernel if later cells fail too"
                    .to_owned(),
            })
        })
    }
}

/// Finds what is built for the toolchain; else lets a process of its own build it, which says so in
/// the kernel's log.
fn find_or_build() -> anyhow::Result<Prebuilt> {
    if let Some(ready) = prepare::find()? {
        return Ok(ready);
    }
    let program = std::env::current_exe().context("this program does not know its own path")?;
    let status = Command::new(program).arg("prepare").status()?;
    let built = prepare::find()?;
    built
        .with_context(|| format!("the runtime could not be built ({status}); see the kernel's log"))
}

/// One cell on its way through evcxr.
struct Run<'a> {
    cell: CellId,
    rewritten: Rewritten,
    context: &'a mut CommandContext,
    kernel: Handle,
    running: Arc<Running>,
    end_rx: mpsc::UnboundedReceiver<End>,
    instruction_tx: mpsc::UnboundedSender<Instruction>,
}

impl Run<'_> {
    fn run(mut self) -> Result<(), CellError> {
        // evcxr has forgotten them when it says that they are lost.
        let variables = self.context.variables_and_types();
        let variables = variables.map(|(name, _)| name.to_owned()).collect();
        match self.context.execute(self.rewritten.map.rewritten()) {
            Ok(outputs) => {
                self.show(outputs);
                self.wait_for_end(variables)
            }
            Err(evcxr::Error::CompilationErrors(errors)) => {
                Err(diagnostics::compile_error(&errors, &self.rewritten))
            }
            Err(evcxr::Error::SubprocessTerminated(reason)) => {
                self.wait_until_gone();
                Err(self.died(&reason, variables))
            }
            Err(error) => Err(CellError::Refused {
                message: diagnostics::refusal(&error.to_string()),
            }),
        }
    }

    /// Shows what commands such as `:vars` have returned.
    fn show(&self, outputs: EvalOutputs) {
        if outputs.is_empty() {
            return;
        }
        let (sent_tx, sent_rx) = oneshot::channel();
        let result = Instruction::Result {
            cell: self.cell,
            bundle: outputs.content_by_mime_type.into_iter().collect(),
            sent_tx,
        };
        if self.instruction_tx.send(result).is_ok() {
            let _ = sent_rx.blocking_recv();
        }
    }

    /// Waits until all that the cell has written has gone out, and says how it ended.
    fn wait_for_end(&mut self, variables: Vec<String>) -> Result<(), CellError> {
        if !self.rewritten.has_statements {
            return Ok(());
        }
        let outcome = match self.end_rx.blocking_recv() {
            Some(End::Ended(outcome)) => outcome,
            Some(End::Gone) | None => return Err(self.died("it has closed its socket", variables)),
        };
        Err(match outcome {
            Outcome::Finished => return Ok(()),
            Outcome::Interrupted => CellError::Interrupted,
            Outcome::Failed {
                name,
                message,
                sources,
            } => CellError::Failed {
                name,
                message,
                sources,
            },
            Outcome::Panicked { message, line } => CellError::Panicked {
                message,
                line: line.and_then(|line| self.line_of_cell(line)),
            },
        })
    }

    /// The line of the cell that stands at a line of what evcxr has compiled.
    fn line_of_cell(&self, line: u32) -> Option<usize> {
        let generated = self.context.last_source().ok()?;
        diagnostics::line_of_cell(&generated, line, self.rewritten.map.rewritten())
    }

    /// Waits until what the cell process has reported before its end has gone out.
    fn wait_until_gone(&mut self) {
        let gone = async {
            while let Some(end) = self.end_rx.recv().await {
                if end == End::Gone {
                    break;
                }
            }
        };
        let _ = self
            .kernel
            .block_on(async { tokio::time::timeout(GONE_TIMEOUT, gone).await });
    }

    fn died(&self, reason: &str, variables: Vec<String>) -> CellError {
        let lost = if variables.is_empty() {
            "there were no variables".to_owned()
        } else {
            variables.join(", ")
        };
        if self.running.is_killed() {
            return CellError::Killed { lost };
        }
        CellError::CellProcessDied {
            reason: reason.trim().to_owned(),
            lost,
        }
    }
}
