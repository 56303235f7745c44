//! The registers of the LM3S6965 that the node uses, as its datasheet (DS-LM3S6965) has them and QEMU knows them.

/// A register at an address of the chip.
#[derive(Clone, Copy)]
pub(crate) struct Register(pub(crate) u32);

impl Register {
    pub(crate) fn read(self) -> u32 {
        // SAFETY: every address in this file is that of a register of the chip.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: as above; no register that is written moves memory or takes an address.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}

/// The core's clock after a reset: 12.5 MHz in QEMU.
pub(crate) const CLOCK_HZ: u32 = 12_500_000;

/// Interrupts by number, for the table at the beginning of flash.
pub(crate) const UART0: usize = 5;
pub(crate) const UART1: usize = 6;

/// A GPIO port (PL061).
#[derive(Clone, Copy)]
pub(crate) struct Port(u32);

pub(crate) const PORT_D: Port = Port(0x4000_7000);
pub(crate) const PORT_E: Port = Port(0x4002_4000);
pub(crate) const PORT_F: Port = Port(0x4002_5000);

impl Port {
    /// Only the pin that the address names is read or written: no other one is disturbed.
    fn pin(self, pin: u8) -> Register {
        Register(self.0 + (4 << pin))
    }

    pub(crate) fn make_output(self, pin: u8) {
        let direction = Register(self.0 + 0x400);
        direction.write(direction.read() | 1 << pin);
        self.enable(pin);
    }

    pub(crate) fn make_input(self, pin: u8) {
        let pull_up = Register(self.0 + 0x510);
        pull_up.write(pull_up.read() | 1 << pin);
        self.enable(pin);
    }

    fn enable(self, pin: u8) {
        let digital = Register(self.0 + 0x51c);
        digital.write(digital.read() | 1 << pin);
    }

    pub(crate) fn is_high(self, pin: u8) -> bool {
        self.pin(pin).read() != 0
    }

    pub(crate) fn set(self, pin: u8, high: bool) {
        self.pin(pin).write(if high { 0xff } else { 0 });
    }
}

/// A UART (PL011).
#[derive(Clone, Copy)]
pub(crate) struct Uart(u32);

pub(crate) const LINE: Uart = Uart(0x4000_c000);
pub(crate) const RADAR: Uart = Uart(0x4000_d000);

impl Uart {
    /// 8N1 with FIFOs; an interrupt tells of what came.
    pub(crate) fn start(self, baud: u32) {
        // In 64ths: 16 clocks a bit.
        let divisor = CLOCK_HZ * 4 / baud;
        Register(self.0 + 0x24).write(divisor / 64);
        Register(self.0 + 0x28).write(divisor % 64);
        Register(self.0 + 0x2c).write(0x70);
        Register(self.0 + 0x30).write(0x301);
        Register(self.0 + 0x38).write(0x50);
    }

    pub(crate) fn take(self) -> Option<u8> {
        let is_empty = Register(self.0 + 0x18).read() & 0x10 != 0;
        (!is_empty).then(|| Register(self.0).read().to_le_bytes()[0])
    }

    pub(crate) fn clear(self) {
        Register(self.0 + 0x44).write(0x50);
    }

    pub(crate) fn send(self, byte: u8) {
        while Register(self.0 + 0x18).read() & 0x20 != 0 {}
        Register(self.0).write(byte.into());
    }
}

/// The watchdog: when it has come to zero twice, the chip starts anew.
pub(crate) struct Watchdog;

const WATCHDOG: u32 = 0x4000_0000;

impl Watchdog {
    pub(crate) fn start(patience_ms: u32) -> Self {
        Register(WATCHDOG + 0xc00).write(0x1acc_e551);
        Register(WATCHDOG).write(CLOCK_HZ / 1_000 * (patience_ms / 2));
        Register(WATCHDOG + 0x8).write(0x3);
        Self
    }
}

impl ninewatch_board::Watchdog for Watchdog {
    fn feed(&mut self) {
        // Any write to it clears the interrupt and begins anew.
        Register(WATCHDOG + 0xc).write(1);
    }
}
