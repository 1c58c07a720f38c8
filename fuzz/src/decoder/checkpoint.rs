//! Where a dialogue is, as it is kept for whoever goes on with its test.

use testfleet_worker::DialogueState;

/// Turns of the dialogue that it should belong to.
const TURNS: usize = 4;

/// Reads it. What is accepted is written and read again.
pub fn check(data: &[u8]) {
    let Some(state) = DialogueState::from_stored(data, TURNS) else {
        // The same bytes are not sound for a shorter dialogue either.
        assert!(DialogueState::from_stored(data, TURNS - 1).is_none());
        return;
    };
    let written = state.to_stored(usize::MAX).expect("what was read can be written");
    assert_eq!(DialogueState::from_stored(&written, TURNS).as_ref(), Some(&state));
    assert!(state.to_stored(written.len() - 1).is_none(), "more than it may be");
    assert!(DialogueState::from_stored(&written[..written.len() - 1], TURNS).is_none());
}
