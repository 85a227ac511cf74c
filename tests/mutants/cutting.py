"""Takes one clause out of the running program: the text of one function or one module-level value is changed, compiled
again, and put in the place of the old one everywhere, whoever holds it.

For a process of its own: nothing is put back.
"""

from __future__ import annotations
import __future__

import ast
import gc
import importlib
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Protocol

from remediator.guardrails import order
from remediator.remediation import decide


class Stale(Exception):
    """The program is not any more what a mutant was written for."""


class Change(Protocol):
    """One change of the program. `check` and `apply` raise: Stale."""

    def check(self) -> None:
        """Whether it can be applied, without doing it."""
        ...

    def apply(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Cut:
    """In `where` (`module:Class.method`, `module:function` or `module:NAME`) the text `old`, which is there once, is
    `new` instead. Without `old` the whole body of the function is. `again`: values (`module:NAME`) to be made again
    from what was changed, such as statements that were put together at import. Texts are as if their function began at
    the margin.
    """

    where: str
    old: str
    new: str
    again: tuple[str, ...] = ()

    def check(self) -> None:
        module, name = _parted(self.where)
        _compiled(module, self._changed(*_found(module, name)))
        for value in self.again:
            _found(*_parted(value))

    def apply(self) -> None:
        module, name = _parted(self.where)
        node, source = _found(module, name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _swap(module, name, self._changed(node, source))
        else:
            _make(module, self._changed(node, source))
        for value in self.again:
            again = _parted(value)
            _make(again[0], _text(*_found(*again)))

    def _changed(self, node: ast.stmt, source: str) -> str:
        text = _text(node, source)
        if self.old:
            if text.count(self.old) != 1:
                raise Stale(f"{self.where}: {self.old!r} is there {text.count(self.old)} times")
            return text.replace(self.old, self.new)
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        return f"{ast.unparse(_without_body(node)).rsplit('...', 1)[0]}{self.new}"


@dataclass(frozen=True, slots=True)
class Unwired:
    """A guardrail that nobody asks."""

    guard: str

    def check(self) -> None:
        if self.guard not in {guard.name for guard in order.ORDER}:
            raise Stale(f"no guardrail is called {self.guard}")
        if order.ORDER not in (order.evaluate.__defaults__ or ()):
            raise Stale("evaluate does not take ORDER by itself any more")

    def apply(self) -> None:
        self.check()
        left = tuple(guard for guard in order.ORDER if guard.name != self.guard)
        defaults = order.evaluate.__defaults__ or ()
        order.evaluate.__defaults__ = tuple(left if d is order.ORDER else d for d in defaults)


@dataclass(frozen=True, slots=True)
class NoRow:
    """A transition that the table does not know. `start` is the beginning of the names of exactly so many rows."""

    start: str
    rows: int = 1

    def check(self) -> None:
        gone = self._gone()
        if len(gone) != self.rows:
            raise Stale(f"{len(gone)} rows of the table begin with {self.start!r}: {sorted(gone)}")

    def _gone(self) -> set[str]:
        return {rule.name for rules in decide._INDEX.values() for rule in rules if rule.name.startswith(self.start)}

    def apply(self) -> None:
        self.check()
        gone = self._gone()
        for key, rules in decide._INDEX.items():
            decide._INDEX[key] = [rule for rule in rules if rule.name not in gone]


def _parted(where: str) -> tuple[ModuleType, str]:
    module, _, name = where.partition(":")
    return importlib.import_module(module), name


def _found(module: ModuleType, name: str) -> tuple[ast.stmt, str]:
    """The statement that defines a name, and the text of its module. Raises: Stale."""
    source = Path(inspect.getfile(module)).read_text(encoding="utf-8")
    body: list[ast.stmt] = ast.parse(source).body
    node: ast.stmt | None = None
    for part in name.split("."):
        node = next((n for n in body if part in _names(n)), None)
        if node is None:
            raise Stale(f"{module.__name__} has no {name}")
        body = getattr(node, "body", [])
    assert node is not None
    return node, source


def _names(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from (t.id for t in targets if isinstance(t, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case _:
            return


def _text(node: ast.stmt, source: str) -> str:
    """As it is written, moved to the margin."""
    lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[margin:] if line[:margin].isspace() or not line.strip() else line for line in lines)


def _without_body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    node.body = [ast.Expr(ast.Constant(...))]
    node.decorator_list = []
    return node


def _compiled(module: ModuleType, text: str) -> CodeType:
    flags = __future__.annotations.compiler_flag if hasattr(module, "annotations") else 0
    return compile(text, f"<mutant of {module.__name__}>", "exec", flags=flags, dont_inherit=True)


def _make(module: ModuleType, text: str) -> None:
    """Run an assignment of a module again; whoever has the old value under its name gets the new one."""
    (name, *_) = _names(ast.parse(text).body[0])
    old = vars(module)[name]
    exec(_compiled(module, text), vars(module))
    new = vars(module)[name]
    for other in _modules():
        for held, value in list(vars(other).items()):
            if value is old and held == name:
                setattr(other, held, new)


def _modules() -> list[ModuleType]:
    return [m for n, m in list(sys.modules.items()) if n.startswith(("remediator", "tests")) and m is not None]


def _swap(module: ModuleType, name: str, text: str) -> None:
    """Another code for a function, its inner functions included, and for everything that was made from it."""
    old = inspect.unwrap(_member(module, name)).__code__
    new = _code_of(_compiled(module, text), name.rpartition(".")[2])
    pairs = dict(_pairs(old, new))
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__ in pairs:
            function.__code__ = pairs[function.__code__]
    if inspect.unwrap(_member(module, name)).__code__ is not new:
        raise Stale(f"{module.__name__}:{name} cannot be replaced")


def _member(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
        found = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        found = found.fget if isinstance(found, property) else found
    return found


def _code_of(code: CodeType, name: str) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and constant.co_name == name:
            return constant
    raise Stale(f"no code for {name}")


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """A function's code and those of its inner functions, old and new."""
    yield old, new
    inner = [c for c in new.co_consts if isinstance(c, CodeType)]
    for constant in old.co_consts:
        if isinstance(constant, CodeType):
            same = [c for c in inner if c.co_name == constant.co_name and c.co_freevars == constant.co_freevars]
            if same:
                yield from _pairs(constant, same[0])
