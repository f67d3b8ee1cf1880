"""What pyproject.toml cannot say: the files for `init`, and the page of the package index."""

import os
import re
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
TEMPLATES = ("config.yaml", ".env.example", "docs/errors.md")

RELATIVE = r"\]\((?!\w+:)([^)]+)\)"
INSTALL = """\
## Install

```bash
pip install stackspot-litellm
stackspot-litellm init
stackspot-litellm run
```

`init` writes `config.yaml` and `.env` to the folder, `run` starts the proxy. Without an account, a simulator answers.

"""


class BuildWithTemplates(build_py):
    """Copies the templates beside the modules, so that the repository holds each of them once."""

    def run(self) -> None:
        super().run()
        folder = Path(self.build_lib) / "custom_handler" / "templates"
        for name in TEMPLATES:
            self.mkpath(str(folder))
            self.copy_file(str(ROOT / name), str(folder / Path(name).name))


def index_page(readme: str, repository: str, version: str) -> str:
    """Return README.md as the package index can show it.

    The index resolves no relative link and draws no diagram. Links lead to the repository, at the
    tag of the version; without a repository's URL they become text, and relative images go.
    """
    text = re.sub(r"```mermaid\n.*?```\n\n", "", readme, flags=re.DOTALL)
    text = text.replace("## Highlights\n", f"{INSTALL}## Highlights\n", 1)
    if not repository:
        text = re.sub(rf"^\[?!\[.*{RELATIVE}\n", "", text, flags=re.MULTILINE)
        return re.sub(rf"\[([^\[\]]*){RELATIVE}", r"\1", text)

    def absolute(link: re.Match[str]) -> str:
        target = link[1]
        if target.startswith("#"):
            return f"]({repository}/blob/v{version}/README.md{target})"
        if target.startswith("../../"):  # relative to the page of the repository, as the badge of CI is
            return f"]({repository}/{target[6:]})"
        kind = "raw" if target.endswith((".png", ".svg")) else "blob"
        return f"]({repository}/{kind}/v{version}/{target})"

    return re.sub(RELATIVE, absolute, text)


def project_urls(repository: str, version: str) -> dict[str, str]:
    """Return the links beside the page of the package index."""
    documents = f"{repository}/blob/v{version}"
    return {
        "Source": repository,
        "Issues": f"{repository}/issues",
        "Documentation": f"{documents}/docs/quick-start.md",
        "Changelog": f"{documents}/CHANGELOG.md",
        "Upgrading": f"{documents}/docs/upgrading.md",
    }


if __name__ == "__main__":
    REPOSITORY = os.environ.get("REPOSITORY_URL", "").rstrip("/")  # the release workflow sets it
    INIT = (ROOT / "custom_handler" / "__init__.py").read_text(encoding="utf-8")
    VERSION = re.search(r'^__version__ = "(.+)"', INIT, re.MULTILINE)[1]
    setup(
        cmdclass={"build_py": BuildWithTemplates},
        long_description=index_page((ROOT / "README.md").read_text(encoding="utf-8"), REPOSITORY, VERSION),
        long_description_content_type="text/markdown",
        project_urls=project_urls(REPOSITORY, VERSION) if REPOSITORY else {},
    )
