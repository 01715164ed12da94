"""CMake packages what lies in the folders: a file that is not listed would be missing in the installed module."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODULES = ("OsteoScreen", "OsteoScreenTraining")

# Stands for Slicer's own CMake code: takes the lists down, as far as a configure run goes.
STAND_IN = """
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "no file ${file}")
    endif()
    file(APPEND "${CMAKE_BINARY_DIR}/${MY_NAME}.txt" "${file}\\n")
  endforeach()
endmacro()
macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT" "" ${ARGN})
  file(APPEND "${CMAKE_BINARY_DIR}/tests.txt" "${CMAKE_CURRENT_SOURCE_DIR}/${MY_SCRIPT}\\n")
endmacro()
"""


@pytest.fixture(scope="module")
def configured(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configure the extension with real CMake against a stand-in of Slicer's macros; returns the build folder."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not on this machine")
    folder = tmp_path_factory.mktemp("cmake")
    (folder / "use.cmake").write_text(STAND_IN)
    (folder / "nothing.cmake").write_text("")
    (folder / "SlicerConfig.cmake").write_text(
        f'set(Slicer_USE_FILE "{folder}/use.cmake")\n'
        f'set(Slicer_EXTENSION_GENERATE_CONFIG "{folder}/nothing.cmake")\n'
        f'set(Slicer_EXTENSION_CPACK "{folder}/nothing.cmake")\n'
    )
    build = folder / "build"
    command = [cmake, "-S", str(repository), "-B", str(build), f"-DSlicer_DIR={folder}", "-DBUILD_TESTING=ON"]
    # No compiler is needed for Python, and none may be there.
    done = subprocess.run([*command, "-DCMAKE_C_COMPILER_WORKS=1", "-DCMAKE_CXX_COMPILER_WORKS=1"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return build


@pytest.mark.parametrize("name", MODULES)
def test_every_file_of_the_module_is_listed_once(configured: Path, repository: Path, name: str) -> None:
    listed = (configured / f"{name}.txt").read_text().split()
    module = repository / name
    packaged = [module / f"{name}.py"]
    for folder in (f"{name}Lib", f"{name}SlicerLib", "Resources"):
        found = (path for path in (module / folder).rglob("*") if path.is_file())
        packaged += [path for path in found if "__pycache__" not in path.parts]
    assert sorted(listed) == sorted(path.relative_to(module).as_posix() for path in packaged)


def test_every_test_of_the_modules_runs_in_slicer(configured: Path, repository: Path) -> None:
    registered = [Path(line) for line in (configured / "tests.txt").read_text().split()]
    there = [path for name in MODULES for path in (repository / name / "Testing" / "Slicer").glob("*Test.py")]
    assert sorted(registered) == sorted(there)


def test_the_extension_names_its_dependency_and_icon(repository: Path) -> None:
    text = (repository / "CMakeLists.txt").read_text()
    assert re.search(r'^set\(EXTENSION_DEPENDS "PyTorch"\)$', text, re.MULTILINE)
    icon = re.search(r'^set\(EXTENSION_ICONURL "https://\S+/(OsteoScreen/Resources/\S+)"\)$', text, re.MULTILINE)
    assert icon and (repository / icon[1]).is_file()
