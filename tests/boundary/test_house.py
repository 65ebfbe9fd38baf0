"""The rules of the house that a tool can enforce."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "gateway"
KERNEL_ROOMS = {"masking", "upstream", "sql", "sessionlog", "evidence"}
#: What policies are worded in asks the kernel which detectors there are, and compiles patterns.
KERNEL_WORDS = {"treatments.py", "patterns.py"}
RUST_BUDGET = 800
PYTHON_BUDGET = 500
VERIFIER_BUDGET = 1000


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_rooms_keep_to_their_layers() -> None:
    found = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_some_rooms_import_the_kernel(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        if any(name.startswith("gateway._kernel") for name in names):
            typing_only = path.name == "statement.py" and room == "flows"
            assert room in KERNEL_ROOMS | KERNEL_WORDS or typing_only, f"{path} imports the kernel"


def test_files_stay_within_their_budget() -> None:
    too_long = []
    for path in [*python_files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "rust").rglob("*.rs")]:
        budget = RUST_BUDGET if path.suffix == ".rs" else PYTHON_BUDGET
        if path == PACKAGE / "auditor" / "verify.py":
            budget = VERIFIER_BUDGET
        lines = len(path.read_text().splitlines())
        if lines > budget:
            too_long.append(f"{path.relative_to(ROOT)}: {lines} lines, at most {budget}")
    assert not too_long, "\n".join(too_long)


def test_the_corridor_and_its_page_tell_the_same_steps() -> None:
    code = (PACKAGE / "flows" / "query.py").read_text()
    page = (ROOT / "docs" / "life-of-a-query.md").read_text()
    in_code = re.findall(r"^\s*# \((\d)\) ([a-z]+)", code, re.M)
    in_page = re.findall(r"^\*\*\((\d)\) ([a-z]+)", page, re.M)
    assert [number for number, _ in in_code] == [str(n) for n in range(1, 10)]
    assert in_code == in_page


def test_pure_crates_forbid_unsafe_code() -> None:
    for crate in ("pgcopy", "pgtree", "encode", "verify"):
        source = (ROOT / "rust" / crate / "src" / "lib.rs").read_text()
        assert "#![forbid(unsafe_code)]" in source, crate


def test_the_mask_crate_is_unsafe_in_its_engines_with_a_reason_for_each_block() -> None:
    sources = ROOT / "rust" / "mask" / "src"
    assert "#![deny(unsafe_code)]" in (sources / "lib.rs").read_text()
    unsafe = {
        path.relative_to(sources).as_posix(): blocks
        for path in sources.rglob("*.rs")
        if (blocks := re.findall(r"(.*)\n.*\bunsafe \{", path.read_text()))
    }
    assert set(unsafe) == {"detect/simd.rs", "detect/simd/avx512.rs", "detect/simd/neon.rs"}
    assert all("// SAFETY:" in before for blocks in unsafe.values() for before in blocks)


def test_the_binding_crate_has_three_unsafe_files_with_a_reason_for_each_block() -> None:
    sources = ROOT / "rust" / "py" / "src"
    assert "#![deny(unsafe_code)]" in (sources / "lib.rs").read_text()
    unsafe = {path.name for path in sources.glob("*.rs") if "unsafe {" in path.read_text()}
    assert unsafe == {"arrow_c.rs", "bytes.rs", "socket.rs"}
    for name in unsafe:
        text = (sources / name).read_text()
        for found in re.finditer(r"^.*\bunsafe \{", text, re.M):
            before = text[: found.start()].rstrip().splitlines()
            comment = [line.strip() for line in before[-4:]]
            assert any(line.startswith("// SAFETY:") for line in comment), found[0]


def test_nothing_names_this_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    wrong = []
    pattern = re.compile(r"/work/|/root/|files\.pythonhosted|pypi\.org|static\.crates\.io")
    for name in listed.stdout.split():
        path = ROOT / name
        if name in ("Cargo.lock", "tests/boundary/test_house.py") or not path.is_file():
            continue
        found = pattern.search(path.read_bytes().decode("utf-8", "replace"))
        if found:
            wrong.append(f"{name}: {found[0]}")
    assert not wrong, wrong


def test_a_package_is_pinned_in_one_place() -> None:
    """`make bench` installs by both files: two pins of one package and pip installs nothing."""
    pinned = [
        re.sub(r"[-_.]+", "-", line.split("==")[0].lower())
        for name in ("constraints.txt", "benchmarks/constraints.txt")
        for line in (ROOT / name).read_text().splitlines()
        if not line.startswith("#")
    ]
    assert sorted(pinned) == sorted(set(pinned))


def test_what_is_decided_once_a_shape_looks_at_nothing_that_a_shape_does_not_say() -> None:
    """Statements of one shape differ in their texts; of a grant only the tables are asked about."""
    texts = {"text", "server_text", "server_tree", "filled_text"}
    files = [*(PACKAGE / "policy").glob("*.py"), PACKAGE / "masking" / "plan.py"]
    asked = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                asked.add((node.value.id, node.attr))
    assert not {attribute for name, attribute in asked if name == "analysis"} & texts
    assert {attribute for name, attribute in asked if name == "grant"} == {"tables"}
