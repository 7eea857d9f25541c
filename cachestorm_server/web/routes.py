"""The routes: each path of the endpoint, declared once with its parameters and answers.

Methods of the endpoint's parts declare themselves by `serves`; the endpoint collects them,
finds the one that a request is for, and reads its parameters by the declaration. The OpenAPI
document is made of the same facts.

1. A path is a template; `{name}` stands for one segment, decoded from its escapes alone: a
   slash in a name is `%2F`.
2. A parameter that is not declared, comes twice or is out of range is refused, never ignored.
3. Names are of any bytes, as keys are: escapes that are not UTF-8 are kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, cast
from urllib.parse import unquote_to_bytes

from aiohttp import web

from cachestorm.codec import bytes_of, text_of
from cachestorm.errors import ArgumentError

STRING: Final = "string"
INTEGER: Final = "integer"
NUMBER: Final = "number"
BOOLEAN: Final = "boolean"

_TRUE: Final = frozenset({"true", "1", "yes", "on", ""})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_LONGEST_NUMBER: Final = 18


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a path takes beside its segments.

    Attributes:
        text: what it is for, in a sentence.
        kind: STRING, INTEGER, NUMBER or BOOLEAN; a number is read by its handler.
        header: it is a header; else it is in the query.
        repeats: it may be given many times.
        least, most: of an integer.
        default: of an integer that is left out.
    """

    name: str
    text: str
    kind: str = STRING
    header: bool = False
    repeats: bool = False
    least: int = 0
    most: int = 10**_LONGEST_NUMBER - 1
    default: int = 0


class Query:
    """The parameters of one request, as its route declares them."""

    def __init__(self, declared: tuple[Parameter, ...], found: dict[str, list[str]]) -> None:
        self._declared: Final = declared
        self._found: Final = found

    def __bool__(self) -> bool:
        """Whether any is given."""
        return bool(self._found)

    def text(self, name: str) -> str | None:
        """A parameter; None if it was left out."""
        found = self._found.get(name)
        return None if found is None else found[0]

    def texts(self, name: str) -> list[str]:
        """One that repeats."""
        return self._found.get(name, [])

    def flag(self, name: str) -> bool:
        """Whether it is given, and not as false.

        Raises:
            ArgumentError: if it is neither true nor false.
        """
        text = self.text(name)
        if text is None or text.lower() in _FALSE:
            return False
        if text.lower() in _TRUE:
            return True
        raise ArgumentError(f"{name} is true or false")

    def number(self, name: str) -> int:
        """An integer, or its default.

        Raises:
            ArgumentError: if it is none, or out of range.
        """
        declared = next(each for each in self._declared if each.name == name)
        text = self.text(name)
        if text is None:
            return declared.default
        is_number = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
        if is_number and declared.least <= int(text) <= declared.most:
            return int(text)
        raise ArgumentError(f"{name} is a number from {declared.least} to {declared.most}")


@dataclass(slots=True)
class Call:
    """One request on its way to a handler.

    Attributes:
        segments: what stands in the place of the names in the path.
        query: its parameters.
        headers: what a handler adds to an answer that it begins to send by itself.
    """

    request: web.BaseRequest
    segments: Mapping[str, str]
    query: Query
    headers: Mapping[str, str]


