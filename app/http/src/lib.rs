//! What every domain's HTTP routes share
