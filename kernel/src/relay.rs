//! The way of a cell's output: from the cell process's reports to iopub, each under its cell.
//!
//! One task does this, so what was reported first is shown first, and a cell's end is known after
//! all that it has written has gone out. A line is sent at once when its cell has been quiet; other
//! text is collected for a moment: front ends drop messages that come by the thousand, and a page takes
//! the longer for each, the more its cell has shown.
//!
//! Where a front end does not follow, output waits here, and the cell process is told later that
//! there is room again: that slows down who waits for it. Nobody else is slowed down, so beyond
//! [`Limits::backlog`] their text is left out, which is said in its place.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jupyter_protocol::{ExecutionCount, JupyterMessage};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::cell_source;
use crate::child::{Event, Orders};
use crate::content::content;
use crate::hints;
use crate::history::History;
use crate::iopub::IoPub;
use crate::lost_tasks::LostTasks;
use crate::output::{CellOutput, Output};
use crate::pace::{self, BACKLOG, Limits, Pace};
use crate::running::Running;
use crate::stdin::Questions;
use crate::wire::{CellId, Line, NO_CELL, Order, Outcome, Report, Stream, Variable};

/// How often it is looked whether what has been collected may be sent.
const LOOK: Duration = Duration::from_millis(20);

/// Text beyond this many bytes is sent without waiting where nothing limits the pace.
const MAX_COLLECTED_BYTES: usize = 128 << 10;

/// The longest text of one message, in bytes: all that the code of a cell may have on its way. Cells
/// take turns with messages.
const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// How much that was replaced before it was shown is told at once: not each value by itself.
const REPLACED_BYTES: u64 = 64 << 10;

/// How long iopub may be full before what waits is left out: a subscriber that takes nothing must
/// not stop the others.
const STALLED: Duration = Duration::from_secs(5);

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

struct Cell {
    parent: Box<JupyterMessage>,
    execution_count: ExecutionCount,
    silent: bool,
    end_tx: mpsc::UnboundedSender<End>,
    output: CellOutput,
    last_sent: Option<Instant>,
    /// How many bytes of text stand below it.
    shown: usize,
    /// How much of its output is waited with, and has not gone out.
    charged: u64,
    /// To be told when all of its output has gone out.
    end: Option<End>,
    /// The same, of what the kernel has shown.
    sent_txs: Vec<oneshot::Sender<()>>,
}

impl Cell {
    /// How much of what is charged does not wait here any more. What waits may all have been charged,
    /// and nothing else.
    fn passed(&self) -> u64 {
        let waiting = self.output.bytes_waiting() as u64;
        self.charged.saturating_sub(waiting)
    }
}

