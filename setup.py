"""Which folders of the repository become which packages.

Two things keep this out of pyproject.toml: the libraries lie in the folders of their Slicer modules, and the shipped
model bundles lie in the module's Resources, where Slicer installs them, yet have to travel in the wheel too: there
they are the data of the package ``OsteoScreenLib.shipped_models``.
"""

from pathlib import Path

from setuptools import find_packages, setup

LIBRARIES = {
    "OsteoScreenLib": "OsteoScreen",
    "OsteoScreenTrainingLib": "OsteoScreenTraining",
}

packages = [
    package
    for library, module_folder in LIBRARIES.items()
    for package in find_packages(module_folder, include=[library, f"{library}.*"])
]
package_dir = {library: f"{module_folder}/{library}" for library, module_folder in LIBRARIES.items()}

MODELS = "OsteoScreen/Resources/Models"
if Path(MODELS).is_dir():
    packages.append("OsteoScreenLib.shipped_models")
    package_dir["OsteoScreenLib.shipped_models"] = MODELS

setup(packages=packages, package_dir=package_dir)
