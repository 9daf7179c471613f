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
    view! {
        <span class=class>
            <span aria-hidden="true">{state.sign()}</span>" "{words::state(state)}
        </span>
    }
}