/// See the module's documentation.
pub struct Relay {
    iopub: IoPub,
    running: Arc<Running>,
    history: History,
    orders: Orders,
    questions: Questions,
    pace: Pace,
    backlog: usize,
    /// Every cell of the session: a task may print for as long as the session lives.
    cells: HashMap<CellId, Cell>,
    last: CellId,
    /// The clients that have gone.
    gone: HashSet<Bytes>,
    /// Values that were first shown to a client that has gone, and are shown again.
    shown_again: HashSet<(CellId, String)>,
    /// The cells whose output is being collected, or waits.
    collecting: BTreeSet<CellId>,
    /// When it is sent.
    due: Option<Instant>,
    /// How many bytes of what the present cell process was charged have gone out.
    passed_on: u64,
    /// Since when iopub has been full, and how full.
    full: Option<(Instant, usize)>,
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
            iopub: parts.iopub,
            running: parts.running,
            history: parts.history,
            orders: parts.orders,
            questions: parts.questions,
            pace: Pace::new(parts.limits.rate),
            backlog: parts.limits.backlog.unwrap_or(BACKLOG),
            cells: HashMap::new(),
            last: NO_CELL,
            gone: HashSet::new(),
            shown_again: HashSet::new(),
            collecting: BTreeSet::new(),
            due: None,
            passed_on: 0,
            full: None,
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
                let due = self.due;
                tokio::select! {
                    biased;
                    instruction = instruction_rx.recv() => match instruction {
                        Some(instruction) => self.follow(instruction).await,
                        None => break,
                    },
                    () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                        self.send_due().await;
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
                self.last = cell;
                let state = Cell {
                    parent,
                    execution_count,
                    silent,
                    end_tx,
                    output: CellOutput::default(),
                    last_sent: None,
                    shown: 0,
                    charged: 0,
                    end: None,
                    sent_txs: Vec::new(),
                };
                self.cells.insert(cell, state);
            }
            Instruction::Limit { limits, limits_tx } => {
                if limits.rate.is_some() {
                    self.pace = Pace::new(limits.rate);
                }
                self.backlog = limits.backlog.unwrap_or(self.backlog);
                // Nobody waits any more where the kernel ends.
                let _ = limits_tx.send(Limits {
                    rate: self.pace.rate(),
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
                if let Some(state) = self.cells.get_mut(&cell) {
                    state.output.show(output);
                    state.sent_txs.push(sent_tx);
                    self.send(cell).await;
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
                let Some(state) = self.cells.get_mut(&cell) else {
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
                // Who replaces what nobody has seen does not wait for the front end.
                let passed = state.passed();
                if passed >= REPLACED_BYTES {
                    state.charged -= passed;
                    self.passed_on(passed);
                }
                self.send_or_collect(cell, true).await;
            }
            Report::Result { cell, bundle } => {
                let cell = self.place(cell);
                if let Some(state) = self.cells.get_mut(&cell) {
                    state.output.show(Output::Result { bundle });
                    self.send_or_collect(cell, true).await;
                }
            }
            Report::Clear { cell, wait } => {
                let place = self.place(cell);
                // Below another cell there is nothing of it to be taken away.
                let is_own = place == cell || cell == NO_CELL;
                if let Some(state) = self.cells.get_mut(&place).filter(|_| is_own) {
                    state.output.clear(wait);
                    self.send_or_collect(place, true).await;
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
                let asks_under = running.and_then(|running| self.cells.get(&running));
                let parent = asks_under.map(|state| state.parent.clone());
                tracing::debug!("cell {cell} asks, under {running:?}");
                // What was printed before the prompt stands before it.
                self.send_collected().await;
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
                if let Some(state) = self.cells.get_mut(&cell) {
                    state.end = Some(End::Ended { outcome, variables });
                    state.output.settle(true);
                    self.collecting.insert(cell);
                }
                // What tasks of other cells have written until now was written before this end.
                self.send_collected().await;
            }
        }
    }

    /// Where the output of a cell goes: to the last one if it is nobody's, or if the page with its
    /// own cell has gone and another one is there. Front ends drop what belongs to no cell that they
    /// have run.
    fn place(&self, cell: CellId) -> CellId {
        let is_orphan = || self.is_orphan(cell) && !self.is_orphan(self.last);
        if cell == NO_CELL || is_orphan() {
            self.last
        } else {
            cell
        }
    }

    /// Whether the client that has run a cell has gone.
    fn is_orphan(&self, cell: CellId) -> bool {
        let state = self.cells.get(&cell);
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
        let Some(state) = self.cells.get_mut(&cell) else {
            // Only evcxr's own first cell prints before there is any cell.
            tracing::debug!("output of no cell: {}", String::from_utf8_lossy(bytes));
            self.passed_on(charge);
            return;
        };
        state.charged += charge;
        if charge == 0 && state.output.bytes_waiting() > self.backlog {
            state.output.leave_out(bytes);
        } else {
            state.output.write(stream, bytes);
        }
        // What does not end a line is often one piece of several: std writes `eprintln!("{a} {b}")` so.
        self.send_or_collect(cell, bytes.last() == Some(&b'\n'))
            .await;
    }

    /// Sends what waits for a cell if it is whole and the cell has been quiet, or if it is much.
    async fn send_or_collect(&mut self, cell: CellId, is_whole: bool) {
        let Some(state) = self.cells.get(&cell) else {
            return;
        };
        let quiet = self.is_due(state);
        let is_unlimited = self.pace.rate().is_none();
        let is_much = is_unlimited && state.output.bytes_waiting() >= MAX_COLLECTED_BYTES;
        // Where it waits for a front end, looking again at every line would cost too much.
        let waits = self.collecting.contains(&cell) && self.full.is_some();
        if (quiet && is_whole || is_much) && !waits {
            self.send(cell).await;
        } else {
            self.collect(cell);
        }
    }

    fn collect(&mut self, cell: CellId) {
        self.collecting.insert(cell);
        self.due.get_or_insert_with(|| Instant::now() + LOOK);
    }

    fn is_due(&self, cell: &Cell) -> bool {
        let collect = self.pace.collect(cell.shown);
        cell.last_sent.is_none_or(|last| last.elapsed() >= collect)
    }

    fn tell(&self, cell: CellId, end: End) {
        if let Some(state) = self.cells.get(&cell) {
            // Nobody listens for the late output of a cell that has been answered.
            let _ = state.end_tx.send(end);
        }
    }

    async fn cell_process_gone(&mut self, tasks: &LostTasks) {
        let numbered = tasks.iter().map(|(cell, tasks)| {
            let count = self.cells.get(cell).map(|cell| cell.execution_count);
            (count.map(|count| count.value()), *tasks)
        });
        self.running.set_lost_tasks(numbered.collect());
        self.questions.forget_all();
        self.passed_on = 0;
        for cell in self.cells.keys().copied().collect::<Vec<_>>() {
            if let Some(state) = self.cells.get_mut(&cell) {
                state.charged = 0;
                state.output.settle(true);
                state.end = Some(End::Gone);
                self.collecting.insert(cell);
            }
        }
        self.send_collected().await;
    }

    /// Sends what has been collected for long enough.
    async fn send_due(&mut self) {
        let is_due = |cell: &CellId| self.cells.get(cell).is_none_or(|state| self.is_due(state));
        let (due, early) = self.collecting.iter().partition(|cell| is_due(cell));
        self.collecting = due;
        self.send_collected().await;
        let early: BTreeSet<CellId> = early;
        early.into_iter().for_each(|cell| self.collect(cell));
    }

    /// Sends what has been collected, as far as there is room: the cells take turns, the one that
    /// runs first.
    async fn send_collected(&mut self) {
        self.due = None;
        let mut cells: Vec<CellId> = std::mem::take(&mut self.collecting).into_iter().collect();
        cells.sort_by_key(|cell| *cell != self.last);
        for cell in &cells {
            if let Some(state) = self.cells.get_mut(cell) {
                state.output.settle(state.end.is_some());
            }
        }
        while !cells.is_empty() {
            let mut left = Vec::new();
            for cell in cells {
                match self.send_one(cell).await {
                    Sent::All => {}
                    Sent::Part => left.push(cell),
                    Sent::Nothing => self.collect(cell),
                }
            }
            cells = left;
        }
    }

    /// Sends what waits for a cell, which may be nothing, as far as there is room.
    async fn send(&mut self, cell: CellId) {
        if let Some(state) = self.cells.get_mut(&cell) {
            state.output.settle(state.end.is_some());
        }
        loop {
            match self.send_one(cell).await {
                Sent::All => break,
                Sent::Part => {}
                Sent::Nothing => return self.collect(cell),
            }
        }
        self.collecting.remove(&cell);
    }

    /// Sends one message of a cell's, and tells who waits when that was the last one.
    async fn send_one(&mut self, cell: CellId) -> Sent {
        let now = Instant::now();
        let room = self.room(cell, now);
        let Some(state) = self.cells.get_mut(&cell) else {
            return Sent::All;
        };
        if !state.output.is_empty() {
            if room == 0 {
                return Sent::Nothing;
            }
            let Some(output) = state.output.next(room.min(MAX_MESSAGE_BYTES)) else {
                return Sent::All;
            };
            state.last_sent = Some(now);
            let passed = state.passed();
            state.charged -= passed;
            let bytes = match &output {
                Output::Text { text, .. } => pace::bytes_of_text(text),
                _ => 0,
            };
            let is_cleared = matches!(output, Output::Clear { .. });
            state.shown = if is_cleared { 0 } else { state.shown + bytes };
            let content = content(output, state.execution_count);
            if let Some(content) = content.filter(|_| !state.silent) {
                self.pace.sent(now.into_std(), bytes);
                self.iopub.send(content, &state.parent).await;
            }
            self.passed_on(passed);
        }
        self.settled(cell)
    }

    /// Tells who waits, if nothing is left of a cell's output.
    fn settled(&mut self, cell: CellId) -> Sent {
        let Some(state) = self.cells.get_mut(&cell) else {
            return Sent::All;
        };
        if !state.output.is_empty() {
            return Sent::Part;
        }
        let charged = std::mem::take(&mut state.charged);
        for sent_tx in state.sent_txs.drain(..) {
            // Nobody waits any more where the kernel ends.
            let _ = sent_tx.send(());
        }
        if let Some(end) = state.end.take() {
            // Nobody listens for the late output of a cell that has been answered.
            let _ = state.end_tx.send(end);
        }
        self.passed_on(charged);
        Sent::All
    }

    /// How many bytes of text a cell may send now.
    fn room(&mut self, cell: CellId, now: Instant) -> usize {
        if !self.iopub.is_full() {
            self.full = None;
            return self.pace.room(now.into_std(), cell != self.last);
        }
        let on_the_way = self.iopub.on_the_way();
        let (since, least) = *self.full.get_or_insert((now, on_the_way));
        if on_the_way < least {
            self.full = Some((now, on_the_way));
        } else if now.duration_since(since) >= STALLED {
            self.full = Some((now, on_the_way));
            // The note of it, which is short, is sent all the same.
            if let Some(state) = self.cells.get_mut(&cell) {
                state.output.leave_out_waiting();
            }
            return MAX_MESSAGE_BYTES;
        }
        0
    }

    /// Tells the cell process that output has gone out with which it waits.
    fn passed_on(&mut self, bytes: u64) {
        if bytes > 0 {
            self.passed_on += bytes;
            let bytes = self.passed_on;
            // Without a cell process nobody waits.
            let _ = self.orders.send(Order::Room { bytes });
        }
    }
}

/// What became of the output of a cell.
enum Sent {
    /// All of it has gone out.
    All,
    /// There is more.
    Part,
    /// There is no room for it.
    Nothing,
}
