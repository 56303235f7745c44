//! Milliseconds, counted by the core's own timer.

use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::chip::CLOCK_HZ;

struct Ticks {
    low: AtomicU32,
    high: AtomicU32,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(
    static TICKS: Ticks =
        Ticks { low: AtomicU32::new(0), high: AtomicU32::new(0), queue: Mutex::new(RefCell::new(Queue::new())) }
);

impl Driver for Ticks {
    fn now(&self) -> u64 {
        critical_section::with(|_| {
            u64::from(self.high.load(Ordering::Relaxed)) << 32 | u64::from(self.low.load(Ordering::Relaxed))
        })
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            if let Ok(mut queue) = self.queue.borrow(cs).try_borrow_mut() {
                // Every tick looks at the queue.
                queue.schedule_wake(at, waker);
            }
        });
    }
}

/// Counts from now on.
pub(crate) fn start(syst: &mut SYST) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(CLOCK_HZ / 1_000 - 1);
    syst.clear_current();
    syst.enable_interrupt();
    syst.enable_counter();
}

#[exception]
fn SysTick() {
    critical_section::with(|cs| {
        let low = TICKS.low.load(Ordering::Relaxed).wrapping_add(1);
        TICKS.low.store(low, Ordering::Relaxed);
        if low == 0 {
            TICKS.high.store(TICKS.high.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        if let Ok(mut queue) = TICKS.queue.borrow(cs).try_borrow_mut() {
            let now = TICKS.now();
            queue.next_expiration(now);
        }
    });
}
