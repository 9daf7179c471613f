//! Covers: a picture where there is one, and always one that is drawn from title and author
//! behind it.

use leptos::prelude::*;

use crate::records::Book;

/// So many colours of covers are in the stylesheet.
const COLOURS: u32 = 8;

/// FNV-1a: the same book has the same cover on every device.
fn colour(text: &str) -> u32 {
    let hash = text
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % COLOURS
}

/// The cover of a book. It says nothing that is not beside it.
#[component]
pub fn Cover(
    /// Which.
    book: Book,
) -> impl IntoView {
    let class = format!("cover cover-{}", colour(&format!("{}{}", book.title, book.author)));
    let failed = RwSignal::new(false);
    let is_picture = !book.cover.is_empty();
    let url = book.cover;
    view! {
        <div class=class aria-hidden="true">
            <span class="cover-title">{book.title}</span>
            <span class="cover-author">{book.author}</span>
            <Show when=move || is_picture && !failed.get()>
                <img src=url.clone() alt="" loading="lazy" referrerpolicy="no-referrer"
                    on:error=move |_| failed.set(true)/>
            </Show>
        </div>
    }
}
