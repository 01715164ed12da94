"""The example for clusters: on a real Slurm that takes a job away, and the scripts that other queues would be given."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import private_slurm
import pytest
from batch_archive import PATIENCE_S, complaints, finished_ids, results, waited

EXAMPLE = Path(__file__).resolve().parents[3] / "Resources" / "batch_on_a_cluster.py"

pytestmark = [
    pytest.mark.slow(together=True),
    pytest.mark.skipif(
        importlib.util.find_spec("dask_jobqueue") is None, reason="dask-jobqueue is not installed (the extra `cluster`)"
    ),
]


def script(system: str, *words: str) -> str:
    """What the example would give to a queue."""
    command = [sys.executable, str(EXAMPLE), system, "--queue=short", "--cores=4", "--hours=3", *words, "--dry-run"]
    done = subprocess.run([*command, "LIST"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        ("slurm", ["#SBATCH -p short", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=15G", "#SBATCH -t 03:00:00"]),
        ("lsf", ["#BSUB -q short", "#BSUB -n 4", '#BSUB -R "span[hosts=1]"', "#BSUB -W 03:00"]),
        ("sge", ["#$ -q short", "#$ -pe smp 4", "#$ -l h_vmem=4G", "#$ -l h_rt=03:00:00"]),
    ],
)
def test_a_job_asks_for_what_its_workers_need(system, wanted):
    told = script(system)
    assert [line for line in wanted if line not in told.splitlines()] == []
    assert "--nthreads 1 " in told and "--nworkers 4 " in told and "--preload OsteoScreenLib.batch.task" in told


@pytest.mark.parametrize("word", ["--jobs=0", "--cores=-1", "--hours=x"])
def test_no_batch_waits_for_workers_that_nobody_asks_for(word):
    command = [sys.executable, str(EXAMPLE), "local", word, "LIST"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 2 and "is no whole number from 1 on" in done.stderr


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The settings by which Slurm's commands find the queue of this file's own."""
    if private_slurm.missing():
        pytest.skip(private_slurm.missing())
    with private_slurm.running(tmp_path_factory.mktemp("slurm")) as settings:
        yield settings


def start(archive, slurm: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), "slurm", "--jobs=1", "--cores=1", "--queue=short", *words],
        env={**archive.environment(), "SLURM_CONF": slurm},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_job_that_slurm_takes_away_is_submitted_anew_and_nothing_is_lost(archive, undisturbed, slurm, tmp_path):
    out = tmp_path / "out"
    batch = start(archive, slurm, tmp_path, "--memory=2", "--", *archive.words(out)[1:])
    waited(lambda: finished_ids(out) or batch.poll() is not None)
    private_slurm.ask(slurm, "scancel", "--full", "--name=dask-worker")
    _, complained = batch.communicate(timeout=PATIENCE_S)
    assert (batch.returncode, complaints(complained)) == (0, "")
    assert len(list(tmp_path.glob("slurm-*.out"))) in (2, 3)  # a file for each job; a third where the end takes long
    assert results(out) == undisturbed


def test_a_job_that_slurm_refuses_is_a_sentence(archive, slurm, tmp_path):
    batch = start(archive, slurm, tmp_path, "--memory=9", "--", "LIST")
    _, complained = batch.communicate(timeout=PATIENCE_S)
    assert batch.returncode == 1
    assert complained.startswith("The jobs could not be submitted. ") and complained.count("\n") == 1
    assert "Memory specification can not be satisfied" in complained
