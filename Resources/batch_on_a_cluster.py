"""An example: `osteoscreen batch` on the nodes of a cluster whose queue is Slurm, LSF or SGE, through dask-jobqueue.

    python Resources/batch_on_a_cluster.py slurm --jobs 10 --queue short -- MANIFEST -o OUT --suggest

What stands after ``--`` is for `osteoscreen batch`. The queue starts the workers, the driver runs here until every
study is final, and then the jobs end. A job that the queue takes away, or whose time is over, costs a retry of what it
was screening, and is submitted anew. Stopped anyhow, the same command goes on. The output folder and the scans have to
be under the same paths on all nodes, and the same OsteoScreen installed (`pip install 'osteoscreen[batch,cluster]'`).
``local`` runs the jobs' scripts on this computer, to try them; ``--dry-run`` prints the script of a job.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

#: How often it is looked whether the jobs are still there [s].
_LOOK_S = 5.0


def main() -> int:
    """Start the workers, run the batch on them, end them; returns the batch's exit code."""
    arguments = _arguments()
    with _closing(_cluster(arguments)) as cluster:
        # They speak of tasks and, where the queue refuses a job, in tracebacks; the driver and `main` have sentences.
        for name in ("distributed", "tornado.application", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        if arguments.dry_run:
            print(cluster.job_script())
            return 0
        try:
            _submit(cluster, arguments.jobs)
        except (RuntimeError, OSError) as error:
            print(f"The jobs could not be submitted. {_words(error)}", file=sys.stderr)
            return 1
        command = [sys.executable, "-m", "OsteoScreenLib", "batch", *arguments.batch]
        with subprocess.Popen([*command, "--scheduler", cluster.scheduler_address]) as batch:
            return _watched(batch, cluster, arguments.jobs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=("slurm", "lsf", "sge", "local"))
    parser.add_argument("--jobs", type=_one_or_more, default=4, help="how many (default: %(default)s)")
    # One process and one thread for each core: what the cores are shared by are the workers.
    parser.add_argument("--cores", type=_one_or_more, default=8, help="of each job (default: %(default)s)")
    # A worker and the process that it screens in hold about 1 GB, and up to 3 GB where levels are suggested on a large
    # scan.
    parser.add_argument("--memory", type=_one_or_more, default=4, help="for each core [GB] (default: %(default)s)")
    parser.add_argument("--hours", type=_one_or_more, default=12, help="that a job may run (default: %(default)s)")
    parser.add_argument("--queue", help="the queue or partition")
    parser.add_argument("--parallel-environment", default="smp", help="SGE's, for one machine (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print a job's script, and start nothing")
    parser.add_argument("batch", nargs="+", metavar="WORD", help="what `osteoscreen batch` is given")
    return parser.parse_args()


def _one_or_more(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _cluster(arguments: argparse.Namespace) -> Any:
    try:
        import dask_jobqueue
        from dask_jobqueue.local import LocalCluster
    except ImportError as error:
        sys.exit(f"dask-jobqueue cannot be loaded ({error}); pip install 'osteoscreen[batch,cluster]'.")
    kinds = {
        "slurm": dask_jobqueue.SLURMCluster,
        "lsf": dask_jobqueue.LSFCluster,
        "sge": dask_jobqueue.SGECluster,
        "local": LocalCluster,
    }
    return kinds[arguments.system](
        cores=arguments.cores,
        processes=arguments.cores,
        memory=f"{arguments.cores * arguments.memory}GB",
        worker_extra_args=["--preload", "OsteoScreenLib.batch.task"],
        scheduler_options={"dashboard": False, "dashboard_address": ":0"},
        **_words_of_its_own(arguments),
    )


def _words_of_its_own(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.system == "local":
        return {}
    hours = f"{arguments.hours:02d}:00"
    wanted: dict[str, Any] = {
        "queue": arguments.queue,
        "walltime": hours if arguments.system == "lsf" else f"{hours}:00",
    }
    if arguments.system == "sge":
        wanted["resource_spec"] = f"h_vmem={arguments.memory}G"
        # Without it a job has one core, whatever it starts.
        wanted["job_extra_directives"] = [f"-pe {arguments.parallel_environment} {arguments.cores}"]
    return wanted


@contextlib.contextmanager
def _closing(cluster: Any) -> Iterator[Any]:
    try:
        yield cluster
    finally:
        with contextlib.suppress(AssertionError):  # that every job had been submitted
            cluster.close()


def _submit(cluster: Any, jobs: int) -> None:
    """Submit what lacks of so many jobs.  Raises RuntimeError where the queue refuses one."""

    async def submitted() -> None:
        await cluster
        for job in list(cluster.workers.values()):
            await job  # does nothing where it is submitted; else it is tried once more, and says what is wrong

    cluster.scale(jobs=jobs)
    cluster.sync(submitted)


def _watched(batch: subprocess.Popen[bytes], cluster: Any, jobs: int) -> int:
    """Wait for the batch, and meanwhile submit a job for each whose workers have all gone; returns the exit code."""
    joined, absent = _joined(cluster), set[str]()
    while True:
        try:
            return batch.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            before, absent = absent, _absent_jobs(cluster, joined)
            # What the queue refuses now it may take the next time.
            with contextlib.suppress(RuntimeError):
                if before & absent:  # twice: a worker may only be starting again
                    cluster.sync(cluster.scale_down, before & absent)
                _submit(cluster, jobs)
        except KeyboardInterrupt:
            return batch.wait()  # it heard it too


def _joined(cluster: Any) -> set[str]:
    """Return a set in which the name of every worker will be that has joined the scheduler, however soon it left."""
    from distributed.diagnostics.plugin import SchedulerPlugin

    names = {str(worker["name"]) for worker in cluster.scheduler_info["workers"].values()}

    class Noting(SchedulerPlugin):
        def add_worker(self, scheduler: Any, worker: str) -> None:
            names.add(str(scheduler.workers[worker].name))

    cluster.scheduler.add_plugin(Noting(), name="jobs that were here")
    return names


def _absent_jobs(cluster: Any, joined: set[str]) -> set[str]:
    """Return the names of the jobs that had a worker and have none; one that still waits in its queue had none."""
    alive = {str(worker["name"]) for worker in cluster.scheduler_info["workers"].values()}
    jobs = {name: spec.get("group", [""]) for name, spec in cluster.worker_spec.items()}
    workers = {name: {f"{name}{suffix}" for suffix in group} for name, group in jobs.items()}
    return {name for name, group in workers.items() if group & joined and not group & alive}


def _words(error: Exception) -> str:
    """Return on one line what the queue's own command wrote, or all that is known where it wrote nothing."""
    whole = str(error)
    return " ".join((whole.partition("stderr:\n")[2].strip() or whole).split())


if __name__ == "__main__":
    sys.exit(main())
