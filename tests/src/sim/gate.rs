//! Runs one node's tasks, and can do to them what happens to a process: stop them for a while (SIGSTOP), end them
//! anywhere (kill -9), and let them run in any order that a real scheduler could choose.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use chat::{Spawn, Task};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::chance::Chance;

/// One node's tasks. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    chance: Chance,
    /// How often a task that could go on is put behind the others first, per mille.
    detours: u32,
}

#[derive(Default)]
struct State {
    killed: bool,
    paused: bool,
    waiting: Vec<Waker>,
    tasks: Vec<AbortHandle>,
}

impl Gate {
    /// A gate whose tasks are put behind the others so many times in a thousand.
    pub fn new(chance: Chance, detours: u32) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), chance, detours }) }
    }

    /// No task goes on until [`Gate::resume`]; time does.
    pub fn pause(&self) {
        self.shared.state.lock().paused = true;
    }

    /// Ends [`Gate::pause`].
    pub fn resume(&self) {
        let waiting = {
            let mut state = self.shared.state.lock();
            state.paused = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ends every task where it stands, and refuses new ones. What they hold is dropped, and must not be heard of
    /// outside: see [`Gate::is_dead`].
    pub fn kill(&self) {
        let tasks = {
            let mut state = self.shared.state.lock();
            state.killed = true;
            state.waiting.clear();
            std::mem::take(&mut state.tasks)
        };
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// Whether it was paused and not resumed.
    pub fn is_paused(&self) -> bool {
        self.shared.state.lock().paused
    }

    /// It was killed: nothing that is still being dropped may reach others.
    pub fn is_dead(&self) -> bool {
        self.shared.state.lock().killed
    }
}

impl Spawn for Gate {
    fn spawn(&self, task: Task) {
        let mut state = self.shared.state.lock();
        if state.killed {
            return;
        }
        let gated = Gated { gate: Arc::clone(&self.shared), task };
        if state.tasks.len() >= 1_024 {
            state.tasks.retain(|task| !task.is_finished());
        }
        state.tasks.push(tokio::spawn(gated).abort_handle());
    }
}

/// A task behind a gate.
struct Gated {
    gate: Arc<Shared>,
    task: Task,
}

impl Future for Gated {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        {
            let mut state = self.gate.state.lock();
            if state.killed {
                // Its end is on the way.
                return Poll::Pending;
            }
            if state.paused {
                state.waiting.push(context.waker().clone());
                return Poll::Pending;
            }
        }
        if self.gate.chance.per_mille(self.gate.detours) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.task.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, sync::atomic::Ordering, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_paused_node_stands_still_while_time_goes_on_and_a_killed_one_drops_what_it_holds() {
        let gate = Gate::new(Chance::new(1, "gate"), 300);
        let (count, held) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
        let (counting, holding) = (Arc::clone(&count), Arc::clone(&held));
        gate.spawn(Box::pin(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                counting.fetch_add(Arc::strong_count(&holding).min(1), Ordering::Relaxed);
            }
        }));
        tokio::time::sleep(Duration::from_millis(105)).await;
        assert_eq!(count.load(Ordering::Relaxed), 10);
        gate.pause();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(count.load(Ordering::Relaxed), 10);
        gate.resume();
        tokio::time::sleep(Duration::from_millis(25)).await;
        assert!((11..=13).contains(&count.load(Ordering::Relaxed)), "{count:?}");
        gate.kill();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&held), 1, "its task was dropped");
        gate.spawn(Box::pin(async move { drop(held) }));
    }
}
