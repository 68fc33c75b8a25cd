//! Who may be recorded: nobody before everybody has been asked, and never who did not agree.
//!
//! ```text
//!  1. somebody asks              Asking: all who are there are asked
//!  2. each agrees, declines, says nothing in time (which is no), or leaves
//!  3. nobody is left to answer   Running: those who agreed are recorded — or Over, when nobody agreed
//!  4. who comes is asked         the others go on; the tracks of the newcomer are left out until there is a yes
//!  5. who agreed may withdraw    from then on nothing of him is recorded
//!  6. it is stopped, or all who agreed have gone           Over
//! ```
//!
//! Sans-I/O. What happens comes out as [`Event`]s, for the log that proves it and for all to see. Not here: signatures
//! ([`crate::recording::Chain`]), media, the question's words.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Who does not answer for so long has said no.
pub const ANSWER_TIME: Duration = Duration::from_secs(60);
/// People of one recording, over its whole time; who comes after that is not asked and not recorded.
pub const MAX_PEOPLE: usize = 10_000;

/// Who has changed an answer so often has said no for good.
pub const MAX_CHANGES: u32 = 20;

/// A person of a recording. Who comes back under the same number is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonId(pub u32);

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the three states that the picture above shows")]
pub enum State {
    /// Those who were there have not all answered: nothing is recorded.
    Asking,
    /// Those who agreed are recorded.
    Running,
    /// Nothing is recorded any more.
    Over,
}

/// Something that must be remembered, signed, and shown to all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "consent", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A person wants a recording, or a newcomer meets one: these people are asked.
    Asked {
        /// Who wants it; `None` when the server does, or for a newcomer.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<PersonId>,
        /// Who is asked.
        people: Vec<PersonId>,
    },
    /// Yes.
    Agreed {
        /// Who.
        person: PersonId,
    },
    /// No, or no more.
    Declined {
        /// Who.
        person: PersonId,
        /// There was a yes before.
        withdrawn: bool,
    },
    /// No answer came in [`ANSWER_TIME`]; it may still come.
    Silent {
        /// Whose.
        person: PersonId,
    },
    /// Has gone; is asked again after coming back.
    Left {
        /// Who.
        person: PersonId,
    },
    /// Recording begins.
    Began,
    /// Recording is over, or did not come to be.
    Ended {
        /// Why.
        cause: EndCause,
    },
}

/// Why there is no recording any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndCause {
    /// It was stopped.
    Stopped,
    /// Nobody agreed, or nobody who agreed is there any more.
    NobodyAgrees,
}

/// What a person has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nothing yet.
    Asked {
        since: Instant,
    },
    Agreed,
    Declined,
    Silent,
}

#[derive(Debug)]
struct Person {
    answer: Answer,
    changes: u32,
}

impl Person {
    fn new(answer: Answer) -> Self {
        Self { answer, changes: 0 }
    }
}

/// The state machine.
#[derive(Debug)]
pub struct Consent {
    state: State,
    people: BTreeMap<PersonId, Person>,
    seen: usize,
    events: VecDeque<Event>,
}

impl Consent {
    /// Somebody wants a recording; `people` are there, and are asked. Who asks agrees with that.
    #[must_use]
    pub fn ask(now: Instant, by: Option<PersonId>, people: impl IntoIterator<Item = PersonId>) -> Self {
        let asked = |person: PersonId| {
            let answer = if Some(person) == by {
                Answer::Agreed
            } else {
                Answer::Asked { since: now }
            };
            (person, Person::new(answer))
        };
        let people: BTreeMap<_, _> = people.into_iter().take(MAX_PEOPLE).map(asked).collect();
        let mut consent = Self {
            state: State::Asking,
            seen: people.len(),
            events: VecDeque::new(),
            people,
        };
        let asked = consent.people.keys().copied().filter(|person| Some(*person) != by);
        let people = asked.collect();
        consent.events.push_back(Event::Asked { by, people });
        if let Some(person) = by.filter(|by| consent.people.contains_key(by)) {
            consent.events.push_back(Event::Agreed { person });
        }
        consent.settle();
        consent
    }

    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether media of this person may be written now.
    #[must_use]
    pub fn allows(&self, person: PersonId) -> bool {
        self.state == State::Running
            && self
                .people
                .get(&person)
                .is_some_and(|person| person.answer == Answer::Agreed)
    }

    /// Somebody comes and is asked. Harmless for who is there already, and when it is over.
    pub fn join(&mut self, now: Instant, person: PersonId) {
        if self.state == State::Over || self.people.contains_key(&person) || self.seen >= MAX_PEOPLE {
            return;
        }
        self.seen += 1;
        self.people.insert(person, Person::new(Answer::Asked { since: now }));
        self.events.push_back(Event::Asked {
            by: None,
            people: vec![person],
        });
    }

    /// Somebody goes.
    pub fn leave(&mut self, person: PersonId) {
        if self.state != State::Over && self.people.remove(&person).is_some() {
            self.events.push_back(Event::Left { person });
            self.settle();
        }
    }

    /// Somebody answers, for the first time or otherwise than before. Who was not asked has nothing to say.
    pub fn answer(&mut self, person: PersonId, agrees: bool) {
        let Some(known) = self.people.get_mut(&person).filter(|_| self.state != State::Over) else {
            return;
        };
        let new = if agrees { Answer::Agreed } else { Answer::Declined };
        if known.answer == new || agrees && known.changes >= MAX_CHANGES {
            return;
        }
        known.changes += 1;
        let before = std::mem::replace(&mut known.answer, new);
        self.events.push_back(if agrees {
            Event::Agreed { person }
        } else {
            Event::Declined {
                person,
                withdrawn: before == Answer::Agreed,
            }
        });
        self.settle();
    }

    /// Ends it. Harmless when it is over.
    pub fn stop(&mut self) {
        self.end(EndCause::Stopped);
    }

    /// Who has not answered in time has said no.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.state == State::Over {
            return;
        }
        for (&person, known) in &mut self.people {
            if matches!(known.answer, Answer::Asked { since } if now.saturating_duration_since(since) >= ANSWER_TIME) {
                known.answer = Answer::Silent;
                self.events.push_back(Event::Silent { person });
            }
        }
        self.settle();
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let since = self.people.values().filter_map(|person| match person.answer {
            Answer::Asked { since } => Some(since + ANSWER_TIME),
            _ => None,
        });
        since.min().filter(|_| self.state != State::Over)
    }

    /// What has happened, the oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn settle(&mut self) {
        let mut answers = self.people.values().map(|person| person.answer);
        let waits = answers.clone().any(|answer| matches!(answer, Answer::Asked { .. }));
        let agreed = answers.any(|answer| answer == Answer::Agreed);
        match self.state {
            State::Asking if !waits && agreed => {
                self.state = State::Running;
                self.events.push_back(Event::Began);
            }
            State::Asking | State::Running if !waits && !agreed => self.end(EndCause::NobodyAgrees),
            _ => {}
        }
    }

    fn end(&mut self, cause: EndCause) {
        if self.state != State::Over {
            self.state = State::Over;
            self.events.push_back(Event::Ended { cause });
        }
    }
}
