//! An exhaustive search of the write protocol in larger worlds: `tests/fast` has the small ones, and
//! shows which parts of the protocol are needed.

#[path = "../model/planner.rs"]
mod planner;

use self::planner::{Rules, SMALL, holds};

/// Nothing is read back, so only the looks repair.
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
    holds("two sign-ins", Rules { bulk_syncs: 1, crashes: 0, read_back: false, ..ALL });
}

/// The whole protocol: both sign-ins read back, anything may be cut off anywhere, and looks repair. A
/// writer has one tick here, and a look comes in a later one: the same order of events with fewer times.
/// (With the times of the other worlds, and with the directory's change before they begin, it is 15
/// million states: searched once, without a fault.)
const ALL: Rules = Rules { window: 0, delay: 1, ..SMALL };

#[test]
fn two_sign_ins_around_a_change_read_back_and_anybody_is_cut_off() {
    holds("two sign-ins that read back", ALL);
    holds("and the change is over", Rules { has_changed: true, ..ALL });
}

#[test]
fn and_an_administrator_gives_a_role() {
    holds("an administrator gives a role", Rules { administrator: true, ..ALL });
}
