//! Listening on a broker for messages to learn from.
//!
//! As one more subscriber, with a session of its own that ends with it, at QoS 0: nothing is
//! acknowledged, and the gateway's own session does not notice.

use anyhow::{Context, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rumqttc::{AsyncClient, Event, Packet, Publish, QoS, SubscribeFilter, SubscribeReasonCode};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

use super::capture::Captured;
use crate::clock::Clock;
use crate::config::MqttServer;
use crate::lang::Lang;
use crate::mqtt_client::{Access, CONNECT_TIMEOUT, network_options};

/// As large as the broker door takes.
const LARGEST_PACKET: usize = 16 << 20;

/// When it has heard enough: whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enough {
    pub(super) messages: usize,
    pub(super) after: Duration,
}

/// Listens on a broker. Ctrl-C ends it early, with what came until then.
///
/// # Errors
/// Where the broker cannot be reached, does not let us in, or lets us read nothing.
pub(super) async fn listen(
    server: &MqttServer,
    filters: &[String],
    enough: Enough,
    lang: Lang,
) -> anyhow::Result<Vec<Captured>> {
    for filter in filters {
        if filter.starts_with("$share/") {
            bail!("`{filter}` would take messages away from others; give the filter without `$share/…/`");
        }
        if !rumqttc::valid_filter(filter) {
            bail!("`{filter}` is no topic filter; `#` stands last, `+` alone in its level");
        }
    }
    let bar = progress(enough, lang);
    let heard = session(server, filters, enough, &bar).await;
    bar.finish_and_clear();
    heard.with_context(|| server.url.clone())
}

async fn session(
    server: &MqttServer,
    filters: &[String],
    enough: Enough,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<Captured>> {
    let mut options = Access::read(server)?.v4(&client_id()?);
    options.set_clean_session(true).set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
    let (client, mut events) = AsyncClient::new(options, 4);
    events.set_network_options(network_options());
    let mut heard = Vec::new();
    // Connecting does not count as listening.
    let mut connected = false;
    let mut end = Instant::now() + 2 * CONNECT_TIMEOUT;
    while heard.len() < enough.messages {
        let event = tokio::select! {
            () = sleep_until(end) => break,
            _ = tokio::signal::ctrl_c() => break,
            event = events.poll() => event?,
        };
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                connected = true;
                end = Instant::now() + enough.after;
                let filters = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtMostOnce));
                client.try_subscribe_many(filters)?;
            }
            Event::Incoming(Packet::SubAck(ack)) => {
                let refused = filters.iter().zip(&ack.return_codes);
                if let Some((filter, _)) = refused.into_iter().find(|(_, code)| **code == SubscribeReasonCode::Failure)
                {
                    bail!("the broker does not let us read {filter}; its access list has to allow this user");
                }
            }
            Event::Incoming(Packet::Publish(publish)) => {
                bar.set_message(publish.topic.clone());
                bar.inc(1);
                heard.push(captured(publish));
            }
            _ => {}
        }
    }
    if !connected {
        bail!("the broker does not answer");
    }
    // Say goodbye where that is possible; the broker forgets us either way.
    if client.try_disconnect().is_ok() {
        let _ = timeout(Duration::from_secs(1), async { while events.poll().await.is_ok() {} }).await;
    }
    Ok(heard)
}

fn captured(publish: Publish) -> Captured {
    // What the broker had retained was published at a time that nobody knows.
    let arrival_ms = (!publish.retain).then(|| Clock::System.now_ms());
    Captured { topic: publish.topic, payload: publish.payload.into(), arrival_ms }
}

/// One of its own: a broker ends the session of whoever had the same.
fn client_id() -> anyhow::Result<String> {
    let chance = getrandom::u32().map_err(|error| anyhow!("no random number: {error}"))?;
    Ok(format!("ninewatch-learn-{:08x}", chance))
}

fn progress(enough: Enough, lang: Lang) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(enough.messages).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("  {bar:30.cyan/blue} {pos}/{len}  {elapsed}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(lang.pick("等待设备上报……（Ctrl-C 提前结束）", "waiting for devices … (Ctrl-C ends it early)"));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
