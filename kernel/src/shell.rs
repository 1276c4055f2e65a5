//! The shell channel: cells one after the other, everything else at once.

use std::collections::HashMap;

use jupyter_protocol::{
    CommInfoReply, CompleteReply, ErrorOutput, ExecuteInput, ExecuteReply, ExecuteRequest,
    ExecutionCount, HistoryReply, InspectReply, JupyterMessage, JupyterMessageContent, Media,
    MediaType, ReplyError, ReplyStatus, StreamContent,
};
use jupyter_zmq_client::{KernelShellConnection, RouterRecvConnection, RouterSendConnection};
use serde_json::Map;
use tokio::sync::mpsc;

use crate::bracket::{self, Bracket};
use crate::error::CellError;
use crate::iopub::IoPub;
use crate::receive::{self, Received};
use crate::session::Session;
use crate::{complete, is_complete, kernel_info};

/// What handling a request on the shell channel needs. Clones belong to the same kernel.
#[derive(Clone)]
pub struct Shell {
    /// Runs cells.
    pub session: Session,
    /// Publishes what cells show.
    pub iopub: IoPub,
    /// Brackets requests.
    pub bracket: Bracket,
}

impl Shell {
    /// Starts the tasks that serve the channel.
    pub fn serve(self, connection: KernelShellConnection) {
        let (reply_connection, requests) = connection.split();
        let (cell_tx, cell_rx) = mpsc::unbounded_channel();
        tokio::spawn(self.clone().run_cells(cell_rx, copy(&reply_connection)));
        tokio::spawn(self.take_requests(requests, reply_connection, cell_tx));
    }

    async fn take_requests(
        self,
        mut requests: RouterRecvConnection,
        reply_connection: RouterSendConnection,
        cell_tx: mpsc::UnboundedSender<JupyterMessage>,
    ) {
        while let Some(received) = receive::next(&mut requests).await {
            let request = match received {
                Received::Whole(request) => request,
                Received::Damaged { message, why } => {
                    let mut reply_connection = copy(&reply_connection);
                    self.bracket
                        .refuse(&message, &mut reply_connection, &why)
                        .await;
                    continue;
                }
            };
            if matches!(request.content, JupyterMessageContent::ExecuteRequest(_)) {
                // The task that runs the cells only ends with the kernel.
                let _ = cell_tx.send(request);
                continue;
            }
            if !request.message_type().ends_with("_request") {
                tracing::warn!("not a request: {}", request.message_type());
                continue;
            }
            let shell = self.clone();
            let mut reply_connection = copy(&reply_connection);
            tokio::spawn(async move {
                let bracket = shell.bracket.clone();
                let answer = shell.answer(request.content.clone());
                bracket
                    .answer(&request, &mut reply_connection, answer)
                    .await;
            });
        }
    }

    /// The answer to everything but cells.
    async fn answer(self, content: JupyterMessageContent) -> JupyterMessageContent {
        match content {
            JupyterMessageContent::KernelInfoRequest(_) => kernel_info::reply().into(),
            JupyterMessageContent::IsCompleteRequest(request) => {
                is_complete::is_complete(&request.code).into()
            }
            JupyterMessageContent::CompleteRequest(request) => {
                complete_reply(&self.session, request.code, request.cursor_pos)
                    .await
                    .into()
            }
            JupyterMessageContent::InspectRequest(request) => {
                inspect_reply(&self.session, request.code, request.cursor_pos)
                    .await
                    .into()
            }
            JupyterMessageContent::CommInfoRequest(_) => CommInfoReply {
                status: ReplyStatus::Ok,
                comms: HashMap::new(),
                error: None,
            }
            .into(),
            JupyterMessageContent::HistoryRequest(_) => HistoryReply::new(Vec::new()).into(),
            other => bracket::unknown(other.message_type()),
        }
    }

