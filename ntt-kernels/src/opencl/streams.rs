//! Queues for the commands of several threads: each thread submits to one of its own, and waits for
//! what it needs of the others.

use std::thread::ThreadId;

use super::sys::{Event, Fault, Memory, Queue, SharedSession};

/// Queues of one ring, at most. Where more threads submit, those take turns whose last command is
/// the longest ago.
const QUEUES: usize = 4;

/// The queues of a ring, made when threads come, and the one that is in use while the ring's lock is
/// held.
pub(super) struct Streams {
    session: SharedSession,
    all: Vec<Stream>,
    current: usize,
    turns: u64,
}

struct Stream {
    queue: Queue,
    thread: Option<ThreadId>,
    last_turn: u64,
    /// What the next kernel has to wait for on other queues.
    before_next: Vec<Event>,
}

impl Streams {
    pub(super) fn new(session: SharedSession) -> Result<Self, Fault> {
        let mut streams = Self {
            session,
            all: Vec::new(),
            current: 0,
            turns: 0,
        };
        streams.open()?;
        Ok(streams)
    }

    fn open(&mut self) -> Result<(), Fault> {
        let queue = self.session.queue(self.all.len())?;
        self.all.push(Stream {
            queue,
            thread: None,
            last_turn: 0,
            before_next: Vec::new(),
        });
        Ok(())
    }

    /// What follows goes to the queue of this thread.
    ///
    /// # Errors
    /// The runtime makes no further queue.
    pub(super) fn turn_to(&mut self, thread: ThreadId) -> Result<(), Fault> {
        self.turns += 1;
        let of = |wanted| move |stream: &Stream| stream.thread == wanted;
        let known = self.all.iter().position(of(Some(thread)));
        let at = match known.or_else(|| self.all.iter().position(of(None))) {
            Some(at) => at,
            None if self.all.len() < QUEUES => {
                self.open()?;
                self.all.len() - 1
            }
            None => {
                let turns = self.all.iter().map(|stream| stream.last_turn).enumerate();
                let oldest = turns.min_by_key(|&(_, turn)| turn);
                oldest.expect("there is at least one queue").0
            }
        };
        let stream = &mut self.all[at];
        (stream.thread, stream.last_turn) = (Some(thread), self.turns);
        self.current = at;
        Ok(())
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.all[self.current].queue
    }

    /// The next kernel writes to this memory, or one that follows it on its queue.
    pub(super) fn will_write(&mut self, memory: &Memory) {
        let events = memory.before_write(Some(self.current));
        self.all[self.current].before_next.extend(events);
    }

    /// The same for reading.
    pub(super) fn will_read(&mut self, memory: &Memory) {
        let event = memory.before_read(self.current);
        self.all[self.current].before_next.extend(event);
    }

    /// What was queued for a command has this memory as its result, which was announced.
    pub(super) fn has_written(&self, memory: &Memory) {
        // Where nothing was queued, what others do with it is still to be waited for.
        let stream = &self.all[self.current];
        if let (true, Some(event)) = (stream.before_next.is_empty(), stream.queue.latest()) {
            memory.written_by(self.current, &event);
        }
    }

    /// What the kernel that is queued now waits for.
    pub(super) fn before_next(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.all[self.current].before_next)
    }

    /// Every queue runs empty.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        self.all.iter().try_for_each(|stream| stream.queue.finish())
    }

    /// The last kernel of each queue.
    pub(super) fn latest(&self) -> Vec<Event> {
        let latest = self.all.iter().map(|stream| stream.queue.latest());
        latest.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opencl::{Transforms, tests::device};

    #[test]
    fn a_thread_keeps_its_queue_until_more_threads_come_than_there_are_queues() {
        let Some(device) = device(Transforms::Auto) else {
            return;
        };
        let mut streams = Streams::new(device.session()).unwrap();
        let threads: Vec<ThreadId> = (0..=QUEUES)
            .map(|_| {
                let handle = std::thread::spawn(|| std::thread::current().id());
                handle.join().unwrap()
            })
            .collect();
        let mut turn_to = |i: usize| {
            streams.turn_to(threads[i]).unwrap();
            (streams.current, streams.all.len())
        };
        for i in 0..QUEUES {
            assert_eq!(turn_to(i), (i, i + 1));
            assert_eq!(turn_to(0), (0, i + 1));
        }
        // The second one's last command is the longest ago.
        assert_eq!(turn_to(QUEUES), (1, QUEUES));
        assert_eq!(turn_to(2), (2, QUEUES));
        assert_eq!(turn_to(1), (3, QUEUES));
    }
}
