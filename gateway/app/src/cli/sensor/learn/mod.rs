//! `ninewatch sensor learn`: drafts a sensor type file out of captured messages.
//!
//! capture or listen → payload, tree, topic → guess → ask → file → compile. What is guessed and not
//! confirmed carries `# check:` in the file.

mod ask;
mod capture;
mod device;
mod draft;
mod field;
mod field_text;
mod fields;
mod file;
mod guess;
mod listen;
mod meaning;
mod names;
mod payload;
mod privacy;
mod scale;
#[cfg(test)]
mod tests;
mod time;
mod toml_text;
mod topic;
mod tree;
mod whole;
mod words;

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use ninewatch_core::decode::SensorTypes;
use ninewatch_core::fault::SourceFile;
use ninewatch_core::reading::SensorClass;
use ninewatch_core::time::Span;

use ask::{Asker, Nobody, Terminal};
use capture::Captured;
use file::{CHECK, as_span};
use listen::Enough;

use crate::config::{Config, Faults, MqttServer};
use crate::lang::Lang;

/// What `sensor learn` can be told.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["broker", "site", "from"]))]
pub(crate) struct LearnArgs {
    /// Learn from messages of these topics only; with --from, also the topic of payloads that stand alone
    #[arg(long, value_name = "FILTER")]
    topic: Option<String>,
    /// Listen on this broker: mqtt://user@host:1883
    #[arg(long, value_name = "URL", requires = "topic")]
    broker: Option<String>,
    /// The file that holds the broker's password
    #[arg(long, value_name = "FILE", requires = "broker")]
    password_file: Option<PathBuf>,
    /// Listen on a broker of this site file
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// Which one, where it names several
    #[arg(long, value_name = "NAME", requires = "site")]
    broker_name: Option<String>,
    /// Read captured messages: what `mosquitto_sub -v`, `mosquitto_sub -F %J` or `ninewatch
    /// quarantine` printed, or payloads alone; - is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Listen for so many messages
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    messages: u16,
    /// Listen no longer than this
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = span)]
    listen_for: Span,
    /// The type's id; left out: after the model or the topic
    #[arg(long, value_parser = id)]
    id: Option<String>,
    /// face_camera, bracelet, smoke, gas, electrical, door, presence, sos or water; left out: by what
    /// it measures
    #[arg(long, value_parser = class)]
    class: Option<SensorClass>,
    /// Ask nothing; mark what it is not sure of with `# check:`
    #[arg(long, short)]
    yes: bool,
    /// Write the draft to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite that file
    #[arg(long, requires = "out")]
    force: bool,
}

fn span(text: &str) -> Result<Span, String> {
    Span::deserialize(StrDeserializer::<Error>::new(text)).map_err(|error| error.to_string())
}

fn id(text: &str) -> Result<String, String> {
    let is_id = ninewatch_core::site::is_id(text);
    if is_id { Ok(text.to_owned()) } else { Err("use 1 to 64 of A-Z a-z 0-9 . _ -".to_owned()) }
}

fn class(text: &str) -> Result<SensorClass, String> {
    SensorClass::deserialize(StrDeserializer::<Error>::new(text)).map_err(|error| error.to_string())
}

/// Captures, drafts, asks where it is unsure, and writes the draft.
///
/// # Errors
/// Where there is nothing to learn from, nobody to ask, or the draft fails its own test.
pub(crate) async fn run(args: LearnArgs, lang: Lang) -> anyhow::Result<()> {
    // All that can go wrong without a message goes wrong before the wait for one.
    let mut asker = asker(&args)?;
    if let Some(path) = args.out.as_deref().filter(|path| path.exists() && !args.force) {
        bail!("{} is there already; `--force` overwrites it", path.display());
    }
    let captured = capture(&args, lang).await?;
    if captured.is_empty() {
        bail!(nothing_came(&args, lang));
    }
    let (text, fields, guesses) = draft(&captured, args.id, args.class, asker.as_mut(), lang)?;
    let name = match &args.out {
        Some(path) => {
            std::fs::write(path, &text).with_context(|| format!("{} cannot be written", path.display()))?;
            path.display().to_string()
        }
        None => {
            std::io::stdout().lock().write_all(text.as_bytes())?;
            "draft.toml".to_owned()
        }
    };
    report(captured.len(), fields, guesses, lang);
    // The self-test comes last: a draft that fails it is there to be mended.
    let (_, faults) = SensorTypes::compile(&[SourceFile { name, text }]);
    if faults.is_empty() { Ok(()) } else { Err(Faults(faults).into()) }
}

