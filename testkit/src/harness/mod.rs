//! Real servers as private instances: each test starts its own on a free loopback port and stops it again. What a
//! test needs and the machine lacks is a failure that says `run scripts/setup`, never a silent skip.

mod cut;
mod dovecot;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod radicale;
mod redis;
pub mod sqlite;
pub mod tls;
mod wait;

pub use dovecot::{Dovecot, DovecotOptions};
pub use postgres::{Database, Postgres};
pub use process::{Program, RunningProgram};
pub use proxy::{CountingProxy, Fault, FaultAction};
pub use radicale::{Credentials, Radicale};
pub use redis::Redis;
pub use tls::{TlsFront, TlsIdentity};
pub use wait::until;
