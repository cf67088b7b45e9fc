//! Ids that carry what they name, so that no index from id to row is kept.

use uuid::{Builder, Uuid};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Organization = 0xa1,
    Project = 0xa2,
    Environment = 0xa3,
    User = 0xb1,
    Role = 0xb2,
    Tenant = 0xb3,
    Assignment = 0xb4,
    Instance = 0xb6,
    Resource = 0xb7,
    Error = 0xe0,
}

const MARK: [u8; 4] = *b"SAND";

/// The id of row `serial` of this kind: a well-formed version 4 UUID.
pub(crate) fn id(kind: Kind, serial: u32) -> Uuid {
    let mut bytes = [0; 16];
    bytes[0] = kind as u8;
    bytes[1..5].copy_from_slice(&MARK);
    bytes[12..].copy_from_slice(&serial.to_be_bytes());
    Builder::from_random_bytes(bytes).into_uuid()
}

/// The serial in `text`. `None` if `text` is not an id of this kind.
pub(crate) fn serial(kind: Kind, text: &str) -> Option<u32> {
    // Most keys are not UUIDs: the length shows it without parsing.
    if text.len() != 36 {
        return None;
    }
    let uuid = Uuid::try_parse(text).ok()?;
    let tail = <[u8; 4]>::try_from(&uuid.as_bytes()[12..]).ok()?;
    let serial = u32::from_be_bytes(tail);
    (id(kind, serial) == uuid).then_some(serial)
}
