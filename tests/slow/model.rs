//! The write protocol, searched whole in larger worlds than `tests/fast` does.

#[path = "../model/protocol.rs"]
mod protocol;

use self::protocol::{Rules, SMALL, holds};

#[test]
fn two_sign_ins_a_bulk_sync_and_an_administrator_leave_no_role_without_an_owner() {
    let all = Rules { bulk_syncs: 1, administrator: true, ..SMALL };
    holds("all of them", all);
    holds("of somebody new", Rules { stands: false, ..all });
}

#[test]
fn two_looks_side_by_side_and_a_change_to_and_fro_leave_none() {
    holds("two looks side by side", Rules { lookers: 2, repeats: 1, ..SMALL });
    holds("to and fro", Rules { directory: &[1, 2, 1], crashes: 2, ..SMALL });
}
