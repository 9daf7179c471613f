//! Reading: books, the shelf, memos, the flow of a day
