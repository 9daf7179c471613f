//! How a record stands: a sign, and words for it.

use leptos::prelude::*;
use sync::queue::RecordState;

use crate::words;

/// The sign of a state, with its words beside it.
#[component]
pub fn StateMark(
    /// How it stands.
    state: RecordState,
) -> impl IntoView {
    let class = format!("state state-{}", state.name().to_lowercase());
    view! { <span class=class><Sign state/>" "{words::state(state)}</span> }
}

/// The sign of a state alone: ✓ ⏳ 🔄 ⏸ ❌, drawn, since not every device has them in a font.
#[component]
pub fn Sign(
    /// Of which.
    state: RecordState,
) -> impl IntoView {
    let lines = match state {
        RecordState::Saved => "M3 8.5 6.5 12 13 4.5",
        RecordState::Pending => {
            "M4.5 2h7M4.5 14h7M5.5 2c0 4 5 4 5 6s-5 2-5 6M10.5 2c0 4-5 4-5 6s5 2 5 6"
        }
        RecordState::Syncing => {
            "M13 5.5A5.5 5.5 0 0 0 3 6.5M3 3v3.5h3.5M3 10.5a5.5 5.5 0 0 0 10-1M13 13V9.5H9.5"
        }
        RecordState::Waiting => "M5.5 3v10M10.5 3v10",
        RecordState::Failed => "M4 4l8 8M12 4l-8 8",
    };
    view! {
        <svg class="sign" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
            <path d=lines fill="none" stroke="currentColor" stroke-width="1.75"
                stroke-linecap="round" stroke-linejoin="round"></path>
        </svg>
    }
}
