"""The example for Kubernetes: its job is what Dask's operator takes, and what the pods would run runs.

No Kubernetes is needed: the operator's own functions make the pods of the job, and their commands are run here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest
import yaml
from batch_archive import PATIENCE_S, complaints, results
from orthanc_process import free_port

EXAMPLE = Path(__file__).resolve().parents[3] / "Resources" / "batch_on_kubernetes.py"
WORDS = ["--image=registry.example/osteoscreen:1", "--workers=2", "--volume=scans=/scans", "--volume=results=/results"]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dask_kubernetes") is None, reason="dask-kubernetes is not installed (extra `kubernetes`)"
)


def example(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(EXAMPLE), *words], capture_output=True, text=True, check=False)


def job(*batch: str) -> dict:
    done = example(*WORDS, "--", *batch)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def schema() -> dict:
    """What the operator's own definition says of a DaskJob; Kubernetes drops what it does not know, this refuses it."""
    import dask_kubernetes

    charts = Path(dask_kubernetes.__file__).parent / "operator" / "deployment" / "helm" / "dask-kubernetes-operator"
    definition = yaml.safe_load((charts / "crds" / "daskjob.yaml").read_text())
    return strict(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def strict(node):
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: strict(value) for key, value in node.items()}
    if "properties" in made and isinstance(made["properties"], dict):
        made.setdefault("additionalProperties", False)
    return made


def test_the_job_is_one_that_the_operator_takes():
    wanted = schema()
    wanted["properties"].update({name: {} for name in ("apiVersion", "kind", "metadata")})
    told = job("/scans/list.csv", "-o", "/results/chest", "--suggest")
    jsonschema.validate(told, wanted)
    told["spec"]["job"]["spec"]["containers"][0]["comand"] = []
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.validate(told, wanted)


def test_the_driver_and_the_workers_see_the_volumes_and_have_one_core_each():
    told = job("/scans/list.csv", "-o", "/results/chest")["spec"]
    worker = told["cluster"]["spec"]["worker"]
    assert worker["replicas"] == 2
    for pod in (told["job"]["spec"], worker["spec"]):
        (container,) = pod["containers"]
        claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
        mounted = {claims[mount["name"]]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounted == {"scans": "/scans", "results": "/results"}
        assert container["resources"]["limits"] == {"cpu": "1", "memory": "4Gi"}
    assert told["job"]["spec"]["restartPolicy"] == "OnFailure"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--name=Osteo_Screen"], "lowercase"), (["--volume=scans"], "scans is not CLAIM=/PATH")],
)
def test_what_kubernetes_would_refuse_is_a_sentence(words, said):
    done = example(*WORDS, *words, "--", "LIST", "-o", "OUT")
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr


@contextmanager
def running(archive, container: dict, changes: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A container's command with its environment, as a process here; ``changes`` are put into its words."""
    environment = {each["name"]: each["value"] for each in container["env"]}
    words = [changes.get(word, word) for word in container["args"]]
    for name in [*environment, *changes]:
        words = [word.replace(f"$({name})", changes.get(name, environment.get(name, ""))) for word in words]
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name(words[0])), *words[1:]],
        env={**archive.environment(), **environment, **changes},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_what_the_pods_would_run_screens_the_batch(archive, undisturbed, tmp_path):
    from dask_kubernetes.operator.controller import controller

    out, port = tmp_path / "out", free_port()
    spec = job(*archive.words(out)[1:])["spec"]
    worker, scheduler = (spec["cluster"]["spec"][part]["spec"] for part in ("worker", "scheduler"))
    pods = [
        controller.build_job_pod_spec("osteoscreen", "osteoscreen", "default", spec["job"]["spec"], {}, {})["spec"],
        controller.build_worker_deployment_spec("osteoscreen-default", "default", "osteoscreen", "1", worker, {}, {})[
            "spec"
        ]["template"]["spec"],
        controller.build_scheduler_deployment_spec("osteoscreen", scheduler, {}, {})["spec"]["template"]["spec"],
    ]
    driving, working, scheduling = (pod["containers"][0] for pod in pods)
    # There are no names and no containers here: one address, and ports that are free.
    here = {"DASK_SCHEDULER_ADDRESS": f"tcp://127.0.0.1:{port}", "8788": "0", "0.0.0.0": "127.0.0.1"}
    scheduling["args"] += ["--port", str(port), "--dashboard-address", "127.0.0.1:0"]
    with (
        running(archive, driving, here) as driver,
        running(archive, scheduling, here),
        running(archive, working, here),
    ):
        said, complained = driver.communicate(timeout=PATIENCE_S)
    assert (driver.returncode, complaints(complained)) == (0, "")
    assert f"screened {archive.studies}" in said
    assert results(out) == undisturbed
