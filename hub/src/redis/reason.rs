//! Why the server is no help, in words of our own: what a server says may hold what it was sent, passwords with it.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why the server is no help now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing came in time.
    #[error("it does not answer in time")]
    Late,
    /// There is no connection, or it ended.
    #[error("it cannot be reached, or hung up")]
    Away,
    /// The name or the password is wrong.
    #[error("it does not let this user in; check the name and the password in `redis_url`")]
    NotLetIn,
    /// It understood, and will not.
    #[error(
        "it refuses what is asked: it is a replica, is out of memory or still loading, or this user may not"
    )]
    Refused,
    /// The certificate, or the settings of the connection.
    #[error("the connection cannot be made as `redis_url` says")]
    Setting,
    /// Something else than what was asked for.
    #[error("its answer is not what was asked for; is it a Redis server?")]
    Nonsense,
}

impl From<&RedisError> for Reason {
    fn from(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::Late;
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => Self::NotLetIn,
            ErrorKind::InvalidClientConfig => Self::Setting,
            ErrorKind::Io => Self::Away,
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused,
            // Somebody else's enum, to which new members may come.
            _ => Self::Nonsense,
        }
    }
}
