//! Asking the user for a line: [`input`] and [`password`], what reads standard input, and evcxr's
//! crate `evcxr_input`, which prints a word in front of a prompt and then reads standard input.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::cell::{self, Phase};
use crate::wire::{CellId, NotAsked, Outcome, Report};
use crate::{interrupt, link, stdio, tasks};

/// Why [`try_input`] has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputError {
    /// The front end of the cell does not ask anybody, as `nbclient` and `papermill` do not.
    NobodyThere,
    /// No cell is running below which the question could stand.
    NoCell,
    /// The stop button was pressed.
    Stopped,
}

impl std::fmt::Display for InputError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            InputError::NobodyThere => {
                "the front end does not ask its user for input; run this cell in JupyterLab, say"
            }
            InputError::NoCell => {
                "no cell is running below which the user could be asked; await this task in a cell"
            }
            InputError::Stopped => "stopped before there was an answer",
        })
    }
}

impl std::error::Error for InputError {}

impl From<NotAsked> for InputError {
    fn from(why: NotAsked) -> InputError {
        match why {
            NotAsked::NobodyThere => InputError::NobodyThere,
            NotAsked::NoCell => InputError::NoCell,
            NotAsked::Stopped => InputError::Stopped,
        }
    }
}

/// Asks the user below the cell, and waits for the line that is typed, as Python's `input` does.
/// The runtime's tasks go on meanwhile, and the stop button ends the waiting.
///
/// Where nobody can be asked, the cell ends with the error `InputError`; a task panics with it. See
/// [`try_input`].
pub async fn input(prompt: impl Into<String>) -> String {
    answered(ask(prompt.into(), false).await)
}

/// As [`input`], but what is typed cannot be seen.
pub async fn password(prompt: impl Into<String>) -> String {
    answered(ask(prompt.into(), true).await)
}

/// As [`input`], for code that has something else to do where nobody can be asked.
///
/// # Errors
/// Why there is no answer.
pub async fn try_input(prompt: impl Into<String>) -> Result<String, InputError> {
    ask(prompt.into(), false).await
}

/// As [`try_input`], but what is typed cannot be seen.
///
/// # Errors
/// Why there is no answer.
pub async fn try_password(prompt: impl Into<String>) -> Result<String, InputError> {
    ask(prompt.into(), true).await
}

fn answered(answer: Result<String, InputError>) -> String {
    answer.unwrap_or_else(|error| {
        if matches!(cell::phase(), Phase::Inside(_)) && !tasks::in_task() {
            let debug = [format!("{error:?}"), format!("{error:#?}")];
            cell::end(Outcome::Failed {
                name: "InputError".to_owned(),
                message: error.to_string(),
                debug,
                sources: Vec::new(),
            });
        }
        panic!("{error}")
    })
}

async fn ask(prompt: String, password: bool) -> Result<String, InputError> {
    let (answer_tx, answer_rx) = oneshot::channel();
    let asked = Asked::new(Waiting::Task(answer_tx), prompt, password);
    // The sender is dropped only together with the process.
    let answer = answer_rx.await.unwrap_or(Err(NotAsked::Stopped));
    drop(asked);
    Ok(answer?)
}

/// Who waits for an answer.
enum Waiting {
    /// A future.
    Task(oneshot::Sender<Answer>),
    /// A thread that reads standard input.
    Thread(std::sync::mpsc::Sender<Answer>),
}

type Answer = Result<String, NotAsked>;

impl Waiting {
    fn answer(self, answer: Answer) {
        // Who does not wait any more needs no answer.
        match self {
            Waiting::Task(answer_tx) => drop(answer_tx.send(answer)),
            Waiting::Thread(answer_tx) => drop(answer_tx.send(answer)),
        }
    }
}

static WAITING: Mutex<Vec<(u64, Waiting)>> = Mutex::new(Vec::new());

fn waiting() -> MutexGuard<'static, Vec<(u64, Waiting)>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A question that the user sees for as long as this lives.
struct Asked {
    question: u64,
}

impl Asked {
    fn new(who: Waiting, prompt: String, password: bool) -> Asked {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let question = NUMBER.fetch_add(1, Ordering::Relaxed);
        stdio::flush();
        waiting().push((question, who));
        link::send(&Report::Ask {
            cell: tasks::current_cell(),
            question,
            prompt,
            password,
        });
        Asked { question }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if take(self.question).is_some() {
            link::send(&Report::Unask {
                question: self.question,
            });
        }
    }
}

fn take(question: u64) -> Option<Waiting> {
    let mut waiting = waiting();
    let index = waiting.iter().position(|(number, _)| *number == question)?;
    Some(waiting.swap_remove(index).1)
}

/// The kernel has the answer.
pub(crate) fn answered_by_user(question: u64, answer: Answer) {
    if let Some(who) = take(question) {
        who.answer(answer);
    }
}

