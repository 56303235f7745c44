//! What staff do with alerts, and what they are answered.

use serde::{Deserialize, Serialize};

use super::{AlertId, ChangeKind, Status, Text, Verdict};
use crate::time::{Span, TimeMs};

/// What a person wants done with an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffAction {
    /// Unique on the side where it was made; the same again does nothing.
    pub id: String,
    /// Which alert.
    pub alert: AlertId,
    /// Who.
    pub by: String,
    /// What.
    pub verb: Verb,
    /// What they wrote.
    pub note: Option<String>,
    /// The upstream on whose side it was made; `None` at the gateway's own console.
    pub via: Option<String>,
    /// When it was made, by the clock of that side; `None`: as it comes.
    pub made_at_ms: Option<TimeMs>,
    /// The last change of the alert that the person had seen; `None`: all that there are.
    pub upon: Option<u64>,
}

impl StaffAction {
    /// One made at the gateway's own console, as it comes, upon all changes that there are, without a note.
    pub fn new(id: impl Into<String>, alert: AlertId, by: impl Into<String>, verb: Verb) -> Self {
        Self { id: id.into(), alert, by: by.into(), verb, note: None, via: None, made_at_ms: None, upon: None }
    }
}

/// The verbs of the closed loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// I have it.
    Accept,
    /// I send somebody.
    Dispatch {
        /// Whom.
        to: String,
    },
    /// It has been seen to.
    Handle,
    /// It is done.
    Close {
        /// How it is judged.
        verdict: Verdict,
    },
    /// I take back what I did, within [`UNDO_WITHIN`].
    Undo {
        /// The id of that action.
        action: String,
    },
    /// I write something down, whatever the alert's status.
    Note,
}

/// After this time what somebody did stands: others have acted upon it.
pub const UNDO_WITHIN: Span = Span::from_secs(60);

/// A verb without what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says it all")]
pub enum VerbName {
    Accept,
    Dispatch,
    Handle,
    Close,
    Undo,
    Note,
}

impl VerbName {
    /// The name in the API and upstream.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Dispatch => "dispatch",
            Self::Handle => "handle",
            Self::Close => "close",
            Self::Undo => "undo",
            Self::Note => "note",
        }
    }

    /// How far an alert is by it; `None` where that does not change.
    pub(super) const fn step(self) -> Option<Status> {
        match self {
            Self::Accept => Some(Status::Accepted),
            Self::Dispatch => Some(Status::Dispatched),
            Self::Handle => Some(Status::Handled),
            Self::Close => Some(Status::Closed),
            Self::Undo | Self::Note => None,
        }
    }

    /// What an alert's change is called that it makes, where the life has not gone beyond it.
    pub(super) const fn change(self) -> ChangeKind {
        match self {
            Self::Accept => ChangeKind::Accepted,
            Self::Dispatch => ChangeKind::Dispatched,
            Self::Handle => ChangeKind::Handled,
            Self::Close => ChangeKind::Closed,
            Self::Undo => ChangeKind::Undone,
            Self::Note => ChangeKind::Annotated,
        }
    }
}

impl Verb {
    /// Which one it is.
    pub const fn name(&self) -> VerbName {
        match self {
            Self::Accept => VerbName::Accept,
            Self::Dispatch { .. } => VerbName::Dispatch,
            Self::Handle => VerbName::Handle,
            Self::Close { .. } => VerbName::Close,
            Self::Undo { .. } => VerbName::Undo,
            Self::Note => VerbName::Note,
        }
    }
}

/// An action that was taken, as it stands in the alert's life. Who and what they wrote stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenAction {
    /// See [`StaffAction::id`].
    pub id: String,
    /// See [`StaffAction::via`].
    pub via: Option<String>,
    /// What they did.
    pub verb: VerbName,
    /// Whom they sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How they judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What they took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// When they did it, as far as their clock is believed.
    pub made_at_ms: TimeMs,
    /// The last change of the alert that they had seen.
    pub upon: u64,
}

impl TakenAction {
    /// The verb with what it says; `None` where that is missing.
    pub fn verb(&self) -> Option<Verb> {
        Some(match self.verb {
            VerbName::Accept => Verb::Accept,
            VerbName::Dispatch => Verb::Dispatch { to: self.to.clone()? },
            VerbName::Handle => Verb::Handle,
            VerbName::Close => Verb::Close { verdict: self.verdict? },
            VerbName::Undo => Verb::Undo { action: self.undoes.clone()? },
            VerbName::Note => Verb::Note,
        })
    }
}

/// What became of an action that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It carried the alert on.
    Applied,
    /// The life had gone beyond it; it stands in the timeline.
    Already,
}

