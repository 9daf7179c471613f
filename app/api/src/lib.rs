//! Wire types of the REST API, version 1, and its error codes
