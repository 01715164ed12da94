"""``osteoscreen evaluate``: score a bundle on annotated data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..evaluation.cases import SegmentationCase
    from ..evaluation.segmentation import SegmentationScore

NAME = "evaluate"
HELP = "Score a model bundle on annotated data: table, summary and pictures, worst first."

#: Options that one task alone takes.
_OF_ONE_TASK = {"compare": "segmentation", "split": "classification", "segmentation_model": "classification"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("task", choices=TASKS, help="what to evaluate")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="DATASET",
        help="segmentation: folders with annotated slices that the bundle was not trained on (a slice data set, a CT "
        "with outlines.json, or a CT with vertebral_bodies.nii.gz); classification: one data set of subjects; "
        "localisation: folders of real CT, besides --most simulated trunks",
    )
    parser.add_argument("--model", required=True, metavar="BUNDLE", help="name or folder of the bundle")
    parser.add_argument("--compare", metavar="BUNDLE", help="segmentation: a second bundle for the same slices")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for the results")
    parser.add_argument(
        "--most",
        type=int,
        default=200,
        metavar="N",
        help="segmentation: slices of each slice data set (0: all); localisation: simulated trunks (default 200)",
    )
    parser.add_argument(
        "--split", metavar="NAME", help="classification: the test subjects of this split; all included ones without it"
    )
    parser.add_argument(
        "--segmentation-model", metavar="BUNDLE|drawn",
        help="classification: whose outlines to use, or the drawn ones of the data set (default: the shipped bundle's)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, help="classification: processes that outline the slices")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def run(arguments: argparse.Namespace) -> int:
    """Score, write the files and print the summary; return the exit code."""
    from .evaluate_localisation import evaluate_localisation

    _refuse_options_of_others(arguments)
    tasks = {
        "segmentation": _segmentation, "classification": _classification, "localisation": evaluate_localisation,
    }  # fmt: skip
    return tasks[arguments.task](arguments)


def _refuse_options_of_others(arguments: argparse.Namespace) -> None:
    from OsteoScreenLib.errors import UsageError

    for name, task in _OF_ONE_TASK.items():
        if getattr(arguments, name) is not None and arguments.task != task:
            raise UsageError(f"--{name.replace('_', '-')} is an option of 'evaluate {task}'; leave it out.")


def _classification(arguments: argparse.Namespace) -> int:
    from OsteoScreenLib.chosen_bundles import segmentation_bundle
    from OsteoScreenLib.classification import Classifier
    from OsteoScreenLib.cli.console import ConsoleProgress
    from OsteoScreenLib.errors import UsageError
    from OsteoScreenLib.models import load_bundle

    from ..datasets.folder import DataSet
    from ..datasets.inclusion import include
    from ..datasets.predictions import predict_masks
    from ..datasets.splits import load_split
    from ..evaluation.classification_report import write_report
    from ..evaluation.classifying import classify_subjects

    if len(arguments.data) != 1:
        raise UsageError("A classification is evaluated on one data set; name one with --data.")
    bundle, data = load_bundle(arguments.model, "classification"), DataSet(arguments.data[0])
    subjects = include(data).included
    if arguments.split:
        test = set(load_split(data, arguments.split).parts["test"])
        subjects = [subject for subject in subjects if subject.subject in test]
    with ConsoleProgress() as progress:
        masks = None
        if arguments.segmentation_model != "drawn":
            outliner = segmentation_bundle(arguments.segmentation_model)
            masks = predict_masks(data, outliner, device=arguments.device, workers=arguments.workers, progress=progress)
        found = []
        for one in classify_subjects(data, subjects, Classifier(bundle, arguments.device), masks):
            found.append(one)
            progress("Classifying", len(found), len(subjects))
    summary = write_report(arguments.output, f"{bundle.name} {bundle.version}", found)
    _print_classification(summary)
    return 0


def _print_classification(summary: dict[str, Any]) -> None:
    print(f"{summary['bundle']} on {summary['subjects']} subjects ({summary['not_classified']} not classified):")
    for status, score in summary["score"]["classes"].items():
        auc, beside = score["auc"], summary["baseline"]["aucs"][status]["value"]
        test = summary["against_baseline"][status]
        print(
            f"  {status:13} AUC {auc['value']:.4f} ({auc['low']:.4f} to {auc['high']:.4f}); measured BMD {beside:.4f}, "
            f"P {test['p']:.3f}"
        )
    accuracies = (part["overall"]["accuracy"]["value"] for part in (summary["score"], summary["baseline"]))
    print("  accuracy {:.4f}; category of the measured BMD {:.4f}".format(*accuracies))


def _segmentation(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from OsteoScreenLib.models import load_bundle
    from OsteoScreenLib.segmentation import Segmenter

    from ..evaluation import segmentation_report as report
    from ..evaluation.segmentation import score_case, worst_first

    bundles = [load_bundle(name, "segmentation") for name in (arguments.model, arguments.compare) if name]
    segmenters = [Segmenter(bundle, arguments.device) for bundle in bundles]
    pairs: list[tuple[SegmentationScore, ...]] = []
    for case in tqdm(_cases(arguments), unit="slice", leave=False):
        pairs.append(tuple(score_case(segmenter, case) for segmenter in segmenters))
    order = {id(score): place for place, score in enumerate(worst_first([pair[0] for pair in pairs]))}
    pairs.sort(key=lambda pair: order[id(pair[0])])
    names = _distinct([f"{bundle.name} {bundle.version}" for bundle in bundles])
    scores = {name: [pair[number] for pair in pairs] for number, name in enumerate(names)}

    arguments.output.mkdir(parents=True, exist_ok=True)
    summary = _summary(scores, {name: bundle.sha256 for name, bundle in zip(names, bundles, strict=True)})
    report.write_table(arguments.output / "cases.csv", scores)
    report.write_summary(arguments.output / "summary.json", summary)
    report.write_sheet(arguments.output / "overlays.png", scores)
    _print(summary)
    return 0


def _cases(arguments: argparse.Namespace) -> list[SegmentationCase]:
    from OsteoScreenLib.errors import InputError

    from ..evaluation.cases import read_cases

    cases = [case for folder in arguments.data for case in read_cases(folder, arguments.most)]
    if not cases:
        raise InputError("The data hold no annotated slices.")
    return cases


def _distinct(names: list[str]) -> list[str]:
    return names if len(set(names)) == len(names) else [f"{name} ({i})" for i, name in enumerate(names, 1)]


def _summary(scores: dict[str, list[SegmentationScore]], hashes: dict[str, str]) -> dict[str, Any]:
    from ..evaluation import SCHEMA
    from ..evaluation.segmentation import compare

    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "task": "segmentation",
        "bundles": {name: {"sha256": hashes[name], "data": _by_data(own)} for name, own in scores.items()},
    }
    if len(scores) == 2:
        first, second = scores.values()
        places = dict.fromkeys(score.case.data for score in first)
        summary["comparison"] = {data: compare(_of(first, data), _of(second, data)) for data in places}
    return summary


def _of(scores: Sequence[SegmentationScore], data: str) -> list[SegmentationScore]:
    return [score for score in scores if score.case.data == data]


def _by_data(scores: Sequence[SegmentationScore]) -> dict[str, Any]:
    from ..evaluation.segmentation import summarise

    result = {}
    for data in dict.fromkeys(score.case.data for score in scores):
        own = _of(scores, data)
        levels = sorted({score.case.level for score in own if score.case.level})
        result[data] = {
            "kind": own[0].case.kind,
            **summarise(own),
            "levels": {level: summarise([s for s in own if s.case.level == level]) for level in levels},
        }
    return result


def _print(summary: dict[str, Any]) -> None:
    for name, bundle in summary["bundles"].items():
        for data, found in bundle["data"].items():
            print(f"{name} on {data} ({found['kind']}, {found['slices']} slices):")
            for measure, unit in (
                ("dsc", ""),
                ("hausdorff95_mm", " mm"),
                ("hu_error", " HU"),
                ("hu_absolute_error", " HU"),
            ):
                values = found[measure]
                if values:
                    print(
                        f"  {measure:18} {values['mean']:.3f} +/- {values['sd']:.3f}{unit}, "
                        f"{values['min']:.3f} to {values['max']:.3f}"
                    )
            if found["not_found"] or found["slices_without_body"]:
                print(
                    f"  not found {found['not_found']}; outlines where there is no body {found['false_outlines']} of "
                    f"{found['slices_without_body']}"
                )
