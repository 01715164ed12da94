"""An example: `osteoscreen batch` on Kubernetes, as a job of Dask's operator; prints the job for `kubectl`.

    pip install 'osteoscreen[kubernetes]'
    python Resources/batch_on_kubernetes.py --image registry.example/osteoscreen:1 --workers 40 \\
        --volume scans=/scans --volume results=/results -- /scans/list.csv -o /results/chest | kubectl apply -f -

What stands after ``--`` is for `osteoscreen batch`, with paths as the containers see them. The operator
(`helm install --repo https://helm.dask.org dask-kubernetes-operator`) starts the scheduler, the workers and the driver,
and ends the workers when the driver is done. The driver is started again where it stops with an error, and goes on; so
is a worker that is taken away, whose studies go to others. ``--volume`` names claims that exist, for several pods at
once (ReadWriteMany). The image is that of Resources/Containerfile, or any with OsteoScreen and its extra `batch`.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

try:
    from dask_kubernetes.operator import make_cluster_spec
    from dask_kubernetes.operator.validation import ValidationError, validate_cluster_name
except ImportError as error:
    sys.exit(f"dask-kubernetes cannot be loaded ({error}); pip install 'osteoscreen[kubernetes]'.")

#: One thread each: what the cores are shared by are the workers.
_WORKER = ["dask", "worker", "--nthreads", "1", "--preload", "OsteoScreenLib.batch.task"]
_ENVIRONMENT = {
    # A clock that jumps would make every worker look dead; the operator sees real deaths.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "null",
    # The driver may be there before the scheduler.
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "300s",
}


def main() -> int:
    """Print the job; returns 2 for a name that Kubernetes would refuse."""
    arguments = _arguments()
    try:
        validate_cluster_name(arguments.name)
    except ValidationError as error:
        print(error.message, file=sys.stderr)
        return 2
    json.dump(job(arguments), sys.stdout, indent=2)  # which is YAML too
    print()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True)
    parser.add_argument("--volume", action="append", default=[], type=_volume, metavar="CLAIM=/PATH")
    parser.add_argument("--name", default="osteoscreen", help="of the job (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="of one core each (default: %(default)s)")
    # A worker and the process that it screens in hold about 1 GB, and up to 3 GB where levels are suggested on a large
    # scan.
    parser.add_argument("--memory", default="4Gi", help="for each worker (default: %(default)s)")
    parser.add_argument("batch", nargs="+", metavar="WORD", help="what `osteoscreen batch` is given")
    return parser.parse_args()


def _volume(text: str) -> tuple[str, str]:
    claim, _, path = text.partition("=")
    if not claim or not path.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text} is not CLAIM=/PATH")
    return claim, path


def job(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the DaskJob: a cluster, and the driver that is run on it."""
    needs = {"cpu": "1", "memory": arguments.memory}
    resources = {"requests": needs, "limits": needs}
    cluster = make_cluster_spec(
        arguments.name,
        image=arguments.image,
        n_workers=arguments.workers,
        resources=resources,
        env=_ENVIRONMENT,
        worker_command=_WORKER,
    )
    # Its own, `dask-scheduler`, is no more in newer releases of Dask.
    scheduler = cluster["spec"]["scheduler"]["spec"]["containers"][0]
    scheduler["args"] = ["dask", "scheduler", *scheduler["args"][1:]]
    driver = {
        "name": "driver",
        "image": arguments.image,
        "args": ["osteoscreen", "batch", *arguments.batch, "--scheduler", "$(DASK_SCHEDULER_ADDRESS)"],
        "env": [{"name": name, "value": value} for name, value in _ENVIRONMENT.items()],
        "resources": resources,
    }
    pod = {"containers": [driver], "restartPolicy": "OnFailure"}
    for spec in (pod, cluster["spec"]["worker"]["spec"]):
        _mount(spec, arguments.volume)
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskJob",
        "metadata": {"name": arguments.name},
        "spec": {"job": {"spec": pod}, "cluster": {"spec": cluster["spec"]}},
    }


def _mount(pod: dict[str, Any], volumes: list[tuple[str, str]]) -> None:
    names = {claim: f"volume-{n}" for n, claim in enumerate(dict(volumes))}
    pod["volumes"] = [{"name": name, "persistentVolumeClaim": {"claimName": claim}} for claim, name in names.items()]
    for container in pod["containers"]:
        container["volumeMounts"] = [{"name": names[claim], "mountPath": path} for claim, path in volumes]


if __name__ == "__main__":
    sys.exit(main())
