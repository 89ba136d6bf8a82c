# SPDX-License-Identifier: Apache-2.0
"""A disk that can lose its power: an ext4 file system in a file, behind a loop device.

    disk = PowerDisk(directory, "node1")   # mounted at directory/node1
    disk.lose_power()      # what was not synced is gone; every write from now on fails
    broker.kill()
    disk.come_back()       # unmounted and mounted again: the journal is replayed

EXT4_IOC_SHUTDOWN without flushing the log is as near to a power loss as a running machine
comes: kill -9 alone never loses what the page cache holds.
"""
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import unittest

SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # _IOR('X', 125, uint32)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True)


def share(directory):
    """Brokers in network namespaces have mounts of their own: make ours theirs, gone ones too."""
    run("mount", "--bind", directory, directory)
    run("mount", "--make-shared", directory)


class PowerDisk:
    """`directory` was given to `share` first."""

    def __init__(self, directory, name, megabytes=2048):
        self.mounted = False
        if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
            raise unittest.SkipTest("NOT RUN: a power loss needs root, loop devices and ext4")
        self.image = pathlib.Path(directory) / f"{name}.img"
        self.path = pathlib.Path(directory) / name
        self.path.mkdir()
        with open(self.image, "wb") as f:
            f.truncate(megabytes << 20)
        try:
            run("mkfs.ext4", "-q", "-F", str(self.image))
            self.mount()
        except (subprocess.CalledProcessError, OSError) as error:
            raise unittest.SkipTest(f"NOT RUN: no loop device can be mounted here: {error}") from error

    def mount(self):
        run("mount", "-o", "loop", str(self.image), str(self.path))
        self.mounted = True

    def lose_power(self):
        """First bytes that nobody syncs: they must be gone, or the test proves nothing."""
        (self.path / "unsynced").write_bytes(b"gone")
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def come_back(self):
        self.close()
        self.mount()
        left = self.path / "unsynced"
        assert not left.exists() or left.read_bytes() == b"", "the power loss lost nothing"

    def close(self):
        if self.mounted:
            run("umount", str(self.path))
            self.mounted = False


def disks_for(test, size, megabytes=2048):
    """The disks of the brokers node1, node2, ... of a ClusterTest, which all end with it."""
    share(str(test.directory))
    test.addCleanup(subprocess.run, ["umount", str(test.directory)], check=True)
    disks = []
    for number in range(1, size + 1):
        disks.append(PowerDisk(test.directory, f"node{number}", megabytes))
        test.addCleanup(disks[-1].close)
    test.addCleanup(kill_all, test)
    return disks


def kill_all(test):
    for broker in test.brokers:
        if broker.running():
            broker.kill()
