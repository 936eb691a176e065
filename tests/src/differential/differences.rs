//! Where the host answers otherwise on purpose. Why it does is in the table of `host/README.md`, which the story compares
//! with this list.

/// One of them. Its name is how the table calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A finite pull gets nothing more after its end.
    EndedPulls,
    /// A live pull gives nothing that lies before its cursor, even if that is beyond the head.
    CursorsBeyond,
    /// Arguments that are not there are `null` for everybody.
    MissingArguments,
    /// A number that no JavaScript number holds stays as it was sent.
    HugeNumbers,
    /// Half of a surrogate pair in a name is refused.
    HalfCharacters,
    /// A push that would leave a damaged log is refused.
    DamagingPushes,
    /// An event that no page can hold is refused when it is pushed.
    OversizeEvents,
    /// Places below zero are refused.
    NegativePlaces,
    /// A message that is larger than the store's `limits.message_size` ends its connection.
    HugeMessages,
    /// What the original never answers, and nothing after it, is answered.
    FatalFrames,
    /// Only decimal numbers of 64 bits are request ids.
    RequestIds,
    /// A second call with the id of an open one does not hold up the connection.
    RepeatedIds,
    /// The headers of a call are not looked at.
    Headers,
    /// A store that nobody configured is not made.
    UnknownStores,
    /// An address without a store or a transport is a client's error.
    BadAddresses,
}

impl Difference {
    /// All of them, in the order of the table.
    pub const ALL: [Difference; 15] = [
        Difference::EndedPulls,
        Difference::CursorsBeyond,
        Difference::MissingArguments,
        Difference::HugeNumbers,
        Difference::HalfCharacters,
        Difference::DamagingPushes,
        Difference::OversizeEvents,
        Difference::NegativePlaces,
        Difference::HugeMessages,
        Difference::FatalFrames,
        Difference::RequestIds,
        Difference::RepeatedIds,
        Difference::Headers,
        Difference::UnknownStores,
        Difference::BadAddresses,
    ];

    /// How the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Difference::EndedPulls => "ended pulls",
            Difference::CursorsBeyond => "cursors beyond the head",
            Difference::MissingArguments => "missing arguments",
            Difference::HugeNumbers => "huge numbers",
            Difference::HalfCharacters => "half characters",
            Difference::DamagingPushes => "damaging pushes",
            Difference::OversizeEvents => "oversize events",
            Difference::NegativePlaces => "negative places",
            Difference::HugeMessages => "huge messages",
            Difference::FatalFrames => "fatal frames",
            Difference::RequestIds => "request ids",
            Difference::RepeatedIds => "repeated ids",
            Difference::Headers => "headers",
            Difference::UnknownStores => "unknown stores",
            Difference::BadAddresses => "bad addresses",
        }
    }

    /// Whether the original says nothing more where the host answers.
    pub(super) fn is_silence(self) -> bool {
        match self {
            Difference::FatalFrames | Difference::RepeatedIds | Difference::Headers => true,
            Difference::EndedPulls
            | Difference::CursorsBeyond
            | Difference::MissingArguments
            | Difference::HugeNumbers
            | Difference::HalfCharacters
            | Difference::DamagingPushes
            | Difference::OversizeEvents
            | Difference::NegativePlaces
            | Difference::HugeMessages
            | Difference::RequestIds
            | Difference::UnknownStores
            | Difference::BadAddresses => false,
        }
    }
}
