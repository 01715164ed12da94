"""``osteoscreen simulate``: simulated CT with known truth, as labelled slices, a study, a cohort, or trunks."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "simulate"
HELP = "Simulate CT with known truth: labelled slices to train on, a whole study, a cohort of subjects, or trunks."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be simulated, each with its options."""
    kinds = parser.add_subparsers(title="what to simulate", metavar="WHAT", dest="what", required=True)
    study = kinds.add_parser("study", help="one chest CT, T10 to L3, as a DICOM series with its truth")
    study.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the folder to write to")
    study.add_argument("--seed", type=int, default=1, help="another seed is another person (default: %(default)s)")
    study.add_argument("--bmd", type=float, metavar="MG_CM3", help="BMD of L1, mg/cm3 of CaHA (default: by the seed)")
    slices = kinds.add_parser("slices", help="labelled axial slices, T10 to L3, and a contact sheet of them")
    slices.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the folder to write to")
    slices.add_argument("--count", type=int, default=1000, help="how many (default: %(default)s)")
    slices.add_argument("--seed", type=int, default=1, help="the same seed gives the same slices (default: 1)")
    slices.add_argument("--workers", type=int, default=1, help="processes at work (default: %(default)s)")
    cohort = kinds.add_parser("cohort", help="subjects after the paper's Tables 1 and 2, with a QCT reference")
    cohort.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the folder to write to")
    cohort.add_argument(
        "--count", type=int, default=1048, help="subjects to include; the excluded come on top (default: %(default)s)"
    )
    cohort.add_argument("--seed", type=int, default=1, help="the same seed gives the same cohort (default: 1)")
    cohort.add_argument(
        "--reference-sd", type=float, default=10.0, metavar="MG_CM3",
        help="SD of the reference's own error in mg/cm3 (default: %(default)s)",
    )  # fmt: skip
    cohort.add_argument(
        "--dicom", type=int, default=0, metavar="N", help="write the CT of the first N subjects too, 24 MB each"
    )
    cohort.add_argument("--workers", type=int, default=1, help="processes at work (default: %(default)s)")
    trunks = kinds.add_parser("trunks", help="trunks in 3D, neck or chest to pelvis, with every vertebra's name")
    trunks.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the folder to write to")
    trunks.add_argument("--count", type=int, default=100, help="how many (default: %(default)s)")
    trunks.add_argument("--seed", type=int, default=1, help="the same seed gives the same trunks (default: 1)")
    trunks.add_argument("--spacing", type=float, default=3.0, metavar="MM", help="of the voxels (default: %(default)s)")
    trunks.add_argument("--region", help="one kind of view only, such as chest or abdomen (default: all kinds)")
    trunks.add_argument("--format", default="nrrd", help="nrrd or nifti (default: %(default)s)")
    trunks.add_argument("--workers", type=int, default=1, help="processes at work (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Simulate what was asked for; returns 0."""
    return {"study": _study, "slices": _slices, "cohort": _cohort, "trunks": _trunks}[arguments.what](arguments)


def _study(arguments: argparse.Namespace) -> int:
    from OsteoScreenLib.cli.console import ConsoleProgress

    from ..simulation.study import simulate_study

    with ConsoleProgress() as progress:
        study = simulate_study(arguments.output, arguments.seed, bmd_mg_cm3=arguments.bmd, progress=progress)
    print(f"{study.truth['slices']} slices in {study.series}\ntruth in {study.truth_file}")
    return 0


def _slices(arguments: argparse.Namespace) -> int:
    import numpy as np

    from OsteoScreenLib.cli.console import ConsoleProgress
    from OsteoScreenLib.errors import UsageError

    from ..simulation.contact_sheet import write_contact_sheet
    from ..simulation.slices import write_slices

    if arguments.count < 1 or arguments.workers < 1:
        raise UsageError("--count and --workers take a whole number from 1 on.")
    folder = arguments.output
    if folder.exists() and (not folder.is_dir() or (folder / "dataset.json").exists()):
        raise UsageError(f"{folder} exists already; name a new folder with -o.")
    with ConsoleProgress() as progress:
        write_slices(folder, arguments.count, arguments.seed, workers=arguments.workers, progress=progress)
    sheet = folder / "contact-sheet.png"
    images, masks = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "masks"))
    write_contact_sheet(images, masks, sheet)
    print(f"{arguments.count} slices in {folder}\ncontact sheet in {sheet}")
    return 0


def _cohort(arguments: argparse.Namespace) -> int:
    import numpy as np

    from OsteoScreenLib.cli.console import ConsoleProgress

    from ..simulation.cohort import CohortRequest, write_cohort
    from ..simulation.contact_sheet import write_contact_sheet

    folder = arguments.output
    request = CohortRequest(
        count=arguments.count,
        seed=arguments.seed,
        reference_sd=arguments.reference_sd,
        dicom=arguments.dicom,
        workers=arguments.workers,
    )
    with ConsoleProgress() as progress:
        write_cohort(folder, request, progress)
    sheet = folder / "contact-sheet.png"
    images, masks = (np.load(folder / "slices" / f"{name}.npy", mmap_mode="r") for name in ("images", "masks"))
    write_contact_sheet(images, masks, sheet)
    print(f"{arguments.count} simulated subjects, and those to exclude, in {folder}\ncontact sheet in {sheet}")
    return 0


def _trunks(arguments: argparse.Namespace) -> int:
    from OsteoScreenLib.cli.console import ConsoleProgress

    from ..simulation.trunk3d.writing import SHEET, TrunkRequest, write_trunks

    request = TrunkRequest(
        count=arguments.count,
        seed=arguments.seed,
        spacing_mm=arguments.spacing,
        region=arguments.region,
        format=arguments.format,
        workers=arguments.workers,
    )
    with ConsoleProgress() as progress:
        write_trunks(arguments.output, request, progress)
    print(f"{arguments.count} trunks in {arguments.output}\ncontact sheet in {arguments.output / SHEET}")
    return 0