/// The answer to an action that was taken: the same each time that it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acted {
    /// What became of it.
    pub outcome: Outcome,
    /// The change that it made.
    pub seq: u64,
    /// It had been taken before, and did nothing now.
    pub again: bool,
    /// The verdict on the alert, where this action has made or changed it.
    pub judged: Option<Verdict>,
    /// The verdict on the alert that this action has taken back, where none is left.
    pub withdrawn: Option<Verdict>,
}

/// Why an action was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// No alert that is open, or was closed lately, has this id.
    #[error("no open alert has the id {0}")]
    NotOpen(AlertId),
    /// The life is not so far.
    #[error("an alert that is {status:?} cannot be taken by {}", verb.name())]
    WrongStatus {
        /// Where the alert is.
        status: Status,
        /// What was asked.
        verb: VerbName,
    },
    /// Who closes has not seen what was found since.
    #[error("change {found_seq} found something that whoever closes had not seen")]
    Unseen {
        /// The change that told of it.
        found_seq: u64,
    },
    /// It would only be noted, and enough has been.
    #[error("{0} actions of staff stand in this alert's life")]
    TooMany(usize),
    /// There is nothing of this id that could be taken back.
    #[error("no action with the id {0} of this alert can be undone")]
    NoAction(String),
    /// Somebody else did it.
    #[error("{by} did that, and nobody else undoes it")]
    NotYours {
        /// Who did it.
        by: String,
    },
    /// It was done too long ago.
    #[error("it was done {} s ago; it can be undone for {} s", ago.ms() / 1000, UNDO_WITHIN.ms() / 1000)]
    TooLate {
        /// How long ago.
        ago: Span,
    },
}

impl ActionError {
    /// A short word to decide by.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotOpen(_) => "not_open",
            Self::WrongStatus { .. } => "wrong_status",
            Self::Unseen { .. } => "unseen",
            Self::TooMany(_) => "too_many",
            Self::NoAction(_) => "no_action",
            Self::NotYours { .. } => "not_yours",
            Self::TooLate { .. } => "too_late",
        }
    }

    /// Why, for people.
    pub fn reason(&self) -> Text {
        let zh = match self {
            Self::NotOpen(id) => format!("没有编号为 {id} 的未办结预警"),
            Self::WrongStatus { status, verb } => format!("预警{}，还不能{}", status_zh(*status), verb_zh(*verb)),
            Self::Unseen { found_seq } => format!("第 {found_seq} 号变化又有新发现，办结的人还没有看到"),
            Self::TooMany(many) => format!("这条预警已记录 {many} 次人员操作"),
            Self::NoAction(id) => format!("这条预警没有编号为 {id}、可以撤销的操作"),
            Self::NotYours { by } => format!("这是 {by} 所作，只能由本人撤销"),
            Self::TooLate { ago } => {
                format!("这是 {} 秒前所作，只能在 {} 秒内撤销", ago.ms() / 1000, UNDO_WITHIN.ms() / 1000)
            }
        };
        Text { zh, en: self.to_string() }
    }

    /// What would help, for people.
    pub fn mend(&self) -> Text {
        let (zh, en) = match self {
            Self::NotOpen(_) => {
                ("已办结很久，或编号不对；核对编号", "it was closed long ago, or the id is not right; check the id")
            }
            Self::WrongStatus { verb: VerbName::Accept | VerbName::Dispatch, .. } => ("先接警", "accept it first"),
            Self::WrongStatus { verb: VerbName::Handle, .. } => ("先派单", "dispatch somebody first"),
            Self::WrongStatus { .. } => {
                ("真实警情先处置，其余先接警", "a true alarm must be handled first, anything else accepted first")
            }
            Self::Unseen { .. } => ("看过新发现后再办结", "look at what was found, then close it again"),
            Self::TooMany(_) => ("不要对操作的记录再作操作", "do not act upon the record of an action"),
            Self::NoAction(_) => {
                ("核对操作编号；撤销和备注不能再撤销", "check its id; what cannot be undone is an undo or a note")
            }
            Self::NotYours { .. } => ("请本人撤销，或写一条备注", "ask who did it, or write a note"),
            Self::TooLate { .. } => {
                ("继续往下处理，或写一条备注说明", "carry the alert on from where it is, or write a note that says so")
            }
        };
        Text { zh: zh.to_owned(), en: en.to_owned() }
    }
}

const fn status_zh(status: Status) -> &'static str {
    match status {
        Status::Raised => "待接警",
        Status::Accepted => "已接警",
        Status::Dispatched => "已派单",
        Status::Handled => "已处置",
        Status::Closed => "已办结",
    }
}

const fn verb_zh(verb: VerbName) -> &'static str {
    match verb {
        VerbName::Accept => "接警",
        VerbName::Dispatch => "派单",
        VerbName::Handle => "处置",
        VerbName::Close => "办结",
        VerbName::Undo => "撤销",
        VerbName::Note => "备注",
    }
}
