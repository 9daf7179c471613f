//! Accounts: sign-up, log-in, tokens, devices, recovery
