"""The image in QEMU, as a machine with an SD card that the test may write before it is put in."""

import json
import socket
import subprocess
import time
from pathlib import Path

FIRMWARE_AT = 4 << 20  # where the first partition begins: deploy/image/build.sh
SECTOR = 512


def run(*command, **more):
    """Runs to the end; what it said is in the error where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def free_port():
    with socket.socket() as at:
        at.bind(("127.0.0.1", 0))
        return at.getsockname()[1]


def ssh_answers(port):
    """Whether an SSH server says what it is."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as at:
            at.settimeout(5)
            return at.recv(4).startswith(b"SSH")
    except OSError:
        return False


class Card:
    """A flashed file as a larger card: what is behind the image, the first boot takes for data."""

    def __init__(self, file, mib):
        self.file = file
        run("truncate", "-s", f"{mib}M", self.file)

    def _mtools(self, tool, *args):
        return run(tool, "-i", f"{self.file}@@{FIRMWARE_AT}", *args)

    def put(self, folder):
        """Lays a folder `ninewatch` on the first partition, as `ninewatch flash` does."""
        self._mtools("mcopy", "-s", "-Q", folder, "::")

    def has(self, name):
        """Whether the first partition has it."""
        listed = self._mtools("mdir", "-b", "::")
        return any(line.strip().strip(":/").lower() == name.lower() for line in listed.splitlines())

    def kernel(self, folder):
        """The kernel, its initrd and a Pi 3's device tree: QEMU wants them from outside."""
        listed = [line.strip() for line in self._mtools("mdir", "-b", "::").splitlines()]
        found = []
        for begin in ("vmlinuz-", "initrd.img-", "bcm2837-rpi-3-b.dtb"):
            (name,) = [line for line in listed if line.removeprefix("::/").startswith(begin)]
            to = folder / begin.strip("-")
            self._mtools("mcopy", "-n", "-o", name, to)
            found.append(to)
        return found

    def partitions(self):
        """Start and length of each partition in bytes."""
        table = json.loads(run("sfdisk", "--json", self.file))["partitiontable"]["partitions"]
        return [(part["start"] * SECTOR, part["size"] * SECTOR) for part in table]

    def data(self, folder):
        """Reads the data partition's files out, without mounting it."""
        start, length = self.partitions()[2]
        part = folder / "data.img"
        run("dd", f"if={self.file}", f"of={part}", "bs=1M", "iflag=skip_bytes,count_bytes", "conv=sparse",
            f"skip={start}", f"count={length}", "status=none")
        # What was in the file system's own journal at the cut; the kernel does it at a mount.
        subprocess.run(["e2fsck", "-p", str(part)], capture_output=True, check=False)
        out = folder / "data"
        out.mkdir()
        run("debugfs", "-R", f"rdump /gateway {out}", part)
        part.unlink()
        return out / "gateway"


# `virt` is quick. `raspi3b` is the Pi 3's own processor, SD card reader, UART and USB; the firmware starts in a Pi's ROM,
# which QEMU does not have.
BOARDS = {
    "virt": ["-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024"],
    "raspi3b": ["-M", "raspi3b"],
}


class Machine:
    """A started machine. `ports` maps its ports to ours."""

    def __init__(self, card, folder, ports, board="virt"):
        self.begun = time.monotonic()
        self.console = folder / "console.log"
        kernel, initrd, tree = card.kernel(folder)
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{ours}-:{its}" for its, ours in ports.items())
        append = ("net.ifnames=0 root=PARTUUID=4e57a001-02 ro console=ttyAMA0,115200 fsck.repair=yes "
                  "systemd.show_status=1")
        if board == "virt":
            devices = ["-drive", f"if=virtio,format=raw,file={card.file}", "-device", "virtio-net-device,netdev=net"]
        else:
            # Its watchdog works, and an emulated Pi is too slow for it: it would begin anew while systemd is still starting.
            append += " systemd.watchdog_sec=0"
            devices = ["-dtb", str(tree), "-drive", f"if=sd,format=raw,file={card.file}", "-device", "usb-net,netdev=net"]
        self.process = subprocess.Popen(
            ["qemu-system-aarch64", *BOARDS[board], "-display", "none", "-serial", f"file:{self.console}", "-monitor", "none",
             "-kernel", str(kernel), "-initrd", str(initrd),
             "-append", append,
             # As a Pi, it does not know what time it is.
             "-rtc", "base=2020-01-01T00:00:00",
             "-netdev", f"user,id=net{forwards}", *devices],
            stdin=subprocess.DEVNULL)

    def said(self):
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def until(self, what, found, limit_s):
        """Waits until `found()` gives something; gives it, and the seconds since the machine began."""
        while True:
            try:
                got = found()
            except OSError:
                got = None
            if got:
                return got, time.monotonic() - self.begun
            if self.process.poll() is not None or time.monotonic() - self.begun > limit_s:
                raise SystemExit(f"{what}: not after {limit_s} s. The console:\n{self.said()[-4000:]}")
            time.sleep(0.2)

    def cut(self):
        """The power is gone, now."""
        self.process.kill()
        self.process.wait()

    def ended(self, limit_s):
        """It was told to shut down."""
        self.process.wait(timeout=limit_s)


def folder_of(name):
    folder = Path("target/image") / name
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir(parents=True)
    return folder.resolve()
