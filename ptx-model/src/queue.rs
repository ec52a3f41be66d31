//! Queues, as late as they may be: a command runs when something waits for it, so that a program that
//! forgot to wait reads what was there before.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, Ordering},
    },
};

use crate::objects::{Code, Memory, Prepared, code, lock};

/// What is queued.
pub(crate) enum Command {
    Launch(Prepared),
    /// Bytes of memory, again and again the same.
    Fill(Memory, Vec<u8>),
    Write(Memory, Vec<u8>),
    Nothing,
}

impl Command {
    fn run(self) -> Result<(), Code> {
        match self {
            Self::Launch(launch) => launch.run(),
            Self::Fill(memory, pattern) => {
                memory.with_bytes(|bytes| {
                    let parts = bytes.chunks_exact_mut(pattern.len());
                    parts.for_each(|part| part.copy_from_slice(&pattern));
                });
                Ok(())
            }
            Self::Write(memory, words) => {
                memory.with_bytes(|bytes| bytes.copy_from_slice(&words));
                Ok(())
            }
            Self::Nothing => Ok(()),
        }
    }
}

struct Queued {
    command: Command,
    after: Vec<Arc<Event>>,
    event: Arc<Event>,
}

/// An in-order queue.
#[derive(Default)]
pub(crate) struct Queue {
    pending: Mutex<VecDeque<Queued>>,
    /// Held while a command runs.
    running: Mutex<()>,
}

/// What a command has come to: [`QUEUED`], or its code.
pub(crate) struct Event {
    queue: Arc<Queue>,
    state: AtomicI32,
}

/// No code: those are not positive.
const QUEUED: Code = 1;

impl Queue {
    /// Queues a command, to run after these events.
    pub(crate) fn add(self: &Arc<Self>, command: Command, after: Vec<Arc<Event>>) -> Arc<Event> {
        let event = Arc::new(Event {
            queue: self.clone(),
            state: AtomicI32::new(QUEUED),
        });
        lock(&self.pending).push_back(Queued {
            command,
            after,
            event: event.clone(),
        });
        event
    }

    /// Runs all that is queued now.
    pub(crate) fn finish(self: &Arc<Self>) -> Result<(), Code> {
        self.add(Command::Nothing, Vec::new()).wait()
    }

    /// Runs the first command, unless the event is done when it is its turn.
    fn run_one(&self, unless: &Event) {
        let _alone = lock(&self.running);
        if unless.state.load(Ordering::Acquire) != QUEUED {
            return;
        }
        let next = lock(&self.pending).pop_front();
        let Some(Queued {
            command,
            after,
            event,
        }) = next
        else {
            return;
        };
        // The commands of other queues that these stand for were queued before this one, so queues do
        // not wait for each other in a circle.
        let waited = after.iter().try_for_each(|event| event.wait());
        let done = waited
            .map_err(|_| code::FAILED_IN_WAIT_LIST)
            .and_then(|()| command.run());
        event
            .state
            .store(done.err().unwrap_or(code::SUCCESS), Ordering::Release);
    }
}

impl Event {
    /// Runs commands of its queue until its own has run.
    pub(crate) fn wait(&self) -> Result<(), Code> {
        loop {
            match self.state.load(Ordering::Acquire) {
                QUEUED => self.queue.run_one(self),
                code::SUCCESS => return Ok(()),
                code => return Err(code),
            }
        }
    }
}
