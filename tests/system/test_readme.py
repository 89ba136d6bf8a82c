#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README's cluster, by copy and paste: what stands between its ```sh lines is run as it
is printed, in a network of its own, where its ports are free."""
import os
import pathlib
import re
import signal
import subprocess
import unittest

from leat_cluster import namespaces_work
from leat_system import ROOT, SystemTest, clean_environment, program


class Readme(SystemTest):
    def clone(self):
        """A directory that looks like a fresh clone after the build."""
        clone = pathlib.Path(self.directory) / "clone"
        for name, folder in (("leatd", "broker/io"), ("leat", "tools/leat")):
            path = clone / "build" / folder / name
            path.parent.mkdir(parents=True)
            path.symlink_to(program(name))
        return clone

    def test_the_cluster_works_by_copy_and_paste(self):
        if not namespaces_work():
            self.skipTest("NOT RUN: network namespaces are not allowed here")
        text = (ROOT / "README.md").read_text()
        lines = re.search(r"## Run a cluster.*?```sh\n(.*?)```", text, re.S).group(1)
        script = f"ip link set lo up\n{lines}\nkill ${{pid[*]}}; wait\nrm -r $C\n"
        shell = subprocess.Popen(
            ["unshare", "-n", "bash", "-e", "-c", script], cwd=self.clone(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_environment(),
            start_new_session=True)
        try:
            said, _ = shell.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            self.fail("it hangs: " + shell.communicate()[0])
        self.assertEqual(shell.returncode, 0, said)
        for claim in ("100 000 records acknowledged", "\n100000\n", "broker 2 is silent",
                      "degraded: ", "0 under-replicated"):
            self.assertIn(claim, said)
        self.assertRegex(said, r"payments +5 .* [123],[123],[123] +[123],[123],[123] ")


if __name__ == "__main__":
    unittest.main(verbosity=2)
