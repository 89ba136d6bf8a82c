#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What deploy/ asks of leatd is what leatd can do: every option, port, page and time-out that
the systemd units and the Kubernetes manifest name is held against the program itself."""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import yaml

from leat_system import ROOT, SystemTest, clean_environment, program

BUILT = pathlib.Path(os.environ.get("LEAT_TEST_DEPLOY", ROOT / "build/release/deploy"))


def leatd(*args):
    return subprocess.run([program("leatd"), *args], capture_output=True, text=True,
                          env=clean_environment())


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "": 1}[unit]


def stop_timeout():
    text = leatd("--print-config", "--dev").stdout
    return seconds(re.search(r"^stop\.timeout\.ms *= *(\S+)", text, re.M).group(1))


class Units(SystemTest):
    def unit(self, name):
        lines = (BUILT / name).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]\w+=", line))

    def test_they_start_leatd_as_it_wants_to_be_started(self):
        for name in ("leatd.service", "leatd@.service"):
            unit = self.unit(name)
            words = unit["ExecStart"].replace("%i", "node-2").split()
            at = words.index("--config") + 1
            self.assertRegex(words[at], r"/leatd/(leatd|node-2)\.conf$")
            words[at] = str(ROOT / "deploy/leatd.conf.example")
            checked = leatd(*words[1:], "--check")
            self.assertEqual(checked.returncode, 0, checked.stderr)
            state = unit["StateDirectory"].replace("%i", "node-2")
            self.assertIn(f"/var/lib/{state}", words)
            self.assertEqual(unit["Type"], "notify")
            self.assertGreater(seconds(unit["TimeoutStopSec"]), stop_timeout())

    def test_a_wrong_configuration_ends_with_the_status_that_is_not_tried_again(self):
        status = int(self.unit("leatd.service")["RestartPreventExitStatus"])
        self.assertEqual(leatd("--data", self.directory, "--no.such", "1").returncode, status)

    def test_systemd_has_nothing_to_say_against_them(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("NOT RUN: systemd-analyze is not installed")
        paths = []
        for name in ("leatd.service", "leatd@.service"):
            text = (BUILT / name).read_text()
            path = pathlib.Path(self.directory) / name.replace("@", "@node-2")
            path.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={program('leatd')}", text,
                                   flags=re.M))
            paths.append(str(path))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Kubernetes(SystemTest):
    def setUp(self):
        super().setUp()
        text = (ROOT / "deploy/kubernetes.yaml").read_text()
        self.objects = {o["kind"]: o for o in yaml.safe_load_all(text)}
        self.set = self.objects["StatefulSet"]["spec"]
        self.pod = self.set["template"]["spec"]
        self.box = self.pod["containers"][0]

    def nodes(self):
        start = self.set["ordinals"]["start"]
        return range(start, start + self.set["replicas"])

    def args(self, node):
        """What the kubelet makes of the arguments."""
        values = {"NODE": str(node), "NAMESPACE": "default", "ZONE": "z1"}
        self.assertEqual(sorted(values), sorted(e["name"] for e in self.box["env"]))
        return [re.sub(r"\$\((\w+)\)", lambda m: values[m.group(1)], a)
                for a in self.box["args"]]

    def settings(self, node):
        return dict(a[2:].split("=", 1) for a in self.args(node))

    def test_leatd_accepts_what_each_pod_says(self):
        for node in self.nodes():
            checked = leatd(*self.args(node), "--check")
            self.assertEqual(checked.returncode, 0, checked.stderr)
        refused = leatd(*self.args(0), "--check")
        self.assertEqual(refused.returncode, 2, "node ids begin with 1")

    def test_the_controllers_are_the_pods_under_their_names(self):
        name = self.objects["StatefulSet"]["metadata"]["name"]
        service = self.objects["Service"]
        self.assertEqual(self.set["serviceName"], service["metadata"]["name"])
        for node in self.nodes():
            own = self.settings(node)
            self.assertTrue(own["advertise"].startswith(
                f"{name}-{node}.{service['metadata']['name']}.default.svc:"))
            self.assertIn(f"{node}@{own['advertise']}", own["controllers"].split(","))
        self.assertEqual(len(own["controllers"].split(",")), self.set["replicas"])
        self.assertTrue(service["spec"]["publishNotReadyAddresses"])
        self.assertEqual(service["spec"]["clusterIP"], "None")
        self.assertEqual(self.set["podManagementPolicy"], "Parallel")

    def test_ports_are_those_that_leatd_listens_on(self):
        own = self.settings(1)
        listening = {"leat": int(own["listen"].rsplit(":")[1]),
                     "http": int(own["http.listen"].rsplit(":")[1])}
        self.assertEqual(listening, {p["name"]: p["containerPort"] for p in self.box["ports"]})
        self.assertEqual(listening, {p["name"]: p["port"]
                                     for p in self.objects["Service"]["spec"]["ports"]})
        scraped = self.set["template"]["metadata"]["annotations"]["prometheus.io/port"]
        self.assertEqual(int(scraped), listening["http"])
        self.assertEqual(int(own["advertise"].rsplit(":")[1]), listening["leat"])

    def test_probes_ask_for_pages_that_are_there(self):
        broker = self.broker()
        self.assertEqual(broker.http("/no/such/page")[0], 404)
        for probe in ("readinessProbe", "livenessProbe"):
            page = self.box[probe]["httpGet"]
            self.assertEqual(page["port"], "http")
            self.assertEqual(broker.http(page["path"])[0], 200)
        self.assertEqual(self.box["readinessProbe"]["httpGet"]["path"], "/readyz")
        scraped = self.set["template"]["metadata"]["annotations"]["prometheus.io/path"]
        self.assertEqual(broker.http(scraped)[0], 200)

    def test_everything_that_is_mounted_is_there(self):
        own = self.settings(1)
        mounts = {m["name"]: m["mountPath"] for m in self.box["volumeMounts"]}
        volumes = {v["name"] for v in self.pod["volumes"]}
        volumes |= {c["metadata"]["name"] for c in self.set["volumeClaimTemplates"]}
        self.assertEqual(set(mounts), volumes)
        self.assertTrue(own["data"].startswith(mounts["data"] + "/"))
        self.assertTrue(own["cluster.secret.file"].startswith(mounts["secret"] + "/"))
        self.assertNotIn("Secret", self.objects)

    def test_pods_are_found_kept_apart_and_given_time(self):
        labels = self.set["template"]["metadata"]["labels"]
        apart = self.pod["affinity"]["podAntiAffinity"]
        rules = [*apart["requiredDuringSchedulingIgnoredDuringExecution"],
                 *self.pod["topologySpreadConstraints"]]
        self.assertEqual([r["labelSelector"]["matchLabels"] for r in rules], [labels] * 2)
        self.assertEqual(self.set["selector"]["matchLabels"], labels)
        self.assertEqual(self.objects["Service"]["spec"]["selector"], labels)
        budget = self.objects["PodDisruptionBudget"]["spec"]
        self.assertEqual((budget["maxUnavailable"], budget["selector"]["matchLabels"]),
                         (1, labels))
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], stop_timeout())

    def test_variables_of_services_would_be_refused(self):
        self.assertIs(self.pod["enableServiceLinks"], False)
        done = subprocess.run([program("leatd"), "--dev", "--check"], capture_output=True,
                              env=clean_environment(LEAT_SERVICE_HOST="10.0.0.1"))
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