Handler = Callable[[Call], Awaitable[web.StreamResponse]]
# what there is by method
Methods = dict[str, tuple["Route", Handler]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        summary: what it does, in a sentence.
        group: which of them it belongs to, in the documents.
        parameters: in the query and in headers.
        answers: what each status means. Refusals that any path has are not among them.
        media: of the answer.
        takes: the media type of the body; empty for none.
        schema: of the answer, where it is JSON, as OpenAPI describes it.
        acts_as: the command that it stands for: it waits for what holds that command back.
        needs: the command that a user must be permitted; left out, `acts_as`. Where there is
            neither, it is for those who may do everything.
        is_open: it shows nothing of the cache, and needs no password.
        example: a body, where it takes one.
    """

    method: str
    path: str
    summary: str
    group: str = ""
    parameters: tuple[Parameter, ...] = ()
    answers: Mapping[int, str] = field(default_factory=lambda: {200: "Done."})
    media: str = "application/json"
    takes: str = ""
    schema: Mapping[str, object] = field(default_factory=dict)
    acts_as: str = ""
    needs: str = ""
    is_open: bool = False

    @property
    def names(self) -> list[str]:
        """The names in its path."""
        return [piece[1:-1] for piece in self.path.split("/") if piece.startswith("{")]


_ATTRIBUTE: Final = "_cachestorm_routes"


def serves(route: Route) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Declares a method as what answers a route; more than one may be declared."""

    def declare(method: Callable[..., object]) -> Callable[..., object]:
        declared = cast("list[Route]", getattr(method, _ATTRIBUTE, []))
        setattr(method, _ATTRIBUTE, [route, *declared])
        return method

    return declare


def declared_by(part: object) -> Iterator[tuple[Route, Handler]]:
    """The routes that the methods of a part of the endpoint are declared as."""
    for name, member in vars(type(part)).items():
        for route in cast("list[Route]", getattr(member, _ATTRIBUTE, [])):
            yield route, cast(Handler, getattr(part, name))


class Routes:
    """All of them, and which one a request is for."""

    def __init__(self) -> None:
        self.all: Final[list[Route]] = []
        # by path
        self._fixed: Final[dict[str, Methods]] = {}
        # by how many pieces a path has
        self._shapes: Final[dict[int, list[_Shape]]] = {}

    def add(self, route: Route, handler: Handler) -> None:
        """Adds one. Of two for one method of a path the latter is taken."""
        self.all.append(route)
        if route.names:
            pieces = route.path.split("/")
            shapes = self._shapes.setdefault(len(pieces), [])
            shape = next((each for each in shapes if each.fits(pieces)), None)
            if shape is None:
                shape = _Shape(pieces)
                shapes.append(shape)
            methods = shape.by_fixed.setdefault(shape.pick(pieces), {})
            methods[route.method] = (route, handler)
        else:
            self._fixed.setdefault(route.path, {})[route.method] = (route, handler)

    def find(self, raw_path: str) -> tuple[Methods, Mapping[str, str]]:
        """What a path takes, by method, and what its names stand for.

        Args:
            raw_path: as it was sent, with its escapes.
        """
        fixed = self._fixed.get(raw_path)
        if fixed is not None:
            return fixed, {}
        given = raw_path.split("/")
        for shape in self._shapes.get(len(given), ()):
            methods = shape.by_fixed.get(shape.pick(given))
            if methods is not None:
                segments = [given[place] for place, _ in shape.names]
                if "%" in raw_path:
                    segments = [text_of(unquote_to_bytes(bytes_of(text))) for text in segments]
                return methods, {name: text for (_, name), text in zip(shape.names, segments)}
        return {}, {}


class _Shape:
    """The templates that have the same names in the same places.

    Attributes:
        names: each with its place among the pieces of a path.
        pick: of the pieces of a path, those that are fixed.
        by_fixed: what there is by these.
    """

    def __init__(self, pieces: list[str]) -> None:
        self.names: Final = _names_in(pieces)
        places = {place for place, _ in self.names}
        # that before the first slash is always one of them
        self.pick: Final = itemgetter(
            *(each for each in range(len(pieces)) if each not in places)
        )
        self.by_fixed: Final[dict[object, Methods]] = {}

    def fits(self, pieces: list[str]) -> bool:
        """Whether a template of as many pieces is one of these."""
        return _names_in(pieces) == self.names


def _names_in(pieces: list[str]) -> list[tuple[int, str]]:
    return [(at, piece[1:-1]) for at, piece in enumerate(pieces) if piece.startswith("{")]


def read_query(request: web.BaseRequest, declared: tuple[Parameter, ...]) -> Query:
    """The parameters of a request, whatever their bytes.

    Raises:
        ArgumentError: for one that is not declared, comes twice, or is not of its kind.
    """
    found: dict[str, list[str]] = {}
    raw = request.rel_url.raw_query_string
    in_query = [each for each in declared if not each.header] if raw else []
    for piece in raw.split("&") if raw else ():
        if not piece:
            continue
        raw_name, _, raw_value = piece.replace("+", " ").partition("=")
        name = text_of(unquote_to_bytes(bytes_of(raw_name)))
        parameter = next((each for each in in_query if each.name == name), None)
        if parameter is None:
            known = ", ".join(each.name for each in in_query) or "there is none"
            raise ArgumentError(f"no parameter is called '{name}': {known}")
        if name in found and not parameter.repeats:
            raise ArgumentError(f"the parameter '{name}' is given twice")
        found.setdefault(name, []).append(text_of(unquote_to_bytes(bytes_of(raw_value))))
    headers = request.headers
    for parameter in declared:
        if parameter.header and parameter.name in headers:
            given = headers.getall(parameter.name)
            if len(given) > 1 and not parameter.repeats:
                raise ArgumentError(f"the header {parameter.name} is given twice")
            found[parameter.name] = [text_of(bytes_of(each)) for each in given]
    query = Query(declared, found)
    for parameter in declared if found else ():
        if parameter.kind == INTEGER:
            query.number(parameter.name)
        elif parameter.kind == BOOLEAN:
            query.flag(parameter.name)
    return query