    async fn run_cells(
        self,
        mut cell_rx: mpsc::UnboundedReceiver<JupyterMessage>,
        mut reply_connection: RouterSendConnection,
    ) {
        let mut count = 0;
        while let Some(message) = cell_rx.recv().await {
            let JupyterMessageContent::ExecuteRequest(request) = message.content.clone() else {
                continue;
            };
            if request.store_history && !request.silent {
                count += 1;
            }
            let stop_on_error = request.stop_on_error;
            let mut failed = false;
            let answer = async {
                let result = self.run_cell(request, &message, count).await;
                failed = result.is_err();
                execute_reply(result, count).into()
            };
            self.bracket
                .answer_cell(&message, &mut reply_connection, answer)
                .await;
            if failed && stop_on_error {
                // The cells behind it were sent in the belief that it would succeed.
                while let Ok(queued) = cell_rx.try_recv() {
                    let aborted = ExecuteReply {
                        status: ReplyStatus::Aborted,
                        execution_count: ExecutionCount::new(count),
                        ..ExecuteReply::default()
                    };
                    let answer = async { aborted.into() };
                    self.bracket
                        .answer(&queued, &mut reply_connection, answer)
                        .await;
                }
            }
        }
    }

    async fn run_cell(
        &self,
        request: ExecuteRequest,
        message: &JupyterMessage,
        count: usize,
    ) -> Result<(), CellError> {
        let execution_count = ExecutionCount::new(count);
        if !request.silent {
            let code = request.code.clone();
            self.iopub
                .send(
                    ExecuteInput {
                        code,
                        execution_count,
                    },
                    message,
                )
                .await;
        }
        let run = self.session.execute(request.code, message, execution_count);
        tokio::pin!(run);
        let result = tokio::select! {
            biased;
            result = &mut run => result,
            delay = self.session.delayed() => {
                self.iopub.send(StreamContent::stderr(delay), message).await;
                run.await
            }
        };
        if let Err(error) = &result
            && !request.silent
        {
            let error = ErrorOutput {
                ename: error.name().to_owned(),
                evalue: error.to_string(),
                traceback: error.traceback(),
            };
            self.iopub.send(error, message).await;
        }
        result
    }
}

/// The sending half is one socket however often it is copied.
fn copy(connection: &RouterSendConnection) -> RouterSendConnection {
    RouterSendConnection {
        socket: connection.socket.clone(),
        mac: connection.mac.clone(),
        session_id: connection.session_id.clone(),
    }
}

fn execute_reply(result: Result<(), CellError>, count: usize) -> ExecuteReply {
    let reply = ExecuteReply {
        execution_count: ExecutionCount::new(count),
        user_expressions: Some(HashMap::new()),
        ..ExecuteReply::default()
    };
    match result {
        Ok(()) => reply,
        Err(error) => ExecuteReply {
            status: ReplyStatus::Error,
            error: Some(Box::new(ReplyError {
                ename: error.name().to_owned(),
                evalue: error.to_string(),
                traceback: error.traceback(),
            })),
            ..reply
        },
    }
}

async fn complete_reply(session: &Session, code: String, cursor: usize) -> CompleteReply {
    let offset = complete::byte_offset(&code, cursor);
    match session.complete(code.clone(), offset).await {
        Some(found) => CompleteReply {
            matches: found.matches,
            cursor_start: complete::character_offset(&code, found.start),
            cursor_end: complete::character_offset(&code, found.end),
            ..CompleteReply::default()
        },
        None => CompleteReply {
            cursor_start: cursor,
            cursor_end: cursor,
            ..CompleteReply::default()
        },
    }
}

async fn inspect_reply(session: &Session, code: String, cursor: usize) -> InspectReply {
    let offset = complete::byte_offset(&code, cursor);
    match session.inspect(code, offset).await {
        Some(found) => InspectReply {
            found: true,
            data: Media::new(vec![
                MediaType::Plain(found.plain),
                MediaType::Html(found.html),
            ]),
            metadata: Map::new(),
            ..InspectReply::default()
        },
        None => InspectReply::default(),
    }
}
