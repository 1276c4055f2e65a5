//! The kernel process: binds the five sockets, starts a task for each, and ends them all.
//!
//! ```text
//! shell ──> session ──> worker thread: rewrite, evcxr ──> cell process
//! control ─────^  │                                            │ reports
//!                 └── stop ──────────────────────────────────> │
//! iopub <── relay <── output <── child <────────────────────────┘
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures::StreamExt;
use jupyter_protocol::ConnectionInfo;
use jupyter_zmq_client as zmq;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;
use zeromq::{Socket, SocketEvent};

use crate::bracket::Bracket;
use crate::child::Orders;
use crate::history::History;
use crate::iopub::IoPub;
use crate::options::Options;
use crate::relay::{self, Instruction, Relay};
use crate::running::Running;
use crate::session::Session;
use crate::session_dir::SessionDir;
use crate::shell::Shell;
use crate::stdin::Questions;
use crate::{control, evaluator, heartbeat, parent, worker};

/// The environment variable that says what to log, as in
/// <https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html>.
const LOG_VAR: &str = "MORCEAUX_LOG";

/// rust-analyzer warns of much that the user is told in other words.
const LOG_DEFAULT: &str = "error,morceaux_kernel=warn";

/// How many reports of the cell process wait to be passed on before it does.
const REPORTS: usize = 64;

/// How long the session may take to end before the process ends all the same.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait before a folder that could not be removed is tried again.
const REMOVAL_PAUSE: Duration = Duration::from_millis(20);

/// Runs the kernel until a client shuts it down.
///
/// # Errors
/// Where the connection file cannot be read or a socket cannot be bound.
pub fn run(connection_file: &Path, options: &Options) -> anyhow::Result<()> {
    let connection = std::fs::read_to_string(connection_file)
        .with_context(|| format!("{} cannot be read", connection_file.display()))?;
    let connection: ConnectionInfo = serde_json::from_str(&connection)
        .with_context(|| format!("{} is no connection file", connection_file.display()))?;
    let filter = EnvFilter::try_from_env(LOG_VAR).unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let folder = SessionDir::choose()?;
    // SAFETY: no thread has been started yet.
    unsafe { evaluator::set_environment(&folder) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(serve(&connection, folder, options))?;
    // The worker thread may be waiting for a compiler.
    runtime.shutdown_background();
    Ok(())
}

async fn serve(
    connection: &ConnectionInfo,
    folder: PathBuf,
    options: &Options,
) -> anyhow::Result<()> {
    // A terminal's Ctrl-C reaches the whole group; the stop button comes as a message.
    let mut ctrl_c = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let id = uuid::Uuid::new_v4().to_string();
    let mut shell = zmq::create_kernel_shell_connection(connection, &id).await?;
    let clients = shell.socket.monitor();
    let control = zmq::create_kernel_control_connection(connection, &id).await?;
    let stdin = zmq::create_kernel_stdin_connection(connection, &id).await?;
    heartbeat::start(connection).await?;
    let iopub = IoPub::start(zmq::create_kernel_iopub_connection(connection, &id).await?);
    iopub.starting().await;

    let (event_tx, event_rx) = mpsc::channel(REPORTS);
    let running = Arc::new(Running::default());
    let history = History::new(&folder);
    let orders = Orders::default();
    let relay = Relay::new(relay::Parts {
        iopub: iopub.clone(),
        running: Arc::clone(&running),
        history: history.clone(),
        orders: orders.clone(),
        questions: Questions::start(stdin, orders.clone()),
        limits: options.limits(),
    });
    let instruction_tx = relay.start(event_rx);
    tokio::spawn(watch_clients(clients, instruction_tx.clone()));
    let parts = worker::Parts {
        folder: folder.clone(),
        history,
        running,
        orders,
        instruction_tx,
        event_tx,
        drain: options.drain,
        memory: options.memory,
    };
    let session = Session::start(parts, options.grace());
    let bracket = Bracket::new(iopub.clone());

    tokio::spawn(async move { while ctrl_c.recv().await.is_some() {} });
    let shell_side = Shell {
        session: session.clone(),
        iopub,
        bracket: bracket.clone(),
    };
    shell_side.serve(shell);

    tokio::select! {
        () = control::serve(control, session.clone(), bracket) => {}
        _ = terminate.recv() => {}
        () = parent::ended() => {}
    }
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, session.shut_down())
        .await
        .is_err()
    {
        end_compilers();
        remove(&folder).await;
    }
    Ok(())
}

/// Tells the relay which clients come and go.
async fn watch_clients(
    mut events: futures::channel::mpsc::Receiver<SocketEvent>,
    instruction_tx: mpsc::UnboundedSender<Instruction>,
) {
    while let Some(event) = events.next().await {
        let (client, is_there) = match event {
            SocketEvent::Accepted(_, client) => (client, true),
            SocketEvent::Disconnected(client) => (client, false),
            _ => continue,
        };
        let client = Bytes::copy_from_slice(&client);
        // The relay only ends with the kernel.
        let _ = instruction_tx.send(Instruction::Client { client, is_there });
    }
}

/// Ends what the worker thread waits for. Jupyter starts a kernel as the leader of a group of its
/// own; in a group of somebody else's it would not be for the kernel to end the others.
fn end_compilers() {
    use rustix::process::{Signal, getpgrp, getpid, kill_process_group};
    if getpgrp() == getpid() {
        // The kernel itself takes the signal as the wish that it is following.
        let _ = kill_process_group(getpgrp(), Signal::TERM);
    }
}

/// Removes the session's folder, in which a compiler may still be writing.
async fn remove(folder: &Path) {
    let removal = async {
        while folder.exists() && std::fs::remove_dir_all(folder).is_err() {
            tokio::time::sleep(REMOVAL_PAUSE).await;
        }
    };
    // What is left then is swept by the next kernel.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, removal).await;
}
