"""What the pages promise exists: commands, configuration, links, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import config, errors
from gateway.cli import app
from gateway.patterns import Definitions
from gateway.policy import Policy

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.M | re.S)
    return [text for named, text in fenced if named == language]


def commands() -> list[list[str]]:
    """Every `maskgate …` line of the README, as its command words."""
    found = []
    for block in blocks(ROOT / "README.md", ""):
        for line in block.splitlines():
            if line.startswith("maskgate "):
                words = line.split()[1:3]
                found.append(words if words[0] in ("evidence", "grants", "sessions") else words[:1])
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_of_the_readme_exists(words: list[str]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0, shown.output


def test_the_readme_shows_commands() -> None:
    assert len(commands()) >= 5


def test_the_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "README.md", "toml")
    path = tmp_path / "maskgate.toml"
    path.write_text(block)
    loaded = config.load(path)
    assert Policy("clinic", loaded.connections["clinic"].columns).text


def test_the_rules_of_the_policy_page_load(tmp_path: Path) -> None:
    import tomllib

    rules, own = blocks(ROOT / "docs" / "policy.md", "toml")
    columns = tomllib.loads(rules)["connections"]["clinic"]["columns"]
    (tmp_path / "staff.txt").write_text("Anna Berg\n")
    definitions = Definitions.parse(**tomllib.loads(own), folder=tmp_path)
    assert definitions.labels == ("[STUDY]", "[NAME]")
    assert Policy("clinic", columns, definitions=definitions).text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z0-9-]+)", page.read_text(), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_the_operating_page_lists_every_code_with_its_status() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    listed = {
        (code, int(status))
        for codes, status in re.findall(r"^\| (`.*?`) \| (\d{3}) \|", page, re.M)
        for code in re.findall(r"`(\w+)`", codes)
    }
    classes = [errors.MaskgateError]
    for found in classes:
        classes += found.__subclasses__()
    known = {
        (found.code, found.status)
        for found in classes
        if found not in (errors.Refusal, errors.Failure, errors.ConfigurationError)
    }
    assert listed == known
