"""The rooms of the house, and which of them may know of which: imports point one way.

Read from the source, every import statement wherever it stands. An arrow that is not written down here fails; so does one
that is written down and never used, lest this page say more than the house does.
"""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import dragoman

ROOT = Path(dragoman.__file__).parent

LEAVES = {"constraints", "errors", "graphs", "json_schema", "parts", "prefix"}
"""They import nothing of ours, and everybody may import them."""

ARROWS = {
    "worker_pool": set(),
    "schema_size": set(),
    "schema_validation": {"schema_size"},
    "limits": {"schema_size"},
    "wire": {"limits", "schema_validation"},
    "conversation": {"wire"},  # lowering, and what it lowers attachments by
    "dialects": {"conversation", "schema_validation"},
    "engines": {"conversation", "schema_size", "worker_pool"},  # `Sampling`
    "prompt": {"conversation", "dialects", "engines"},
    "generation": {"conversation", "dialects", "engines", "prompt", "schema_size", "schema_validation", "worker_pool"},
    "observe": {"conversation"},  # what a request holds, by kind
    "server": {"limits", "wire", "conversation", "dialects", "engines", "prompt", "generation", "observe", "worker_pool"},
    "cli": {
        "limits",
        "doctor",
        "dialects",
        "engines",
        "server",
        "wire",
        "conversation",
        "prompt",
        "generation",
        "observe",
        "worker_pool",
    },
    "doctor": set(),  # a stranger: it knows the wire, and nobody in the house
    "__main__": {"cli"},
}

ONLY_THERE = {
    ("conversation", "wire"): {
        "conversation/lowering.py",
        "conversation/server_tools.py",
        "conversation/chat.py",
        "conversation/attachments.py",
    },
    ("prompt", "engines"): {  # which spellings a tokenizer takes for control tokens, and what they look like
        "prompt/builder.py",
        "prompt/tokens.py",
        "prompt/shield.py",
    },
    ("cli", "generation"): {"cli/parse.py"},
    ("observe", "conversation"): {"observe/census.py"},
    **{("cli", room): {"cli/parse.py", "cli/render.py"} for room in ("wire", "conversation")},  # they look into all
    ("cli", "prompt"): {"cli/parse.py", "cli/render.py", "cli/detect.py"},  # the last shows what a template can do
}
"""Arrows that are drawn for one file of a room."""

ENGINE_ARROWS = {"llama": {"grammars"}, "remote": {"grammars"}}
"""Inside `engines`: all of its folders may know the files at its top, and those know no folder."""

THIRD_PARTY = {
    "pydantic": {"wire"},
    "pydantic_core": {"wire"},
    "jsonschema_rs": {"wire", "schema_validation", "doctor"},
    "llguidance": {"engines"},
    "jinja2": {"prompt"},
    "aiohttp": {"engines", "doctor"},
    "tokenizers": {"engines"},
    "xllamacpp": {"engines"},
    "prometheus_client": {"observe"},
    "starlette": {"server"},
    "uvicorn": {"cli", "server"},
    "click": {"cli"},
    "rich": {"cli"},
    "huggingface_hub": {"cli"},
}
"""The rooms that may know of a library; libraries that are not here may be known everywhere."""

SANS_IO = {"wire", "conversation", "dialects", "constraints", "json_schema", "parts", "prefix", "errors"}
IO = {"asyncio", "socket", "subprocess", "threading", "time", "aiohttp", "http.client", "urllib.request", "selectors", "signal"}
"""Modules that wait, look at a clock or talk to somebody: the rooms that think do none of that."""


def _room(path: Path) -> str:
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
    for path, module in _imports():
        package, _, rest = module.partition(".")
        if package == "dragoman":
            yield _room(path), rest.split(".")[0], path


ROOMS = {_room(path) for path in ROOT.rglob("*.py")} - {"__init__"}


def test_every_room_is_on_the_plan():
    assert set(ARROWS) | LEAVES == ROOMS


def test_imports_point_one_way():
    strangers = {
        f"{path.relative_to(ROOT)} imports {target}"
        for room, target, path in _arrows()
        if target in ROOMS
        and target != room
        and target not in ARROWS.get(room, set()) | (LEAVES if room not in LEAVES else set())
    }
    assert strangers == set()


def test_the_plan_shows_no_arrow_that_the_house_does_not_have():
    drawn = {(room, target) for room, targets in ARROWS.items() for target in targets}
    assert drawn - {(room, target) for room, target, _ in _arrows()} == set()


def test_an_arrow_that_is_for_one_file_is_used_by_no_other():
    used = {
        arrow: {str(path.relative_to(ROOT)) for room, target, path in _arrows() if (room, target) == arrow}
        for arrow in ONLY_THERE
    }
    assert used == ONLY_THERE


def test_engines_of_one_kind_know_nothing_of_the_other():
    folders = {path.parent.name for path in (ROOT / "engines").glob("*/__init__.py")}
    drawn = set()
    for path, module in _imports():
        target = module.removeprefix("dragoman.engines.").split(".")[0]
        if path.is_relative_to(ROOT / "engines") and target in folders - {path.parent.name}:
            drawn.add((path.parent.name, target))
    assert drawn == {(room, target) for room, targets in ENGINE_ARROWS.items() for target in targets}


def test_the_plan_has_no_circle():
    remaining = dict(ARROWS)
    while remaining:
        ground = {room for room, targets in remaining.items() if not targets & set(remaining)}
        assert ground, f"a circle among {sorted(remaining)}"
        remaining = {room: targets for room, targets in remaining.items() if room not in ground}


def test_a_library_is_known_to_its_rooms_only():
    strangers = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path, module in _imports()
        if (library := module.split(".")[0]) in THIRD_PARTY and _room(path) not in THIRD_PARTY[library]
    }
    assert strangers == set()


def test_the_rooms_that_think_neither_wait_nor_look_at_a_clock():
    strangers = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path, module in _imports()
        if _room(path) in SANS_IO and any(f"{module}.".startswith(f"{name}.") for name in IO)
    }
    assert strangers == set()


def test_families_are_values():
    """No family brings code of its own: what it is made of comes from the spec and the dialect (design: dialects are data)."""
    for path in (ROOT / "dialects" / "families").glob("*.py"):
        kinds = {type(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))}
        assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.For, ast.While}, path
