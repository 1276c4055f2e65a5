//! What every request gets, whatever happens to it: busy before, idle behind, both as its children.

use std::sync::Arc;

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, Status, UnknownMessage};
use jupyter_zmq_client::RouterSendConnection;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::iopub::IoPub;
use crate::kernel_info;

/// Brackets requests. Clones belong to the same kernel.
#[derive(Clone)]
pub struct Bracket {
    iopub: IoPub,
    /// The execute_request that is being answered.
    running: Arc<Mutex<Option<JupyterMessage>>>,
}

impl Bracket {
    /// Brackets with messages on this channel.
    pub fn new(iopub: IoPub) -> Bracket {
        Bracket {
            iopub,
            running: Arc::default(),
        }
    }

    /// Answers a request on the channel on which it came.
    pub async fn answer(
        &self,
        request: &JupyterMessage,
        reply_connection: &mut RouterSendConnection,
        answer: impl Future<Output = JupyterMessageContent>,
    ) {
        self.iopub.status(Status::busy(), request).await;
        reply(request, reply_connection, answer.await).await;
        self.iopub.status(Status::idle(), request).await;
        // Front ends show the last status that they have got, and a cell may still run. The lock, so
        // that its idle does not come in between.
        let running = self.running.lock().await;
        if let Some(cell) = &*running {
            self.iopub.status(Status::busy(), cell).await;
        }
    }

    /// Answers a request that does not hold what its type promises.
    pub async fn refuse(
        &self,
        request: &JupyterMessage,
        reply_connection: &mut RouterSendConnection,
        why: &str,
    ) {
        let msg_type = &request.header.msg_type;
        if msg_type.ends_with("_request") {
            let refusal = error(msg_type, "BadRequest", why);
            self.answer(request, reply_connection, async { refusal })
                .await;
        } else {
            tracing::warn!("not a request: {msg_type}: {why}");
        }
    }

    /// As [`answer`](Bracket::answer), for a cell: until it is answered, the kernel is busy.
    pub async fn answer_cell(
        &self,
        request: &JupyterMessage,
        reply_connection: &mut RouterSendConnection,
        answer: impl Future<Output = JupyterMessageContent>,
    ) {
        self.iopub.status(Status::busy(), request).await;
        *self.running.lock().await = Some(request.clone());
        let answer = answer.await;
        *self.running.lock().await = None;
        reply(request, reply_connection, answer).await;
        self.iopub.status(Status::idle(), request).await;
    }
}

/// The answer to a request that this kernel, or this channel, does not know.
pub fn unknown(request_type: &str) -> JupyterMessageContent {
    let what = format!("this kernel does not know {request_type} on this channel");
    error(request_type, "UnknownRequest", &what)
}

fn error(request_type: &str, ename: &str, evalue: &str) -> JupyterMessageContent {
    UnknownMessage {
        msg_type: request_type.to_owned(),
        content: Value::Null,
    }
    .reply(json!({
        "status": "error",
        "ename": ename,
        "evalue": evalue,
        "traceback": [],
    }))
}

async fn reply(
    request: &JupyterMessage,
    connection: &mut RouterSendConnection,
    content: JupyterMessageContent,
) {
    let reply = kernel_info::message(content, Some(request));
    if let Err(error) = connection.send(reply).await {
        // The client has gone; the others still get what was published.
        tracing::warn!("a reply could not be sent: {error}");
    }
}
