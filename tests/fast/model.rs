//! An exhaustive search of the write protocol in small worlds; `tests/slow` has larger ones.

#[path = "../model/planner.rs"]
mod planner;

use protocol_model::{A, B};

use self::planner::{Rules, SMALL, fails, holds};

/// A world that takes a moment to search: nothing is cut off and nothing is read back, so only the looks
/// repair.
const QUIET: Rules = Rules { crashes: 0, read_back: false, ..SMALL };

#[test]
fn no_order_of_things_leaves_a_role_without_an_owner() {
    holds("two sign-ins around a change", QUIET);
    holds("one of them is cut off", Rules { sign_ins: 1, ..SMALL });
    holds("three are cut off, of one sign-in and its looks", Rules { sign_ins: 1, crashes: 3, ..SMALL });
    holds("an administrator gives a role meanwhile", Rules { administrator: true, ..QUIET });
    holds("messages come twice", Rules { sign_ins: 1, repeats: 2, ..SMALL });
    holds("two changes", Rules { directory: &[A, A | B, A], ..QUIET });
    holds("two bulk syncs", Rules { sign_ins: 0, bulk_syncs: 2, ..QUIET });
}

#[test]
fn without_the_second_look_a_role_is_left_without_an_owner() {
    fails("no looks", Rules { looks: false, ..QUIET }, "without an owner");
    fails("no looks, and a writer is cut off", Rules { looks: false, ..SMALL }, "without an owner");
}

#[test]
fn a_look_must_wait_for_twice_the_window() {
    fails("a look at once", Rules { delay: 0, ..QUIET }, "");
    fails("a look after one window", Rules { delay: 1, ..QUIET }, "");
}

/// The same, but both sign-ins read back and anything may be cut off. `tests/slow` shows that this is
/// correct with the whole protocol.
#[test]
fn reading_back_does_not_stand_in_for_a_look() {
    const ALL: Rules = Rules { window: 0, delay: 1, ..SMALL };
    fails("no looks", Rules { looks: false, ..ALL }, "without an owner");
    fails("a look at once", Rules { delay: 0, ..ALL }, "");
}

#[test]
fn a_writer_must_keep_to_the_window() {
    let bulk = Rules { sign_ins: 1, bulk_syncs: 1, ..QUIET };
    holds("a bulk sync that reads again", bulk);
    fails("a bulk sync that does not", Rules { bulk_ignores_window: true, ..bulk }, "");
}
