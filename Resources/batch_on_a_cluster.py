"""An example: `osteoscreen batch` on the nodes of a cluster whose queue is Slurm, LSF or SGE, through dask-jobqueue.

    python Resources/batch_on_a_cluster.py slurm --jobs 10 --queue short -- MANIFEST -o OUT --suggest

What stands after ``--`` is for `osteoscreen batch`. The queue starts the workers, the driver runs here until every
study is final, and then the jobs end. Jobs that the queue takes away cost a retry of what they were screening. Stopped
anyhow, the same command goes on. The output folder and the scans have to be under the same paths on all nodes, and the
same OsteoScreen installed (`pip install 'osteoscreen[batch,cluster]'`). ``local`` runs the jobs' scripts on this
computer, to try them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

#: One process and one thread for each core: what the cores are shared by are the workers. Each worker and the process
#: that it screens in hold about 1 GB, and up to 3 GB where levels are suggested on a large scan.
CORES_PER_JOB = 8
MEMORY_PER_CORE_GB = 4


def main() -> int:
    """Start the workers, run the batch on them, end them; returns the batch's exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=("slurm", "lsf", "sge", "local"))
    parser.add_argument("--jobs", type=int, default=4, help=f"jobs of {CORES_PER_JOB} cores each")
    parser.add_argument("--cores", type=int, default=CORES_PER_JOB)
    parser.add_argument("--queue", help="the queue or partition")
    parser.add_argument("--hours", type=int, default=12, help="that a job may run")
    parser.add_argument("batch", nargs="+", metavar="WORD", help="what `osteoscreen batch` is given")
    arguments = parser.parse_args()
    with _cluster(arguments) as cluster:
        cluster.scale(jobs=arguments.jobs)
        command = [sys.executable, "-m", "OsteoScreenLib", "batch", *arguments.batch]
        return subprocess.run([*command, "--scheduler", cluster.scheduler_address], check=False).returncode


def _cluster(arguments: argparse.Namespace) -> Any:
    import dask_jobqueue
    from dask_jobqueue.local import LocalCluster

    kinds = {
        "slurm": dask_jobqueue.SLURMCluster,
        "lsf": dask_jobqueue.LSFCluster,
        "sge": dask_jobqueue.SGECluster,
        "local": LocalCluster,
    }
    memory_gb = arguments.cores * MEMORY_PER_CORE_GB
    wanted: dict[str, Any] = {"queue": arguments.queue, "walltime": _walltime(arguments)}
    if arguments.system == "sge":
        wanted["resource_spec"] = f"h_vmem={MEMORY_PER_CORE_GB}G"
    if arguments.system == "local":
        wanted = {}
    return kinds[arguments.system](
        cores=arguments.cores,
        processes=arguments.cores,
        memory=f"{memory_gb}GB",
        worker_extra_args=["--preload", "OsteoScreenLib.batch.task"],
        scheduler_options={"dashboard": False},
        **wanted,
    )


def _walltime(arguments: argparse.Namespace) -> str:
    return f"{arguments.hours:02d}:00" if arguments.system == "lsf" else f"{arguments.hours:02d}:00:00"


if __name__ == "__main__":
    sys.exit(main())