/// Ends the waiting of threads when the stop button is pressed. Futures are dropped instead.
pub(crate) fn stopped() {
    let threads: Vec<u64> = waiting()
        .iter()
        .filter(|(_, who)| matches!(who, Waiting::Thread(_)))
        .map(|(question, _)| *question)
        .collect();
    for question in threads {
        if let Some(who) = take(question) {
            link::send(&Report::Unask { question });
            who.answer(Err(NotAsked::Stopped));
        }
    }
}

/// What the user has typed and nobody has read yet.
static UNREAD: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Reads standard input for the calling thread: a line of the user's; nothing, which is the end of
/// the file, where nobody can be asked.
///
/// # Errors
/// Where the stop button was pressed.
pub(crate) fn read(buffer: &mut [u8]) -> Result<usize, InputError> {
    let mut unread = UNREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if unread.is_empty() {
        let (prompt, password) = held().map_or_else(Default::default, Prompt::of);
        let (answer_tx, answer_rx) = std::sync::mpsc::channel();
        let asked = Asked::new(Waiting::Thread(answer_tx), prompt, password);
        if cell::phase() != Phase::Elsewhere && interrupt::is_pressed() {
            return Err(InputError::Stopped);
        }
        let answer = answer_rx.recv().unwrap_or(Err(NotAsked::Stopped));
        drop(asked);
        match answer {
            Ok(line) => *unread = format!("{line}\n").into_bytes(),
            Err(NotAsked::Stopped) => return Err(InputError::Stopped),
            Err(NotAsked::NobodyThere | NotAsked::NoCell) => return Ok(0),
        }
    }
    let length = unread.len().min(buffer.len());
    buffer[..length].copy_from_slice(&unread[..length]);
    unread.drain(..length);
    Ok(length)
}

/// The words of `evcxr_input` 0.1, see its `lib.rs`.
const WORDS: [(&[u8], bool); 2] = [
    (b"EVCXR_INPUT_REQUEST:", false),
    (b"EVCXR_INPUT_REQUEST_PASSWORD:", true),
];

/// A line that a thread has printed: a prompt if it reads standard input next, else text.
struct Prompt {
    cell: CellId,
    line: Vec<u8>,
}

impl Prompt {
    /// The prompt, and whether a password is wanted.
    fn of(self) -> (String, bool) {
        let words = WORDS.iter();
        let mut found = words.filter_map(|(word, password)| {
            let text = self.line.strip_prefix(*word)?;
            Some((text.trim_ascii_end(), *password))
        });
        let (text, password) = found.next().unwrap_or_default();
        (String::from_utf8_lossy(text).into_owned(), password)
    }
}

/// So that it is text also where the thread ends.
struct Held(RefCell<Option<Prompt>>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(prompt) = self.0.take() {
            stdio::report_text(prompt.cell, &prompt.line);
        }
    }
}

thread_local! {
    static HELD: Held = const { Held(RefCell::new(None)) };
}

/// The line that the calling thread holds. There is none while the thread ends.
fn held() -> Option<Prompt> {
    HELD.try_with(|held| held.0.take()).ok().flatten()
}

/// Shows what the calling thread has printed and not used as a prompt.
pub(crate) fn release_prompt() {
    if let Some(prompt) = held() {
        stdio::report_text(prompt.cell, &prompt.line);
    }
}

/// Holds the last line of what the calling thread prints, if it may be a prompt. Returns the rest.
pub(crate) fn hold_prompt(cell: CellId, bytes: &[u8]) -> &[u8] {
    let Some(lines) = bytes.strip_suffix(b"\n") else {
        return bytes;
    };
    let start = lines
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line = &bytes[start..];
    if !WORDS.iter().any(|(word, _)| line.starts_with(word)) {
        return bytes;
    }
    let prompt = Prompt {
        cell,
        line: line.to_vec(),
    };
    match HELD.try_with(|held| held.0.replace(Some(prompt))) {
        Ok(_) => &bytes[..start],
        Err(_) => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_line_of_evcxr_input_is_a_prompt() {
        assert_eq!(hold_prompt(1, b"a\nEVCXR_INPUT_REQUEST:name\n"), b"a\n");
        assert_eq!(held().unwrap().of(), ("name".to_owned(), false));
        assert_eq!(hold_prompt(1, b"EVCXR_INPUT_REQUEST_PASSWORD:x\n"), b"");
        assert_eq!(held().unwrap().of(), ("x".to_owned(), true));
        for text in [
            &b"EVCXR_INPUT_REQUEST:name"[..],
            b"a EVCXR_INPUT_REQUEST:\n",
            b"\n",
            b"",
        ] {
            assert_eq!(hold_prompt(1, text), text);
            assert!(held().is_none());
        }
    }
}
