//! What waits below the cells, and when it goes out to iopub: the cells in turn, the running one first.
//!
//! A line is sent at once when its cell has been quiet; other text is collected for a moment: front ends
//! drop messages that come by the thousand, and a page takes the longer for each, the more its cell has
//! shown. Where a front end does not follow, output waits here, and the cell process is told later that
//! there is room again: that slows down who waits for it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jupyter_protocol::{ExecutionCount, JupyterMessage};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::child::Orders;
use crate::content::content;
use crate::iopub::IoPub;
use crate::output::{CellOutput, Output};
use crate::pace::{self, Pace};
use crate::relay::End;
use crate::wire::{CellId, NO_CELL, Order};

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

/// A cell and what of it has not gone out.
pub struct Cell {
    /// The execute_request.
    pub parent: Box<JupyterMessage>,
    /// The number beside its result.
    pub execution_count: ExecutionCount,
    /// Whether its output is for nobody.
    silent: bool,
    /// Where its end is told.
    pub end_tx: mpsc::UnboundedSender<End>,
    /// What it has written.
    pub output: CellOutput,
    last_sent: Option<Instant>,
    /// How many bytes of text stand below it.
    shown: usize,
    /// How much of its output is waited with, and has not gone out.
    pub charged: u64,
    /// To be told when all of its output has gone out.
    end: Option<End>,
    /// The same, of what the kernel has shown.
    pub sent_txs: Vec<oneshot::Sender<()>>,
}

impl Cell {
    /// One that has written nothing.
    pub fn new(
        parent: Box<JupyterMessage>,
        execution_count: ExecutionCount,
        silent: bool,
        end_tx: mpsc::UnboundedSender<End>,
    ) -> Cell {
        Cell {
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
        }
    }

    /// How much of what is charged does not wait here any more. What waits may all have been charged,
    /// and nothing else.
    fn passed(&self) -> u64 {
        let waiting = self.output.bytes_waiting() as u64;
        self.charged.saturating_sub(waiting)
    }
}

/// See the module's documentation.
pub struct Outbox {
    iopub: IoPub,
    orders: Orders,
    /// How fast output goes.
    pub pace: Pace,
    /// Every cell of the session: a task may print for as long as the session lives.
    cells: HashMap<CellId, Cell>,
    last: CellId,
    /// The cells whose output is being collected, or waits.
    collecting: BTreeSet<CellId>,
    /// When it is sent.
    due: Option<Instant>,
    /// How many bytes of what the present cell process was charged have gone out.
    passed_on: u64,
    /// Since when iopub has been full, and how full.
    full: Option<(Instant, usize)>,
}

impl Outbox {
    /// One that has nothing to send.
    pub fn new(iopub: IoPub, orders: Orders, pace: Pace) -> Outbox {
        Outbox {
            iopub,
            orders,
            pace,
            cells: HashMap::new(),
            last: NO_CELL,
            collecting: BTreeSet::new(),
            due: None,
            passed_on: 0,
            full: None,
        }
    }

    /// A cell is about to be run.
    pub fn expect(&mut self, id: CellId, cell: Cell) {
        self.last = id;
        self.cells.insert(id, cell);
    }

    /// The last cell that was run, or runs.
    pub fn last(&self) -> CellId {
        self.last
    }

    /// A cell, if it was expected.
    pub fn cell(&self, id: CellId) -> Option<&Cell> {
        self.cells.get(&id)
    }

    /// The same, to be changed.
    pub fn cell_mut(&mut self, id: CellId) -> Option<&mut Cell> {
        self.cells.get_mut(&id)
    }

    /// When [`Outbox::send_due`] is to be called next.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A cell has ended, which is told when all of its output has gone out.
    pub fn end(&mut self, id: CellId, end: End) {
        if let Some(cell) = self.cells.get_mut(&id) {
            cell.end = Some(end);
            cell.output.settle(true);
            self.collecting.insert(id);
        }
    }

    /// The cell process has ended, and all cells with it.
    pub fn end_all(&mut self) {
        self.passed_on = 0;
        for id in self.cells.keys().copied().collect::<Vec<_>>() {
            if let Some(cell) = self.cells.get_mut(&id) {
                cell.charged = 0;
            }
            self.end(id, End::Gone);
        }
    }

    /// Who replaces what nobody has seen does not wait for the front end.
    pub fn pass_on_replaced(&mut self, id: CellId) {
        if let Some(cell) = self.cells.get_mut(&id) {
            let passed = cell.passed();
            if passed >= REPLACED_BYTES {
                cell.charged -= passed;
                self.passed_on(passed);
            }
        }
    }

    /// Sends what waits for a cell if it is whole and the cell has been quiet, or if it is much.
    pub async fn send_or_collect(&mut self, cell: CellId, is_whole: bool) {
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

    /// Sends what has been collected for long enough.
    pub async fn send_due(&mut self) {
        let is_due = |cell: &CellId| self.cells.get(cell).is_none_or(|state| self.is_due(state));
        let (due, early) = self.collecting.iter().partition(|cell| is_due(cell));
        self.collecting = due;
        self.send_collected().await;
        let early: BTreeSet<CellId> = early;
        early.into_iter().for_each(|cell| self.collect(cell));
    }

    /// Sends what has been collected, as far as there is room: the cells take turns, the one that
    /// runs first.
    pub async fn send_collected(&mut self) {
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
    pub async fn send(&mut self, cell: CellId) {
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
    pub fn passed_on(&mut self, bytes: u64) {
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
