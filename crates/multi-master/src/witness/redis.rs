//! The witness in a Redis server: the register is one string, replaced where it
//! is still the one that was read.

use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use uuid::Uuid;

use super::register::Register;
use super::{Answer, Ask};

/// Replaces the string where nobody else has.
const REPLACE: &str = "local now = redis.call('GET', KEYS[1]) \
     if (now or '') ~= ARGV[1] then return 0 end \
     redis.call('SET', KEYS[1], ARGV[2]) \
     return 1";
/// Tries before others are let go first.
const TRIES_MAX: u32 = 20;

pub(super) struct Connection {
    redis: MultiplexedConnection,
    key: String,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, and warns where the server may forget what it was told.
    pub(super) async fn open(url: &str, set: &str) -> Result<Self, String> {
        let error = |error: redis::RedisError| error.to_string();
        let client = redis::Client::open(url).map_err(error)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(Duration::from_secs(1)));
        let mut redis =
            client.get_multiplexed_async_connection_with_config(&config).await.map_err(error)?;
        let ask = redis::cmd("CONFIG").arg("GET").arg("append*").to_owned();
        // A managed server may not tell.
        let told: Vec<(String, String)> = ask.query_async(&mut redis).await.unwrap_or_default();
        let is = |key: &str, value: &str| {
            told.iter().find(|(k, _)| k == key).is_none_or(|(_, v)| v == value)
        };
        if !is("appendonly", "yes") || !is("appendfsync", "always") {
            tracing::warn!(
                severity = "WARNING",
                "the witness forgets the last second when its Redis server dies: set appendonly \
                 yes and appendfsync always there"
            );
        }
        Ok(Self { redis, key: format!("endpaper:witness:{set}") })
    }

    /// The outer error is the connection's.
    pub(super) async fn ask(
        &mut self,
        process: Uuid,
        ask: Ask,
    ) -> std::io::Result<Result<Answer, String>> {
        for _ in 0..TRIES_MAX {
            let ((secs, micros), old): ((u64, u64), Option<String>) = redis::pipe()
                .cmd("TIME")
                .cmd("GET")
                .arg(&self.key)
                .query_async(&mut self.redis)
                .await
                .map_err(std::io::Error::other)?;
            let old = old.unwrap_or_default();
            let register = if old.is_empty() {
                Ok(Register::default())
            } else {
                serde_json::from_str::<Register>(&old)
            };
            let mut register = match register {
                Ok(register) => register,
                Err(error) => {
                    return Ok(Err(format!("{} can't be read ({error})", self.key)));
                }
            };
            let now = secs.saturating_mul(1_000).saturating_add(micros / 1_000);
            let answer = register.answer(process, ask.clone(), now);
            let new = serde_json::to_string(&register).expect("names and numbers are JSON");
            let replaced: bool = redis::cmd("EVAL")
                .arg(REPLACE)
                .arg(1)
                .arg(&self.key)
                .arg(&old)
                .arg(new)
                .query_async(&mut self.redis)
                .await
                .map_err(std::io::Error::other)?;
            if replaced {
                return Ok(Ok(answer));
            }
        }
        Ok(Err("too many processes ask it at once".to_owned()))
    }
}
