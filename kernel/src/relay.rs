//! The way of a cell's output: from the cell process's reports to iopub, each under its cell.
//!
//! One task does this, so what was reported first is shown first, and a cell's end is known after
//! all that it has written has gone out. A line is sent at once when its cell has been quiet; other
//! text is collected for a moment: front ends drop messages that come by the thousand.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jupyter_protocol::{
    DisplayData, ExecuteResult, ExecutionCount, JupyterMessage, JupyterMessageContent, Media,
    Stdio, StreamContent, Transient, UpdateDisplayData,
};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::cell_source;
use crate::child::Event;
use crate::hints;
use crate::history::History;
use crate::iopub::IoPub;
use crate::output::{CellOutput, Output};
use crate::running::Running;
use crate::wire::{Bundle, CellId, Line, NO_CELL, Outcome, Report, Stream};

/// How long text is collected before it is sent.
const COLLECT: Duration = Duration::from_millis(20);

/// Text beyond this many bytes is sent without waiting.
const MAX_COLLECTED_BYTES: usize = 256 << 10;

/// What became of a cell in the cell process.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The main thread has left it.
    Ended {
        /// How.
        outcome: Outcome,
        /// The variables that it has handed over.
        rescued: Vec<String>,
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
}

/// See the module's documentation.
pub struct Relay {
    iopub: IoPub,
    running: Arc<Running>,
    history: History,
    /// Every cell of the session: a task may print for as long as the session lives.
    cells: HashMap<CellId, Cell>,
    last: CellId,
    /// The cells whose text is being collected.
    collecting: BTreeSet<CellId>,
    /// When it is sent.
    due: Option<Instant>,
}

impl Relay {
    /// A relay that has not started.
    pub fn new(iopub: IoPub, running: Arc<Running>, history: History) -> Relay {
        Relay {
            iopub,
            running,
            history,
            cells: HashMap::new(),
            last: NO_CELL,
            collecting: BTreeSet::new(),
            due: None,
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
                        self.send_collected().await;
                    }
                    event = event_rx.recv() => match event {
                        Some(Event::Report(report)) => self.pass_on(report).await,
                        Some(Event::Gone) => self.cell_process_gone().await,
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
                };
                self.cells.insert(cell, state);
            }
            Instruction::Show {
                cell,
                output,
                sent_tx,
            } => {
                self.show(cell, output).await;
                // Nobody waits any more where the kernel ends.
                let _ = sent_tx.send(());
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
                self.text(cell, Stream::Stderr, text.as_bytes()).await;
            }
            Report::Text {
                cell,
                stream,
                bytes,
            } => self.text(cell, stream, &bytes).await,
            Report::Display {
                cell,
                bundle,
                id,
                update,
            } => {
                let id = Some(id);
                self.show(cell, Output::Display { bundle, id, update })
                    .await;
            }
            Report::Result { cell, bundle } => self.show(cell, Output::Result { bundle }).await,
            Report::ResultTextBegin { cell } => self.set_result(cell, true),
            Report::ResultTextEnd { cell } => self.set_result(cell, false),
            Report::Forgotten { cell } => self.tell(cell, End::Forgotten),
            Report::Ended {
                cell,
                outcome,
                rescued,
            } => {
                // What tasks of other cells have written until now was written before this end.
                self.send_collected().await;
                self.send(cell, true).await;
                self.tell(cell, End::Ended { outcome, rescued });
            }
        }
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

    async fn text(&mut self, cell: CellId, stream: Stream, bytes: &[u8]) {
        let cell = if cell == NO_CELL { self.last } else { cell };
        let Some(state) = self.cells.get_mut(&cell) else {
            // Only evcxr's own first cell prints before there is any cell.
            tracing::debug!("output of no cell: {}", String::from_utf8_lossy(bytes));
            return;
        };
        state.output.write(stream, bytes);
        let quiet = state.last_sent.is_none_or(|last| last.elapsed() >= COLLECT);
        // What does not end a line is often one piece of several: std writes `eprintln!("{a} {b}")` so.
        let ends_line = bytes.last() == Some(&b'\n');
        if quiet && ends_line || state.output.bytes_waiting() >= MAX_COLLECTED_BYTES {
            self.send(cell, false).await;
        } else {
            self.collecting.insert(cell);
            self.due.get_or_insert_with(|| Instant::now() + COLLECT);
        }
    }

    async fn show(&mut self, cell: CellId, output: Output) {
        if let Some(state) = self.cells.get_mut(&cell) {
            state.output.show(output);
            self.send(cell, false).await;
        }
    }

    fn set_result(&mut self, cell: CellId, is_result: bool) {
        if let Some(state) = self.cells.get_mut(&cell) {
            state.output.set_result(is_result);
        }
    }

    fn tell(&self, cell: CellId, end: End) {
        if let Some(state) = self.cells.get(&cell) {
            // Nobody listens for the late output of a cell that has been answered.
            let _ = state.end_tx.send(end);
        }
    }

    async fn cell_process_gone(&mut self) {
        for cell in self.cells.keys().copied().collect::<Vec<_>>() {
            self.send(cell, true).await;
            self.tell(cell, End::Gone);
        }
    }

    async fn send_collected(&mut self) {
        self.due = None;
        for cell in std::mem::take(&mut self.collecting) {
            self.send(cell, false).await;
        }
    }

    /// Sends what waits for a cell, which may be nothing.
    async fn send(&mut self, cell: CellId, at_end: bool) {
        let Some(state) = self.cells.get_mut(&cell) else {
            return;
        };
        let outputs = state.output.take(at_end);
        if !outputs.is_empty() {
            state.last_sent = Some(Instant::now());
        }
        for output in outputs.into_iter().filter(|_| !state.silent) {
            if let Some(content) = content(output, state.execution_count) {
                self.iopub.send(content, &state.parent).await;
            }
        }
    }
}

