//! The witness: the third place that says which masters serve, at which epoch.
//!
//! It is the one truth about who may go on alone; the epoch rows on the masters
//! only fence off writers that have not heard. It is a file for one process
//! ([`file`]), and for several a Redis server or `endpaper witness`
//! ([`shared`]): there it is a register that changes only for who knows what it
//! said last.

mod file;
#[cfg(feature = "redis")]
mod redis;
mod register;
pub(crate) mod server;
mod shared;
mod wire;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use self::register::{Answer, Ask, Other, SILENCE_MAX, Stage};
pub(crate) use self::shared::Client;

use self::file::FileWitness;
use crate::config::WitnessConfig;
use crate::error::{MasterName, OpenError};

/// What the witness says. Layout: JSON, one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Testimony {
    /// Which set of masters this is about.
    pub(crate) set: Uuid,
    /// Counted up with every change.
    pub(crate) epoch: u64,
    /// The masters that take the writes of this epoch. Nobody else holds all
    /// that was acknowledged.
    pub(crate) serving: Vec<MasterName>,
    /// Nobody writes under this epoch: somebody is about to change who serves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) paused: bool,
}

/// Why a testimony was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsaid {
    /// Another process said something meanwhile.
    Moved(Testimony),
    /// The witness can't be told: why.
    Silent(String),
}

/// The witness, as one process has it.
#[derive(Debug)]
pub(crate) struct Witness {
    place: Place,
    /// The last that it is known to say.
    known: Option<Testimony>,
}

#[derive(Debug)]
enum Place {
    File(FileWitness),
    Shared(Box<Client>),
}

impl Witness {
    /// Takes hold of the witness file, or makes ready to ask the server.
    pub(crate) fn hold(at: &WitnessConfig, process: Uuid) -> Result<Self, OpenError> {
        Ok(match at {
            WitnessConfig::File(path) => {
                let (file, known) = FileWitness::hold(path)?;
                Self { place: Place::File(file), known }
            }
            WitnessConfig::Server { .. } | WitnessConfig::Redis { .. } => {
                let client = Client::new(at.clone(), process);
                Self { place: Place::Shared(Box::new(client)), known: None }
            }
        })
    }

    /// What it is known to say; nothing before the set was first made.
    pub(crate) const fn known(&self) -> Option<&Testimony> {
        self.known.as_ref()
    }

    /// Where other processes may ask too, the way to ask it.
    pub(crate) fn shared(&mut self) -> Option<&mut Client> {
        match &mut self.place {
            Place::File(_) => None,
            Place::Shared(client) => Some(client),
        }
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match &self.place {
            Place::File(file) => file.path().display().to_string(),
            Place::Shared(client) => client.place(),
        }
    }

    /// Another process said this. False where it is no news.
    pub(crate) fn heard(&mut self, testimony: &Testimony) -> bool {
        let news = self.known.as_ref().is_none_or(|known| known.epoch < testimony.epoch);
        if news {
            self.known = Some(testimony.clone());
        }
        news
    }

    /// Says something new, durably, where nobody else has: a crash can't unsay
    /// it.
    pub(crate) async fn say(&mut self, testimony: Testimony) -> Result<(), Unsaid> {
        if let Some(known) = &self.known {
            assert_eq!(known.set, testimony.set, "a witness is about one set");
            assert!(known.epoch < testimony.epoch, "epochs only grow");
        }
        match &mut self.place {
            Place::File(file) => {
                file.say(&testimony).map_err(|error| Unsaid::Silent(error.to_string()))?;
            }
            Place::Shared(client) => {
                let after = self.known.as_ref().map(|known| known.epoch);
                let answer = client.say(after, testimony.clone()).await;
                let answer = answer.map_err(Unsaid::Silent)?;
                match answer.testimony {
                    // Perhaps an earlier answer was lost.
                    Some(said) if said == testimony => {}
                    Some(said) if after.is_none_or(|after| after < said.epoch) => {
                        return Err(Unsaid::Moved(said));
                    }
                    said => return Err(Unsaid::Silent(went_back(after, said.as_ref()))),
                }
            }
        }
        self.known = Some(testimony);
        Ok(())
    }
}

/// The witness says less than it did.
pub(crate) fn went_back(knew: Option<u64>, said: Option<&Testimony>) -> String {
    let said = said.map_or("nothing".to_owned(), |said| format!("epoch {}", said.epoch));
    format!(
        "it said epoch {} and now says {said}: it lost what it was told. Stop every process of this \
         set, make the witness durable (Redis: appendonly yes, appendfsync always), take its entry \
         away, and start one while every master can be reached: it is made anew from them",
        knew.unwrap_or(0)
    )
}

#[cfg(test)]
mod tests;
