//! The control channel: what must be heard while a cell runs.

use jupyter_protocol::{InterruptReply, JupyterMessageContent, ReplyStatus, ShutdownReply};
use jupyter_zmq_client::KernelControlConnection;

use crate::bracket::{self, Bracket};
use crate::kernel_info;
use crate::receive::{self, Received};
use crate::session::Session;

/// Serves the channel until the kernel is to end.
pub async fn serve(connection: KernelControlConnection, session: Session, bracket: Bracket) {
    let (mut reply_connection, mut requests) = connection.split();
    while let Some(received) = receive::next(&mut requests).await {
        let request = match received {
            Received::Whole(request) => request,
            Received::Damaged { message, why } => {
                bracket.refuse(&message, &mut reply_connection, &why).await;
                continue;
            }
        };
        let mut ends = false;
        let answer: JupyterMessageContent = match request.content.clone() {
            JupyterMessageContent::InterruptRequest(_) => {
                session.interrupt();
                InterruptReply::new().into()
            }
            JupyterMessageContent::ShutdownRequest(shutdown) => {
                ends = true;
                ShutdownReply {
                    restart: shutdown.restart,
                    status: ReplyStatus::Ok,
                    error: None,
                }
                .into()
            }
            JupyterMessageContent::KernelInfoRequest(_) => kernel_info::reply().into(),
            other if other.message_type().ends_with("_request") => {
                bracket::unknown(other.message_type())
            }
            other => {
                tracing::warn!("not a request: {}", other.message_type());
                continue;
            }
        };
        bracket
            .answer(&request, &mut reply_connection, async { answer })
            .await;
        if ends {
            return;
        }
    }
}
