//! What goes to the upstream and comes from it.

use super::super::platform::What;
use super::super::promises::Action;
use super::{OnTheWay, World};
use crate::engine::Stopped;
use crate::forward::stepped::Packet;
use crate::index::Progress;

impl World<'_> {
    pub(super) async fn connect(&mut self) -> anyhow::Result<()> {
        self.last_online += 1;
        let online = format!("online-{}", self.last_online);
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        if gateway.connection.is_none() {
            gateway.connection = Some(gateway.forward.connect(online));
            self.settle().await?;
        }
        Ok(())
    }

    /// The connection is cut; some of what was on its way has come all the same.
    pub(super) fn cut(&mut self) -> anyhow::Result<()> {
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        let come = self.chance.index(gateway.on_the_way.len() + 1);
        let on_the_way: Vec<_> = gateway.on_the_way.drain(..).take(come).collect();
        for sent in on_the_way {
            match sent {
                OnTheWay::Change(seq, payload) => self.platform.take(seq, payload)?,
                OnTheWay::Answer(_, payload) => self.promises.answer(&payload)?,
            }
        }
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        gateway.connection = None;
        self.platform.disconnect();
        self.promises.disconnect();
        Ok(())
    }

    pub(super) fn upstream_takes(&mut self, most: usize, reads: bool) -> anyhow::Result<()> {
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        let Some(connection) = &gateway.connection else { return Ok(()) };
        for _ in 0..most {
            match gateway.on_the_way.pop_front() {
                None => break,
                Some(OnTheWay::Answer(answer, payload)) => {
                    self.promises.answer(&payload)?;
                    connection.answer_taken(answer);
                }
                Some(OnTheWay::Change(seq, payload)) => {
                    if reads {
                        self.platform.take(seq, payload)?;
                    }
                    connection.acknowledge(seq, reads);
                    self.promises.arrived(seq, reads);
                }
            }
        }
        Ok(())
    }

    pub(super) fn platform_sends(&mut self) {
        let Some(connection) = self.gateway.as_ref().and_then(|gateway| gateway.connection.as_ref()) else { return };
        for _ in 0..=self.chance.below(4) {
            let Some((packet, payload)) = self.platform.next() else { return };
            connection.deliver(packet, payload);
        }
    }

    /// Lets the session's tasks do all that they can, and looks at what they sent.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        loop {
            // Paused time goes on when there is nothing else to do.
            self.promises.cursor(&self.progress.delivery("city"));
            self.pass(1).await;
            self.promises.cursor(&self.progress.delivery("city"));
            let Some(gateway) = &mut self.gateway else { return Ok(()) };
            let mut asked = Vec::new();
            for (id, answer) in gateway.asked.drain(..) {
                if !answer.is_finished() {
                    asked.push((id, answer));
                    continue;
                }
                match answer.await? {
                    Ok(Ok(_)) => self.promises.action(&id, Action::Taken)?,
                    Ok(Err(_)) => self.promises.action(&id, Action::Refused)?,
                    Err(Stopped) => {}
                }
            }
            gateway.asked = asked;
            let Some(connection) = &gateway.connection else { return Ok(()) };
            let mut again = false;
            let mut sent = Vec::new();
            let mut broken = Ok(());
            while let Some(packet) = connection.sent() {
                match packet {
                    Packet::Subscribe => {
                        connection.subscribed();
                        again = true;
                    }
                    Packet::Change(seq, payload) => {
                        sent.push(seq);
                        broken = broken.and_then(|()| self.promises.sent(seq));
                        gateway.on_the_way.push_back(OnTheWay::Change(seq, payload));
                    }
                    Packet::Status(payload) => self.platform.status(&payload, &mut self.chance)?,
                    Packet::Answer(answer, payload) => {
                        gateway.on_the_way.push_back(OnTheWay::Answer(answer, payload));
                    }
                    Packet::Acknowledged(packet) => match self.platform.acknowledged(packet) {
                        Some(What::Receipt(seqs)) => self.promises.receipt(seqs),
                        Some(What::Action(id)) => broken = broken.and_then(|()| self.promises.acknowledged(&id)),
                        None => {}
                    },
                }
            }
            let over = connection.is_over();
            if !sent.is_empty() {
                self.note(format!("  upstream: {sent:?}"));
            }
            broken?;
            if over {
                self.note("the gateway ends the connection");
                return self.cut();
            }
            if !again {
                return Ok(());
            }
        }
    }
}
