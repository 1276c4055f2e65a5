//! The way of a cell's output: from the cell process's reports to the place where each is shown.
//!
//! One task does this, so what was reported first is shown first, and a cell's end is known after
//! all that it has written has gone out. When that is, `outbox.rs` decides. Of text that nobody waits
//! with, what is beyond [`Limits::backlog`] is left out, which is said in its place.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use jupyter_protocol::{ExecutionCount, JupyterMessage};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::cell_source;
use crate::child::{Event, Orders};
use crate::hints;
use crate::history::History;
use crate::iopub::IoPub;
use crate::lost_tasks::LostTasks;
use crate::outbox::{Cell, Outbox};
use crate::output::Output;
use crate::pace::{BACKLOG, Limits, Pace};
use crate::running::Running;
use crate::stdin::Questions;
use crate::wire::{CellId, Line, NO_CELL, Order, Outcome, Report, Stream, Variable};

/// What became of a cell in the cell process.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The main thread has left it.
    Ended {
        /// How.
        outcome: Outcome,
        /// The variables that it has handed over.
        variables: Vec<Variable>,
    },
    /// The cell process has noted which variables are lost.
    Forgotten,
    /// The cell process has ended.
    Gone,
}

/// What the kernel tells the relay.
#[derive(Debug)]
pub enum Instruction {
    /// A cell is about to be run: this is where its output belongs.
    Expect {
        /// Its number.
        cell: CellId,
        /// The execute_request.
        parent: Box<JupyterMessage>,
        /// The number beside its result.
        execution_count: ExecutionCount,
        /// Whether its output is for nobody.
        silent: bool,
        /// Where its end is told.
        end_tx: mpsc::UnboundedSender<End>,
    },
    /// Output is limited otherwise from now on. What is not given stays as it is.
    Limit {
        /// The limits.
        limits: Limits,
        /// Told what they are then.
        limits_tx: oneshot::Sender<Limits>,
    },
    /// A client has come, or has gone: its page was closed or loaded anew, say.
    Client {
        /// Its identity.
        client: Bytes,
        /// Whether it is there.
        is_there: bool,
    },
    /// The kernel has something to show under a cell.
    Show {
        /// The cell.
        cell: CellId,
        /// What.
        output: Output,
        /// Told when it has gone out.
        sent_tx: oneshot::Sender<()>,
    },
}

/// See the module's documentation.
pub struct Relay {
    outbox: Outbox,
    running: Arc<Running>,
    history: History,
    orders: Orders,
    questions: Questions,
    backlog: usize,
    /// The clients that have gone.
    gone: HashSet<Bytes>,
    /// Values that were first shown to a client that has gone, and are shown again.
    shown_again: HashSet<(CellId, String)>,
}

/// What a relay needs of the kernel.
pub struct Parts {
    /// Where output goes.
    pub iopub: IoPub,
    /// What is told when a cell has started.
    pub running: Arc<Running>,
    /// Where places in cells are known.
    pub history: History,
    /// To the cell process.
    pub orders: Orders,
    /// Who asks the user.
    pub questions: Questions,
    /// How much output goes.
    pub limits: Limits,
}

impl Relay {
    /// A relay that has not started.
    pub fn new(parts: Parts) -> Relay {
        Relay {
            outbox: Outbox::new(
                parts.iopub,
                parts.orders.clone(),
                Pace::new(parts.limits.rate),
            ),
            running: parts.running,
            history: parts.history,
            orders: parts.orders,
            questions: parts.questions,
            backlog: parts.limits.backlog.unwrap_or(BACKLOG),
            gone: HashSet::new(),
            shown_again: HashSet::new(),
        }
    }

