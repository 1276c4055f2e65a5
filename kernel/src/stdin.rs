//! The stdin channel: what a cell asks its user goes out, the answer comes in. One question at a time,
//! since that is what front ends show.

use std::collections::VecDeque;

use jupyter_protocol::{InputRequest, JupyterMessage, JupyterMessageContent};
use jupyter_zmq_client::{KernelStdinConnection, RouterSendConnection};
use tokio::sync::mpsc;

use crate::child::Orders;
use crate::kernel_info;
use crate::receive::{self, Received};
use crate::wire::{NotAsked, Order};

/// Asks questions. Clones ask on the same channel.
#[derive(Debug, Clone)]
pub struct Questions {
    wish_tx: mpsc::UnboundedSender<Wish>,
}

#[derive(Debug)]
enum Wish {
    Ask(Question),
    Unask(u64),
    ForgetAll,
}

#[derive(Debug)]
struct Question {
    number: u64,
    /// The execute_request below which it stands.
    parent: Box<JupyterMessage>,
    prompt: String,
    password: bool,
}

impl Questions {
    /// Starts the task that owns the channel. Answers go to the cell process.
    pub fn start(connection: KernelStdinConnection, orders: Orders) -> Questions {
        let (wish_tx, mut wish_rx) = mpsc::unbounded_channel();
        let (request_connection, mut replies) = connection.split();
        let mut stdin = Stdin {
            request_connection,
            orders,
            asked: None,
            waiting: VecDeque::new(),
        };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    wish = wish_rx.recv() => match wish {
                        Some(wish) => stdin.follow(wish).await,
                        None => break,
                    },
                    reply = receive::next(&mut replies) => match reply {
                        Some(Received::Whole(reply)) => stdin.take(&reply).await,
                        Some(Received::Damaged { why, .. }) => {
                            tracing::warn!("an answer was dropped: {why}");
                        }
                        None => break,
                    },
                }
            }
        });
        Questions { wish_tx }
    }

    /// Asks a question below the cell of an execute_request.
    ///
    /// # Errors
    /// Where there is no such cell, or its request says that its client does not ask.
    pub fn ask(
        &self,
        number: u64,
        parent: Option<Box<JupyterMessage>>,
        prompt: String,
        password: bool,
    ) -> Result<(), NotAsked> {
        let parent = parent.ok_or(NotAsked::NoCell)?;
        let allowed = matches!(
            &parent.content,
            JupyterMessageContent::ExecuteRequest(request) if request.allow_stdin
        );
        if !allowed {
            return Err(NotAsked::NobodyThere);
        }
        let question = Question {
            number,
            parent,
            prompt,
            password,
        };
        // The task only ends with the kernel.
        let _ = self.wish_tx.send(Wish::Ask(question));
        Ok(())
    }

    /// Nobody waits for this answer any more.
    pub fn unask(&self, number: u64) {
        let _ = self.wish_tx.send(Wish::Unask(number));
    }

    /// The cell process has gone, and all that it asked with it.
    pub fn forget_all(&self) {
        let _ = self.wish_tx.send(Wish::ForgetAll);
    }
}

struct Stdin {
    request_connection: RouterSendConnection,
    orders: Orders,
    /// The question that the user sees, and the id of the message that asks it.
    asked: Option<(Question, String)>,
    waiting: VecDeque<Question>,
}

impl Stdin {
    async fn follow(&mut self, wish: Wish) {
        match wish {
            Wish::Ask(question) => self.waiting.push_back(question),
            Wish::Unask(number) => {
                self.waiting.retain(|question| question.number != number);
                self.asked
                    .take_if(|(question, _)| question.number == number);
            }
            Wish::ForgetAll => {
                self.waiting.clear();
                self.asked = None;
            }
        }
        self.ask_next().await;
    }

    async fn ask_next(&mut self) {
        while self.asked.is_none()
            && let Some(question) = self.waiting.pop_front()
        {
            let request = InputRequest {
                prompt: question.prompt.clone(),
                password: question.password,
            };
            let mut request = kernel_info::message(request, Some(&question.parent));
            // A client has the same identity on all of its channels.
            request.zmq_identities = question.parent.zmq_identities.clone();
            let id = request.header.msg_id.clone();
            match self.request_connection.send(request).await {
                Ok(()) => self.asked = Some((question, id)),
                Err(error) => {
                    tracing::warn!("a question could not be sent: {error}");
                    let answer = Err(NotAsked::NobodyThere);
                    self.answer(question.number, answer);
                }
            }
        }
    }

    async fn take(&mut self, reply: &JupyterMessage) {
        let JupyterMessageContent::InputReply(content) = &reply.content else {
            tracing::warn!("no input_reply: {}", reply.message_type());
            return;
        };
        // Some clients do not say what they answer. What answers an earlier question is too late.
        let answers = reply.parent_header.as_ref().map(|parent| &parent.msg_id);
        let is_answer = |(question, id): &mut (Question, String)| {
            answers.is_none_or(|answers| answers == id)
                && question.parent.zmq_identities == reply.zmq_identities
        };
        match self.asked.take_if(is_answer) {
            Some((question, _)) => self.answer(question.number, Ok(content.value.clone())),
            None => tracing::debug!("nobody has asked for this answer"),
        }
        self.ask_next().await;
    }

    fn answer(&self, question: u64, answer: Result<String, NotAsked>) {
        // Without a cell process nobody waits.
        let _ = self.orders.send(Order::Answer { question, answer });
    }
}
