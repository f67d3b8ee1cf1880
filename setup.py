"""Put config.yaml and .env.example into the package, for `stackspot-litellm init`."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
TEMPLATES = ("config.yaml", ".env.example")


class BuildWithTemplates(build_py):
    """Copies the templates beside the modules, so that the repository holds each of them once."""

    def run(self) -> None:
        super().run()
        folder = Path(self.build_lib) / "custom_handler" / "templates"
        for name in TEMPLATES:
            self.mkpath(str(folder))
            self.copy_file(str(ROOT / name), str(folder / name))


setup(cmdclass={"build_py": BuildWithTemplates})