    /// Starts the task. Instructions are followed before events that came after them.
    pub fn start(
        mut self,
        mut event_rx: mpsc::Receiver<Event>,
    ) -> mpsc::UnboundedSender<Instruction> {
        let (instruction_tx, mut instruction_rx) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let due = self.outbox.due();
                tokio::select! {
                    biased;
                    instruction = instruction_rx.recv() => match instruction {
                        Some(instruction) => self.follow(instruction).await,
                        None => break,
                    },
                    () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                        self.outbox.send_due().await;
                    }
                    event = event_rx.recv() => match event {
                        Some(Event::Report(report)) => self.pass_on(report).await,
                        Some(Event::Gone { tasks }) => self.cell_process_gone(&tasks).await,
                        None => break,
                    },
                }
            }
        });
        instruction_tx
    }

    async fn follow(&mut self, instruction: Instruction) {
        match instruction {
            Instruction::Expect {
                cell,
                parent,
                execution_count,
                silent,
                end_tx,
            } => {
                let state = Cell::new(parent, execution_count, silent, end_tx);
                self.outbox.expect(cell, state);
            }
            Instruction::Limit { limits, limits_tx } => {
                if limits.rate.is_some() {
                    self.outbox.pace = Pace::new(limits.rate);
                }
                self.backlog = limits.backlog.unwrap_or(self.backlog);
                // Nobody waits any more where the kernel ends.
                let _ = limits_tx.send(Limits {
                    rate: self.outbox.pace.rate(),
                    backlog: Some(self.backlog),
                });
            }
            Instruction::Client { client, is_there } => {
                if is_there {
                    self.gone.remove(&client);
                } else {
                    self.gone.insert(client);
                }
            }
            Instruction::Show {
                cell,
                output,
                sent_tx,
            } => {
                if let Some(state) = self.outbox.cell_mut(cell) {
                    state.output.show(output);
                    state.sent_txs.push(sent_tx);
                    self.outbox.send(cell).await;
                }
            }
        }
    }

    async fn pass_on(&mut self, report: Report) {
        match report {
            Report::Started { cell } => {
                self.running.set_started(cell);
                self.history.runs(cell);
            }
            Report::TaskPanicked {
                cell,
                message,
                place,
                line,
            } => {
                let text = self.of_panic(cell, &message, place, line);
                self.text(cell, Stream::Stderr, 0, text.as_bytes()).await;
            }
            Report::Text {
                cell,
                stream,
                charge,
                bytes,
            } => self.text(cell, stream, charge, &bytes).await,
            Report::Display {
                cell,
                bundle,
                id,
                update,
                charge,
            } => {
                let of_cell = cell;
                let cell = self.place(cell);
                let Some(state) = self.outbox.cell_mut(cell) else {
                    return;
                };
                // The client that has come since does not know what is replaced.
                let moved = cell != of_cell && of_cell != NO_CELL;
                let update = update && !(moved && self.shown_again.insert((cell, id.clone())));
                state.charged += charge;
                if charge == 0 && !update && state.output.bytes_waiting() > self.backlog {
                    state.output.leave_out_value(&bundle);
                } else {
                    let id = Some(id);
                    state.output.show(Output::Display { bundle, id, update });
                }
                self.outbox.pass_on_replaced(cell);
                self.outbox.send_or_collect(cell, true).await;
            }
            Report::Result { cell, bundle } => {
                let cell = self.place(cell);
                if let Some(state) = self.outbox.cell_mut(cell) {
                    state.output.show(Output::Result { bundle });
                    self.outbox.send_or_collect(cell, true).await;
                }
            }
            Report::Clear { cell, wait } => {
                let place = self.place(cell);
                // Below another cell there is nothing of it to be taken away.
                let is_own = place == cell || cell == NO_CELL;
                if let Some(state) = self.outbox.cell_mut(place).filter(|_| is_own) {
                    state.output.clear(wait);
                    self.outbox.send_or_collect(place, true).await;
                }
            }
            Report::Ask {
                cell,
                question,
                prompt,
                password,
            } => {
                // Front ends show a question below the cell that runs, and only there.
                let running = self.running.cell();
                let asks_under = running.and_then(|running| self.outbox.cell(running));
                let parent = asks_under.map(|state| state.parent.clone());
                tracing::debug!("cell {cell} asks, under {running:?}");
                // What was printed before the prompt stands before it.
                self.outbox.send_collected().await;
                if let Err(why) = self.questions.ask(question, parent, prompt, password) {
                    // Without a cell process nobody waits.
                    let answer = Err(why);
                    let _ = self.orders.send(Order::Answer { question, answer });
                }
            }
            Report::Unask { question } => self.questions.unask(question),
            Report::Forgotten { cell } => self.tell(cell, End::Forgotten),
            Report::Ended {
                cell,
                outcome,
                variables,
            } => {
                self.outbox.end(cell, End::Ended { outcome, variables });
                // What tasks of other cells have written until now was written before this end.
                self.outbox.send_collected().await;
            }
        }
    }

    /// Where the output of a cell goes: to the last one if it is nobody's, or if the page with its
    /// own cell has gone and another one is there. Front ends drop what belongs to no cell that they
    /// have run.
    fn place(&self, cell: CellId) -> CellId {
        let is_orphan = || self.is_orphan(cell) && !self.is_orphan(self.outbox.last());
        if cell == NO_CELL || is_orphan() {
            self.outbox.last()
        } else {
            cell
        }
    }

    /// Whether the client that has run a cell has gone.
    fn is_orphan(&self, cell: CellId) -> bool {
        let state = self.outbox.cell(cell);
        let client = state.and_then(|state| state.parent.zmq_identities.first());
        client.is_some_and(|client| self.gone.contains(client))
    }

    /// What is said of a task that panicked.
    fn of_panic(
        &self,
        cell: CellId,
        message: &str,
        place: Option<String>,
        line: Option<Line>,
    ) -> String {
        let place = place.map_or(String::new(), |place| format!(" at {place}"));
        let mut text = format!("a task panicked{place}: {message}\n");
        if let Some(line) = line {
            text.push_str(&format!("  {}\n", self.history.place(cell, None, line)));
            cell_source::forget_all();
        }
        if let Some(hint) = hints::for_panic(message) {
            text.push_str(&format!("hint: {hint}\n"));
        }
        text
    }

    async fn text(&mut self, cell: CellId, stream: Stream, charge: u64, bytes: &[u8]) {
        let cell = self.place(cell);
        let Some(state) = self.outbox.cell_mut(cell) else {
            // Only evcxr's own first cell prints before there is any cell.
            tracing::debug!("output of no cell: {}", String::from_utf8_lossy(bytes));
            self.outbox.passed_on(charge);
            return;
        };
        state.charged += charge;
        if charge == 0 && state.output.bytes_waiting() > self.backlog {
            state.output.leave_out(bytes);
        } else {
            state.output.write(stream, bytes);
        }
        // What does not end a line is often one piece of several: std writes `eprintln!("{a} {b}")` so.
        self.outbox
            .send_or_collect(cell, bytes.last() == Some(&b'\n'))
            .await;
    }

    fn tell(&self, cell: CellId, end: End) {
        if let Some(state) = self.outbox.cell(cell) {
            // Nobody listens for the late output of a cell that has been answered.
            let _ = state.end_tx.send(end);
        }
    }

    async fn cell_process_gone(&mut self, tasks: &LostTasks) {
        let numbered = tasks.iter().map(|(cell, tasks)| {
            let count = self.outbox.cell(*cell).map(|cell| cell.execution_count);
            (count.map(|count| count.value()), *tasks)
        });
        self.running.set_lost_tasks(numbered.collect());
        self.questions.forget_all();
        self.outbox.end_all();
        self.outbox.send_collected().await;
    }
}