/// Who answers the questions.
fn asker(args: &LearnArgs) -> anyhow::Result<Box<dyn Asker>> {
    if args.yes {
        return Ok(Box::new(Nobody));
    }
    if args.from.as_deref() == Some(Path::new("-")) {
        bail!("standard input holds the messages, so nobody can answer on it; add --yes, or name a file: --from FILE");
    }
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask on; add --yes: what is not sure is then marked with `{CHECK}` in the draft");
    }
    Ok(Box::new(Terminal))
}

async fn capture(args: &LearnArgs, lang: Lang) -> anyhow::Result<Vec<Captured>> {
    if let Some(path) = &args.from {
        let mut bytes = Vec::new();
        if path.as_os_str() == "-" {
            std::io::stdin().lock().read_to_end(&mut bytes)?;
        } else {
            bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        }
        return capture::read(&bytes, args.topic.as_deref()).with_context(|| path.display().to_string());
    }
    let server = server(args)?;
    let filters = args.topic.as_ref().map_or_else(|| server.subscribe.clone(), |topic| vec![topic.clone()]);
    let after = args.listen_for.duration();
    let heard = listen::listen(&server, &filters, Enough { messages: args.messages.into(), after }, lang).await?;
    // From here on Ctrl-C ends the program again, questions included.
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    Ok(heard)
}

/// The broker to listen on.
fn server(args: &LearnArgs) -> anyhow::Result<MqttServer> {
    if let Some(path) = &args.site {
        let mut brokers = Config::load(path)?.brokers;
        if let Some(name) = &args.broker_name {
            brokers.retain(|broker| broker.name == *name);
        }
        let (how_many, site) = (brokers.len(), path.display());
        return match brokers.pop() {
            Some(broker) if how_many == 1 => Ok(broker),
            Some(_) => bail!("{site} names {how_many} brokers; say which one: --broker-name NAME"),
            None => bail!("{site} names no such broker; `--broker mqtt://host:1883 --topic FILTER` needs none"),
        };
    }
    let url = args.broker.as_deref().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("mqtt", url));
    let (username, host) = match rest.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            bail!("a password in a command is seen by everybody; put it into a file: --password-file FILE")
        }
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, rest),
    };
    Ok(MqttServer {
        name: host.to_owned(),
        url: format!("{scheme}://{host}"),
        username,
        password_file: args.password_file.clone(),
        ca: None,
        cert: None,
        key: None,
        subscribe: Vec::new(),
    })
}

fn nothing_came(args: &LearnArgs, lang: Lang) -> String {
    let topic = args.topic.as_deref().unwrap_or("#");
    let waited = as_span(args.listen_for);
    match (lang, &args.from) {
        (Lang::Zh, Some(path)) => format!("{} 中没有主题符合 {topic} 的消息", path.display()),
        (Lang::En, Some(path)) => format!("{} holds no message whose topic fits {topic}", path.display()),
        (Lang::Zh, None) => format!(
            "{waited} 内没有收到 {topic} 的消息。按一下设备的测试键；电池设备可能几小时才上报一次：`--for 4h`；\
             不清楚主题就用 `--topic '#'`"
        ),
        (Lang::En, None) => format!(
            "nothing came on {topic} in {waited}. Press the device's test button; a device on batteries may report \
             every few hours: `--for 4h`; where the topic is not known: `--topic '#'`"
        ),
    }
}

/// The draft's text, how many fields it has, and how many guesses are left in it.
fn draft(
    captured: &[Captured],
    id: Option<String>,
    class: Option<SensorClass>,
    asker: &mut dyn Asker,
    lang: Lang,
) -> anyhow::Result<(String, usize, usize)> {
    let drafted = guess::draft(captured, &mut |topic, found| ask::device(asker, lang, topic, found))?;
    let Some(mut draft) = drafted else {
        bail!(
            "{}",
            lang.pick("这些消息里没有可用的值", "there is no value in these messages that a sensor type could take")
        );
    };
    if let Some(class) = class {
        (draft.class, draft.class_is_sure) = (class, true);
    }
    ask::settle(&mut draft, asker, lang)?;
    draft.id = id.unwrap_or(draft.id);
    let text = file::write(&draft, &draft.examples(), lang);
    let guesses = text.lines().filter(|line| line.starts_with(CHECK)).count();
    Ok((text, draft.fields.len(), guesses))
}

fn report(messages: usize, fields: usize, guesses: usize, lang: Lang) {
    match lang {
        Lang::Zh => eprintln!("消息 {messages} 条，字段 {fields} 个，待核对 {guesses} 处（# check:）"),
        Lang::En => eprintln!("messages: {messages}, fields: {fields}, guesses to check (`{CHECK}`): {guesses}"),
    }
}
