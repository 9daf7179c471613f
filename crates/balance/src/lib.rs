//! Picking a backend: for now the circuit breaker (sans-IO)
