"""The packages, and which of them may import which: imports point one way.

Read from the source, every import statement wherever it stands. An import that this table does not allow fails, and so does
one that the table allows and no module uses.
"""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import dragoman

ROOT = Path(dragoman.__file__).parent

LEAVES = {"child_process", "container", "conversation", "errors", "kept", "parts", "prefix", "special_tokens", "toml_tables"}
"""They import nothing of ours, and every other package may import them."""

ALLOWED: dict[str, set[str]] = {
    "json_schema": set(),
    "worker_pool": set(),
    "models": set(),
    "media": {"limits", "worker_pool"},
    "storage": set(),
    "server_tools": {"json_schema", "limits", "media", "worker_pool"},
    "doctor": set(),  # it examines any server from outside
    "limits": {"json_schema"},
    "constraints": {"json_schema", "worker_pool"},
    "dialects": {"constraints", "json_schema"},
    "engines": {"constraints", "models"},
    "prompt": {"dialects", "json_schema"},
    "inspection": {"prompt", "dialects"},
    "observability": {"prompt"},
    "api": {"limits", "json_schema"},
    "generation": {"server_tools", "prompt", "dialects", "engines", "constraints", "json_schema", "worker_pool"},
    "plugins": {"dialects", "engines"},
    "public": {"dialects", "engines", "plugins", "server"},
    "server": {
        "server_tools",
        "storage",
        "api",
        "generation",
        "inspection",
        "media",
        "observability",
        "prompt",
        "dialects",
        "engines",
        "constraints",
        "limits",
        "worker_pool",
    },
    "cli": {
        "server",
        "server_tools",
        "api",
        "generation",
        "inspection",
        "media",
        "models",
        "plugins",
        "observability",
        "prompt",
        "dialects",
        "engines",
        "doctor",
        "limits",
        "storage",
        "worker_pool",
    },
    "__main__": {"cli"},
    "__init__": {"public"},
}

SUBFOLDERS: dict[str, dict[str, set[str]]] = {
    "api": {},
    "engines": {},
    "server": {
        "__init__.py": {"models"},
        "capture.py": {"transport"},
        "app.py": {"access", "batches", "endpoints", "files", "kept_requests", "models", "page"},
        "middleware.py": {"access", "kept_requests", "models", "page", "transport"},
        "batches": {"access", "answering", "endpoints", "files", "models", "transport"},
        "files": {"access", "transport"},
        "kept_requests": {"access", "answering", "models", "transport"},
        "endpoints": {"access", "answering", "models", "transport"},
        "answering": {"models", "transport"},
        "models": {"access", "transport"},
        "transport": {"access"},
    },
}
"""Inside a package: which of its folders, and of the files at its top, import which folder."""

THIRD_PARTY = {
    "pydantic": {"api"},
    "pydantic_core": {"api"},
    "jsonschema_rs": {"api", "json_schema", "doctor"},
    "llguidance": {"constraints"},
    "jinja2": {"prompt"},
    "aiohttp": {"engines", "doctor", "media", "server", "server_tools"},
    "PIL": {"media"},
    "pypdfium2": {"media"},
    "tokenizers": {"models"},
    "xllamacpp": {"engines"},
    "prometheus_client": {"observability"},
    "starlette": {"server", "public"},
    "uvicorn": {"cli", "server"},
    "click": {"cli"},
    "rich": {"cli"},
    "huggingface_hub": {"models"},
    "psutil": {"engines", "models"},
    "opentelemetry": {"observability"},
    "psycopg": {"storage"},
    "obstore": {"storage"},
}
"""The packages that may import a library; libraries that are not here may be imported everywhere."""

SANS_IO = {"api", "conversation", "dialects", "json_schema", "parts", "prefix", "errors"}
IO = {"asyncio", "socket", "subprocess", "threading", "time", "aiohttp", "http.client", "urllib.request", "selectors", "signal"}
"""Modules that wait, look at a clock or use the network: the packages of `SANS_IO` import none of them."""


def _package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def _imports() -> Sequence[tuple[Path, str]]:
    """Every module that a file of ours imports, by its full name."""
    return list(_read())


def _read() -> Iterator[tuple[Path, str]]:
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports name their module in full"
                assert node.module is not None
                # `from dragoman import dialects` imports a room
                yield from ((path, f"{node.module}.{alias.name}") for alias in node.names)


def _arrows() -> Iterator[tuple[str, str, Path]]:
    """Importing package, imported package, importing file."""
    for path, module in _imports():
        ours, _, rest = module.partition(".")
        if ours == "dragoman":
            yield _package(path), rest.split(".")[0], path


PACKAGES = {_package(path) for path in ROOT.rglob("*.py")}


def test_every_package_is_in_the_table() -> None:
    assert set(ALLOWED) | LEAVES == PACKAGES


def test_imports_point_one_way() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {target}"
        for package, target, path in _arrows()
        if target in PACKAGES
        and target != package
        and target not in ALLOWED.get(package, set()) | (LEAVES if package not in LEAVES else set())
    }
    assert wrong == set()


def test_the_table_allows_no_import_that_is_not_used() -> None:
    allowed = {(package, target) for package, targets in ALLOWED.items() for target in targets}
    assert allowed - {(package, target) for package, target, _ in _arrows()} == set()


def test_imports_between_the_folders_of_a_package_are_in_the_table() -> None:
    for package, allowed in SUBFOLDERS.items():
        folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        used = {
            (path.relative_to(ROOT / package).parts[0], target)
            for path, module in _imports()
            if path.is_relative_to(ROOT / package)
            and (target := module.removeprefix(f"dragoman.{package}.").split(".")[0]) in folders
            and target != path.relative_to(ROOT / package).parts[0]
        }
        assert used == {(folder, target) for folder, targets in allowed.items() for target in targets}


def test_the_table_has_no_circle() -> None:
    remaining = dict(ALLOWED)
    while remaining:
        lowest = {package for package, targets in remaining.items() if not targets & set(remaining)}
        assert lowest, f"a circle among {sorted(remaining)}"
        remaining = {package: targets for package, targets in remaining.items() if package not in lowest}


def test_a_library_is_imported_by_its_packages_only() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path, module in _imports()
        if (library := module.split(".")[0]) in THIRD_PARTY and _package(path) not in THIRD_PARTY[library]
    }
    assert wrong == set()


def test_packages_without_io_neither_wait_nor_look_at_a_clock() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path, module in _imports()
        if _package(path) in SANS_IO and any(f"{module}.".startswith(f"{name}.") for name in IO)
    }
    assert wrong == set()


def test_families_are_values() -> None:
    """A family has no code of its own: it is made of the values of the spec (design: dialects are data)."""
    for path in (ROOT / "dialects" / "families").glob("*.py"):
        kinds = {type(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))}
        assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.For, ast.While}, path
