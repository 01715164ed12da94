"""How each documented command is run by the tests: one entry a command, word for word; see :class:`How`.

To document a command, add it here. Most need ``How()`` alone, because a name that stands for an input (``CT``,
``DATASET`` …) is made by itself, see ``inputs.INPUTS``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from OsteoScreenLib.localisation.channels import CHANNELS

from . import inputs
from .inputs import Maker


@dataclass(frozen=True)
class How:
    """``shorter``: words of the command and what takes their place, so that it takes seconds.

    ``before``: what else has to be there, made anew. ``elsewhere``: the test that runs this command, which takes too
    long or needs too much to run once more; then its words alone are checked here, by the command's own parser.
    ``process``: in a process of its own, as a user's is; the others share this one.
    """

    shorter: dict[str, str] = field(default_factory=dict)
    before: tuple[Maker, ...] = ()
    elsewhere: str = ""
    process: bool = False


TRAINING = "OsteoScreenTraining/Testing/Python/"
ENGINE = "OsteoScreen/Testing/Python/"

#: Networks that learn nothing: what is tested is that the command runs from its words to its bundle.
TINY_SEGMENTATION: dict[str, Any] = {
    "network": {"name": "study_segmentation", "parameters": {"base_width": 2}},
    "steps": 3, "batch": 2, "precision": "float32", "device": "cpu", "threads": 1,
    "patches": {
        "size": 64, "locate_spacing_mm": [2.2, 3.0], "outline_spacing_mm": [0.8, 1.2],
        "locate_shift_mm": 20.0, "outline_shift_mm": 5.0,
    },
    "validation": {"fraction": 0.0, "every_steps": 0},
}  # fmt: skip
TINY_LOCALISATION: dict[str, Any] = {
    "task": "localisation",
    "network": {"name": "spine_localiser", "parameters": {"out_channels": len(CHANNELS), "widths": [4, 8]}},
    "steps": 1, "batch": 1, "device": "cpu", "precision": "float32", "threads": 1,
    "localisation": {"trunks": 1, "held_out": 1, "calibration": 1, "workers": 0},
    "validation": {"every_steps": 0},
}  # fmt: skip


def trained(run: str, settings: dict[str, Any]) -> How:
    """How a training into the folder ``run`` is run: with a tiny configuration."""
    return How({f"-o {run}": f"-o {run} --config tiny.json"}, (inputs.tiny("tiny.json", settings),))


#: The real CT of the documented evaluations that takes least.
TWO = "../shared/data/acrin-nsclc-fdg-pet-042 ../shared/data/totalsegmentator-example"
THREE = f"{TWO} ../shared/data/totalsegmentator-dicom"
SAMPLE = "OsteoScreen/Resources/SampleData/OsteoScreenSimulatedCT.nrrd"
LEAST = "../shared/data/totalsegmentator-example"

COMMANDS: dict[str, How] = {
    # -- screening
    "python3 run.py demo": How(elsewhere="Testing/test_demo.py"),
    "python3 run.py test": How(elsewhere=".ci/run"),
    "python3 run.py test -k levels": How(elsewhere=".ci/run"),
    "python3 run.py screen CT -o OUT --l1=-812.5 --l2=-846": How(),
    "python3 run.py screen CT -o OUT --l1=auto --l2=auto": How(before=(inputs.abdominal_ct,)),
    "python3 run.py screen CT -o OUT --l1=-291.5 --l2=-330.7 --write dicom": How(),
    "python3 run.py screen CT -o OUT --l1=-291.5 --l2=-330.7 --write seg,sr,probability": How(),
    "osteoscreen screen CT -o OUT --l1=-291.5 --l2=-330.7 --write pdf,csv --write dicom": How(),
    "osteoscreen screen CT -o OUT --l1=-291.5 --l2=-330.7 --write all --with-identity": How(),
    "osteoscreen screen CT -o OUT --l1=-291.5 --l2=-330.7 --calibration FILE --earlier THEN/result.json "
    "--earlier THEN/sr.dcm": How(),
    "python3 run.py screen CT -o OUT --l1=-291.5 --l2=-330.7 --calibration calibration.json": How(),
    "python3 run.py screen ../shared/data/acrin-nsclc-fdg-pet-042/dicom -o OUT --l1=-291.5 --l2=-330.7": How(),
    # -- the tutorial
    f"python3 run.py screen {SAMPLE} -o OUT --l1=auto --l2=auto": How(),
    f"python3 run.py screen {SAMPLE} -o OUT --l1=auto --l2=auto --age 67 --sex F": How(process=True),
    'python3 run.py decide OUT --accept --by "A. Reader"': How(before=(inputs.sample_result,)),
    'python3 run.py decide OUT --correct --by "A. Reader" --l2=-442': How(before=(inputs.sample_result,)),
    f"python3 run.py screen {SAMPLE} -o OUT2 --l1=-412.2 --l2=-441.8 --age 67 --sex F --write pdf,csv": How(),
    # -- the reader's decision
    'osteoscreen decide OUT --accept --by "Dr. N. N." --comment "Both bodies whole"': How(before=(inputs.screened,)),
    'osteoscreen decide OUT --discard --by "Dr. N. N." --comment "Sclerosis of L2"': How(),
    'osteoscreen decide OUT --correct --by "Dr. N. N." --l2=-443': How(),
    'osteoscreen decide OUT --correct --by "Dr. N. N." --masks OUT/segmentation.seg.nrrd': How(
        before=(inputs.edited_outline,)
    ),
    # -- a PACS
    "osteoscreen pacs add hospital https://pacs.example.org/dicom-web": How(before=(inputs.pacs,)),
    "osteoscreen pacs login hospital": How(elsewhere=f"{ENGINE}test_pacs_trust.py"),
    "osteoscreen pacs find hospital --patient-id 4711 --modality CT": How(),
    "osteoscreen screen dicomweb:hospital/studies/STUDY_UID/series/SERIES_UID -o OUT --l1=-291.5 --l2=-330.7 "
    "--write dicom --send hospital": How(),
    "osteoscreen pacs fetch hospital STUDY_UID -o FOLDER": How(),
    "osteoscreen pacs send hospital OUT": How(),
    # -- many studies; test_batch_run.py and test_batch_cluster.py take their words from batch_archive.py
    "python3 run.py batch MANIFEST -o OUT": How(elsewhere=f"{ENGINE}batch_archive.py"),
    "python3 run.py batch MANIFEST -o OUT --workers 8 --suggest": How({"--workers 8": "--workers 1"}),
    "python3 run.py batch MANIFEST -o OUT --scheduler tcp://host:8786": How(elsewhere=f"{ENGINE}batch_archive.py"),
    # -- scores
    "python3 run.py simulate slices -o VAL --count 200 --seed 1000": How({"--count 200": "--count 4"}),
    f"python3 run.py evaluate segmentation --data VAL {TWO} --model vertebral-body-dcnn -o OUT --most 100": How(
        {TWO: LEAST}
    ),
    f"python3 run.py evaluate localisation --data {THREE} --model spine-localiser -o OUT --most 200": How(
        {THREE: LEAST, "--most 200": "--most 1"}
    ),
    # -- the study
    "python3 run.py simulate cohort -o COHORT --workers 2": How({"COHORT": "COHORT --count 8"}),
    "python3 run.py study --data COHORT -o STUDY": How(elsewhere=f"{TRAINING}test_study.py"),
    "python3 run.py study --data DATASET -o STUDY": How(elsewhere=f"{TRAINING}test_study.py"),
    # -- data sets
    "python3 run.py dataset check DATASET -o OUT": How(),
    "python3 run.py dataset build DATASET": How(),
    "python3 run.py dataset split DATASET": How(),
    "python3 run.py dataset export-slices CT --l1=-291.5 --l2=-330.8 --subject A -o SLICES": How(),
    "python3 run.py dataset import-qupath DRAWN.geojson --slices SLICES -o DATASET": How(),
    "python3 run.py dataset import-verse FOLDER -o DATASET --keep-split --workers 4": How(
        {"--workers 4": "--workers 1"}, before=(inputs.collection("verse"),)
    ),
    "python3 run.py dataset import-totalsegmentator FOLDER -o DATASET --keep-split": How(
        before=(inputs.collection("totalsegmentator"),)
    ),
    "python3 run.py dataset import-ctspine1k FOLDER -o DATASET --keep-split": How(
        before=(inputs.collection("ctspine1k"),)
    ),
    # -- simulating, training, scoring
    "python3 run.py simulate study -o OUT --seed 7 --bmd 95": How(),
    "python3 run.py simulate slices -o DATA --count 2000": How({"--count 2000": "--count 8"}),
    "python3 run.py simulate cohort -o COHORT": How({"COHORT": "COHORT --count 8"}),
    "python3 run.py simulate trunks -o TRUNKS --count 20": How({"--count 20": "--count 1"}),
    "python3 run.py train segmentation --data DATA -o RUN": trained("RUN", TINY_SEGMENTATION),
    "python3 run.py train segmentation --data DATASET -o RUN": trained("RUN", TINY_SEGMENTATION),
    "python3 run.py evaluate segmentation --data DATA --model RUN/bundle -o OUT2": How(),
    "python3 run.py evaluate segmentation --data VAL --model RUN/bundle -o OUT": How(),
    "python3 run.py train classification --data COHORT -o RUN2": How(
        elsewhere=f"{TRAINING}test_classification_training.py"
    ),
    "python3 run.py evaluate classification --data COHORT --model RUN2/bundle -o OUT3": How(
        elsewhere=f"{TRAINING}test_evaluation_classification.py"
    ),
    "python3 run.py train localisation --data STORE -o RUN3": trained("RUN3", TINY_LOCALISATION),
    "python3 run.py evaluate localisation --data CT --model RUN3/bundle -o OUT4 --most 200": How(
        {"--data CT ": f"--data {LEAST} ", "--most 200": "--most 1"}
    ),
    "python3 run.py models list": How(),
    "torchrun --standalone --nproc-per-node 4 -m OsteoScreenTrainingLib.cli.train segmentation --data DATASET -o RUN "
    "--preset study": How(elsewhere=f"{TRAINING}test_control_training.py"),
}
