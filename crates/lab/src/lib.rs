//! Faults for tests: real MariaDB servers that a test starts, stops, freezes and kills
