//! N databases written as one: writes on all, read failover, catch-up
