//! The service over two SQLite masters, through its routes.

mod devices;
mod hostile;
mod limits;
mod log_in;
mod mariadb;
mod operator;
mod outages;
mod profile;
mod recovery;
mod refresh;
mod sign_up;
mod support;
mod tokens;
