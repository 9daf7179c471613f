//! Locks in a Redis server: `SET NX PX`, and compare-and-delete and compare-and-extend in Lua
//! (the pattern of the Redis documentation, *Distributed Locks with Redis*, for one server).

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisError};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Asked, Unavailable};
use crate::fence::Fence;

/// Gives the number of the holder, or nothing and for how long somebody else has it. The
/// number is never below the server's microseconds, and so rises also where the server has
/// lost its data. Asked twice by one owner, it is got once more.
const ACQUIRE: &str = "\
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
    or redis.call('GET', KEYS[1]) == ARGV[1] then
  local time = redis.call('TIME')
  local fence = time[1] * 1000000 + time[2]
  local last = tonumber(redis.call('GET', KEYS[2]) or 0)
  if last >= fence then fence = last + 1 end
  local text = string.format('%.0f', fence)
  redis.call('SET', KEYS[2], text, 'PX', ARGV[3])
  return {text, 0}
end
return {'', redis.call('PTTL', KEYS[1])}";

const EXTEND: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0";

const HOLDS: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return 0";

const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// For how long the last number of a name is remembered; after that the server's clock is far
/// beyond it.
const FENCE_KEPT: Duration = Duration::from_hours(24);

pub(crate) struct Redis {
    client: redis::Client,
    prefix: String,
    limit: Duration,
    connection: Mutex<Option<Connection>>,
}

#[derive(Clone)]
struct Connection {
    redis: MultiplexedConnection,
    scripts: Scripts,
}

/// The names that the server gave them.
#[derive(Clone)]
struct Scripts {
    acquire: String,
    extend: String,
    holds: String,
    release: String,
}

fn failed(error: &RedisError) -> Unavailable {
    Unavailable(format!("the Redis server of the locks: {error}"))
}

impl Redis {
    pub(crate) fn new(url: &str, prefix: String, limit: Duration) -> Result<Self, String> {
        let client = redis::Client::open(url).map_err(|error| error.to_string())?;
        Ok(Self { client, prefix, limit, connection: Mutex::new(None) })
    }

    /// And whether it was there before.
    async fn connection(&self) -> Result<(Connection, bool), Unavailable> {
        let mut there = self.connection.lock().await;
        if let Some(connection) = &*there {
            return Ok((connection.clone(), true));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limit))
            .set_response_timeout(Some(self.limit));
        let open = async {
            let mut redis =
                self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let mut load = redis::pipe();
            for script in [ACQUIRE, EXTEND, HOLDS, RELEASE] {
                load.cmd("SCRIPT").arg("LOAD").arg(script);
            }
            let (acquire, extend, holds, release) = load.query_async(&mut redis).await?;
            Ok(Connection { redis, scripts: Scripts { acquire, extend, holds, release } })
        };
        let connection = open.await.map_err(|error| failed(&error))?;
        *there = Some(connection.clone());
        Ok((connection, false))
    }

    /// Asks on the connection that is there; where that is a dead one, once more on a new one.
    /// Gives back the answer, and whether it may have been done the first time already.
    async fn ask<T: FromRedisValue>(
        &self,
        script: impl Fn(&Scripts) -> &str,
        keys: &[&str],
        args: &[String],
    ) -> Result<(T, bool), Unavailable> {
        let mut is_repeat = false;
        loop {
            let (mut connection, was_there) = self.connection().await?;
            let mut command = redis::cmd("EVALSHA");
            command.arg(script(&connection.scripts)).arg(keys.len()).arg(keys).arg(args);
            let error = match command.query_async(&mut connection.redis).await {
                Ok(answer) => return Ok((answer, is_repeat)),
                Err(error) => error,
            };
            *self.connection.lock().await = None;
            // A server that was restarted forgets its scripts. Nothing was done then.
            let is_forgotten = error.code() == Some("NOSCRIPT");
            let is_dead = !error.is_timeout() && error.is_unrecoverable_error();
            if !was_there || !(is_forgotten || is_dead) {
                return Err(failed(&error));
            }
            is_repeat |= is_dead;
        }
    }

    /// Who has the lock. What is before the name tells it from every other key of ours.
    fn key(&self, name: &str) -> String {
        format!("{}held:{name}", self.prefix)
    }

    /// The last number.
    fn fence_key(&self, name: &str) -> String {
        format!("{}fence:{name}", self.prefix)
    }

    pub(crate) async fn acquire(
        &self,
        name: &str,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<Asked, Unavailable> {
        let (key, fence) = (self.key(name), self.fence_key(name));
        let kept = FENCE_KEPT.max(ttl.saturating_mul(2));
        let args = [owner.to_string(), millis(ttl), millis(kept)];
        let ((fence, left), _): ((String, i64), bool) =
            self.ask(|scripts| &scripts.acquire, &[&key, &fence], &args).await?;
        if fence.is_empty() {
            let left = u64::try_from(left).ok().map(Duration::from_millis);
            return Ok(Asked::Busy { left });
        }
        let number = fence.parse().map(Fence);
        number.map(Asked::Got).map_err(|_| Unavailable(format!("{key}: `{fence}` is no number")))
    }

    pub(crate) async fn extend(
        &self,
        name: &str,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<bool, Unavailable> {
        let args = [owner.to_string(), millis(ttl)];
        Ok(self.ask(|scripts| &scripts.extend, &[&self.key(name)], &args).await?.0)
    }

    pub(crate) async fn holds(&self, name: &str, owner: Uuid) -> Result<bool, Unavailable> {
        let args = [owner.to_string()];
        Ok(self.ask(|scripts| &scripts.holds, &[&self.key(name)], &args).await?.0)
    }

    pub(crate) async fn release(&self, name: &str, owner: Uuid) -> Result<bool, Unavailable> {
        let args = [owner.to_string()];
        match self.ask(|scripts| &scripts.release, &[&self.key(name)], &args).await? {
            (false, true) => Err(Unavailable("the answer was lost: it is free now".to_owned())),
            (released, _) => Ok(released),
        }
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
