//! The write protocol, searched whole in larger worlds: `tests/fast` has the small ones, and what is needed of the protocol.

#[path = "../model/planner.rs"]
mod planner;

use self::planner::{Rules, SMALL, holds};

/// Nobody reads back, so that the looks alone repair.
const LOOKS_ALONE: Rules = Rules { read_back: false, ..SMALL };

#[test]
fn two_sign_ins_with_trouble() {
    holds("one of them is cut off", LOOKS_ALONE);
    holds("and an administrator gives a role", Rules { administrator: true, ..LOOKS_ALONE });
    holds("they read back", Rules { crashes: 0, ..SMALL });
    holds("of somebody new", Rules { stands: false, crashes: 0, ..LOOKS_ALONE });
}

#[test]
fn a_bulk_sync_beside_a_sign_in_that_reads_back() {
    holds("one sign-in", Rules { sign_ins: 1, bulk_syncs: 1, crashes: 0, ..SMALL });
}

#[test]
fn a_bulk_sync_beside_two_sign_ins() {
    holds("two sign-ins", Rules { bulk_syncs: 1, crashes: 0, ..LOOKS_ALONE });
}

/// All that the protocol has: both read back, anybody is cut off anywhere, and looks repair. The directory has changed between them.
#[test]
fn two_sign_ins_around_a_change_read_back_and_one_is_cut_off() {
    const AROUND: Rules = Rules { has_changed: true, ..SMALL };
    holds("both read back", AROUND);
    holds("and an administrator gives a role", Rules { administrator: true, ..AROUND });
}
