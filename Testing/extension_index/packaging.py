"""Checks of what CMake packages, by a real configure run: each returns what is wrong, in sentences."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .extension import Extension, NotChecked

# Stands for Slicer's own CMake code: takes the lists down, as far as a configure run goes.
_STAND_IN = """
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    file(APPEND "${CMAKE_BINARY_DIR}/packaged.txt" "${MY_NAME}|${file}\\n")
  endforeach()
endmacro()
macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT" "" ${ARGN})
  file(RELATIVE_PATH path "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}/${MY_SCRIPT}")
  file(APPEND "${CMAKE_BINARY_DIR}/tests.txt" "${path}\\n")
endmacro()
"""


@dataclass(frozen=True)
class Configured:
    """What CMake was told: per module the files to package, in the order of the lists, and the tests."""

    packaged: dict[str, list[str]]
    tests: list[str]


def configure(extension: Extension) -> Configured:
    """Configure the extension with real CMake against a stand-in of Slicer's macros.

    Raises NotChecked without CMake; RuntimeError with CMake's own message where it fails.
    """
    cmake = shutil.which("cmake")
    if cmake is None:
        raise NotChecked("it takes cmake")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "use.cmake").write_text(_STAND_IN, encoding="utf-8")
        (folder / "nothing.cmake").write_text("", encoding="utf-8")
        there = folder.as_posix()
        (folder / "SlicerConfig.cmake").write_text(
            f'set(Slicer_USE_FILE "{there}/use.cmake")\n'
            f'set(Slicer_EXTENSION_GENERATE_CONFIG "{there}/nothing.cmake")\n'
            f'set(Slicer_EXTENSION_CPACK "{there}/nothing.cmake")\n',
            encoding="utf-8",
        )
        build = folder / "build"
        command = [cmake, "-S", str(extension.root), "-B", str(build), f"-DSlicer_DIR={there}", "-DBUILD_TESTING=ON"]
        # No compiler is needed for Python, and none may be there: CMake is told not to look at what stands for it.
        for language in ("C", "CXX"):
            command += [f"-DCMAKE_{language}_COMPILER={Path(sys.executable).as_posix()}"]
            command += [f"-DCMAKE_{language}_COMPILER_{what}=1" for what in ("FORCED", "ID_RUN", "WORKS")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        packaged: dict[str, list[str]] = {}
        for line in (build / "packaged.txt").read_text(encoding="utf-8").splitlines():
            module, _, file = line.partition("|")
            packaged.setdefault(module, []).append(file)
        return Configured(packaged, (build / "tests.txt").read_text(encoding="utf-8").splitlines())


def cmake_lists(extension: Extension) -> list[str]:
    """Every file of the modules is listed once and exists, no two modules name one file, and every test is run."""
    try:
        configured = configure(extension)
    except RuntimeError as error:
        return [f"CMake cannot configure the extension: {error}"]
    problems = []
    for module in extension.modules:
        listed, there = configured.packaged.get(module, []), _to_package(extension, module)
        problems += [f"{module}/CMakeLists.txt does not list {file}." for file in sorted(there - set(listed))]
        problems += [f"{module}/CMakeLists.txt lists {file}, which is not there." for file in set(listed) - there]
        problems += [f"{module}/CMakeLists.txt lists {file} twice." for file, n in Counter(listed).items() if n > 1]
    # Slicer installs all modules of an extension into one folder: of two files with one path, one is lost.
    everywhere = Counter(file for files in configured.packaged.values() for file in set(files))
    problems += [f"Two modules package {file}; one would replace the other." for file, n in everywhere.items() if n > 1]
    tests = {name for name in extension.files if "/Testing/Slicer/" in name and name.endswith("Test.py")}
    problems += [f"CMake does not run {name}." for name in sorted(tests - set(configured.tests))]
    return problems + [f"CMake runs {name}, which is not there." for name in set(configured.tests) - tests]


def _to_package(extension: Extension, module: str) -> set[str]:
    """Return what an installed module has to hold, relative to its folder: all but what its tests and CMake need."""
    own = [name.partition("/")[2] for name in extension.files if name.startswith(f"{module}/")]
    return {name for name in own if not name.startswith("Testing/") and name != "CMakeLists.txt"}