/// The message that shows an output; none where there is nothing to show.
fn content(output: Output, execution_count: ExecutionCount) -> Option<JupyterMessageContent> {
    Some(match output {
        Output::Text { stream, text } => {
            let name = match stream {
                Stream::Stdout => Stdio::Stdout,
                Stream::Stderr => Stdio::Stderr,
            };
            StreamContent { name, text }.into()
        }
        Output::Display { bundle, id, update } => {
            let data = media(bundle)?;
            let transient = Transient { display_id: id };
            let metadata = Map::new();
            if update {
                UpdateDisplayData {
                    data,
                    metadata,
                    transient,
                }
                .into()
            } else {
                let transient = Some(transient);
                DisplayData {
                    data,
                    metadata,
                    transient,
                }
                .into()
            }
        }
        Output::Result { bundle } => {
            // Left out, it would be sent as `null`, which the protocol does not allow.
            let transient = Some(Transient::default());
            let result = ExecuteResult::new(execution_count, media(bundle)?);
            ExecuteResult {
                transient,
                ..result
            }
            .into()
        }
    })
}

/// A MIME bundle as the protocol has it: JSON types hold JSON, all others text.
fn media(bundle: Bundle) -> Option<Media> {
    if bundle.is_empty() {
        return None;
    }
    let content = |mime_type: &str, content: String| {
        if mime_type.ends_with("json") {
            serde_json::from_str(&content).unwrap_or(Value::String(content))
        } else {
            Value::String(content)
        }
    };
    let data: Map<String, Value> = bundle
        .into_iter()
        .map(|(mime_type, text)| {
            let value = content(&mime_type, text);
            (mime_type, value)
        })
        .collect();
    serde_json::from_value(Value::Object(data)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_sent_as_json_and_pictures_as_text() {
        let bundle = vec![
            ("application/json".to_owned(), r#"{"a": 1}"#.to_owned()),
            ("image/svg+xml".to_owned(), "<svg/>".to_owned()),
            ("text/x-own".to_owned(), "own".to_owned()),
        ];
        let data = serde_json::to_value(media(bundle).unwrap()).unwrap();
        assert_eq!(
            data,
            serde_json::json!({"application/json": {"a": 1}, "image/svg+xml": "<svg/>", "text/x-own": "own"})
        );
    }

    #[test]
    fn an_empty_bundle_is_no_message() {
        assert!(media(Vec::new()).is_none());
    }
}
