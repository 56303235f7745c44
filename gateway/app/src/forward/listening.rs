//! What an upstream sends: receipts, and what its staff do.

use rumqttc::v5::mqttbytes::v5::Publish;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc;

use ninewatch_core::alert::StaffAction;

use super::cloudevent::{self, Incoming, Receipt};
use super::line::{Came, Heard, Publisher, Sent};
use super::session::Session;
#[cfg(test)]
use crate::sim::{Bug, planted};

impl Session {
    /// Takes receipts and staff actions, in order. Each is acknowledged in that order when it is dealt with: an action
    /// when it is durable and the server has our answer, so that after a kill in between it comes again, and is
    /// answered again.
    pub(super) async fn listen(
        &self,
        delivered: &mut mpsc::Receiver<Came>,
        publisher: &Publisher,
        hear: &mpsc::Sender<Heard>,
    ) -> anyhow::Result<()> {
        let mut answers = 0;
        // With the answer that has to arrive before.
        let mut unacknowledged: VecDeque<(Box<Publish>, Option<u64>)> = VecDeque::new();
        while let Some(came) = delivered.recv().await {
            match came {
                Came::Event(publish) => {
                    let mut waits_for = None;
                    if let Some(answer) = self.take(&publish, hear).await? {
                        answers += 1;
                        publisher.publish(&self.status_topic, answer, false, Sent::Answer(answers))?;
                        waits_for = Some(answers);
                    }
                    #[cfg(test)]
                    let waits_for = waits_for.filter(|_| !planted(Bug::AnswerForgotten));
                    unacknowledged.push_back((publish, waits_for));
                }
                Came::AnswerTaken(answer) => {
                    unacknowledged.iter_mut().for_each(|(_, waits_for)| _ = waits_for.take_if(|for_| *for_ == answer));
                }
            }
            while let Some((publish, None)) = unacknowledged.front() {
                publisher.acknowledge(publish)?;
                unacknowledged.pop_front();
            }
        }
        Ok(())
    }

    /// Takes an event; gives the answer that it wants.
    async fn take(&self, publish: &Publish, hear: &mpsc::Sender<Heard>) -> anyhow::Result<Option<Vec<u8>>> {
        match cloudevent::read(&publish.payload) {
            Ok(Incoming::Receipt(receipt)) => self.take_receipt(receipt, hear).await?,
            Ok(Incoming::Action(action, epoch)) => return self.act(action, epoch).await.map(Some),
            Ok(Incoming::Unreadable(action, what)) => {
                self.pass_over(&what);
                return Ok(Some(cloudevent::unreadable(&self.source, &action, &what)?));
            }
            Ok(Incoming::Other) => {}
            Err(what) => self.pass_over(&what),
        }
        Ok(None)
    }

    /// Takes a receipt for the numbers of this gateway, not for those that another box has given.
    async fn take_receipt(&self, receipt: Receipt, hear: &mpsc::Sender<Heard>) -> anyhow::Result<()> {
        let current = self.source.epochs.current();
        if receipt.epoch.as_ref() == Some(&current.id) {
            self.status.answered.store(true, Relaxed);
            return Ok(hear.send(Heard::Receipt(receipt)).await?);
        }
        tracing::warn!(
            upstream = self.server.name,
            epoch = receipt.epoch.as_deref().unwrap_or("none"),
            "passed over a receipt of another epoch: since change {} it is {}, and `online` says so",
            current.first,
            current.id
        );
        Ok(())
    }

    fn pass_over(&self, what: &str) {
        self.status.malformed.fetch_add(1, Relaxed);
        tracing::warn!(upstream = self.server.name, "passed over an event on {}: {what}", self.actions);
    }

    /// Takes a staff action; gives the answer.
    async fn act(&self, mut action: StaffAction, epoch: Option<String>) -> anyhow::Result<Vec<u8>> {
        action.via = Some(self.server.name.clone());
        let current = self.source.epochs.current();
        if epoch.is_some_and(|epoch| epoch != current.id) {
            // What they have seen under these numbers is something else.
            action.upon = action.upon.map(|upon| upon.min(current.first - 1));
        }
        let result = self.engine.act(action.clone()).await?;
        match &result {
            Ok(_) => self.status.actions.fetch_add(1, Relaxed),
            Err(error) => {
                tracing::info!(upstream = self.server.name, action = action.id, "refused: {error}");
                self.status.refused.fetch_add(1, Relaxed)
            }
        };
        Ok(cloudevent::answer(&self.source, &action, &result)?)
    }
}
