"""Parts and rooms: a part is a frozen page of parameters with one verb, and a kind is a file.

A room (``l2sim.ordering``, say) is a package whose ``__init__`` defines one base class with ``room="ordering"``. Every
subclass registers itself under its class name in snake case, wherever it is defined: in a file of the room, in another
package that names an entry point ``l2sim.ordering``, or in a notebook cell. A field typed with the base class accepts
``{kind: random, …}`` and hands it over to the class found.
"""

import difflib
import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Room:
    """All kinds of one noun, found on first look-up and kept by name."""

    def __init__(self, name: str, package: str, base: "type[Part]") -> None:
        self.name = name
        self.package = package
        self.base = base
        self._kinds: dict[str, type[Part]] = {}
        self._furnished = False

    def add(self, part: "type[Part]") -> None:
        """Make a class known under its kind; a later definition replaces an earlier one, as in a notebook."""
        self._kinds[part.kind] = part

    def kinds(self) -> "dict[str, type[Part]]":
        """Every kind by name: the room's own files, guests from other packages, and classes defined by hand."""
        if not self._furnished:
            self._furnished = True
            home = import_module(self.package)
            for module in pkgutil.iter_modules(home.__path__):
                import_module(f"{self.package}.{module.name}")
            for guest in entry_points(group=f"l2sim.{self.name}"):
                guest.load()
        return dict(sorted(self._kinds.items()))

    def guests(self) -> "list[type[Part]]":
        """The kinds known so far that are not the package's own: what another process may not find by itself."""
        return [kind for kind in self._kinds.values() if not kind.__module__.startswith("l2sim.")]

    def find(self, kind: str) -> "type[Part]":
        """The class of a kind; an unknown one is an error that names the nearest right spelling."""
        kinds = self.kinds()
        if kind not in kinds:
            raise PydanticCustomError(
                "unknown_kind",
                "there is no kind '{kind}' in {room}{hint}",
                {"kind": kind, "room": self.name, "hint": did_you_mean(kind, kinds)},
            )
        return kinds[kind]


ROOMS: dict[str, Room] = {}

ROOM_NAMES = (
    "agents",
    "attacks",
    "availability",
    "chains",
    "comparisons",
    "consensus",
    "data_fees",
    "demand",
    "designs",
    "distributions",
    "fees",
    "inclusion",
    "latency",
    "markets",
    "metrics",
    "ordering",
    "posting",
    "prices",
    "settlement",
)


def room(name: str) -> Room:
    """The room of that name, its charter imported on first use.

    Raises:
        KeyError: there is no such room; the message names the nearest right spelling.
    """
    if name not in ROOM_NAMES:
        raise KeyError(f"there is no room '{name}'{did_you_mean(name, ROOM_NAMES)}")
    if name not in ROOMS:
        import_module("l2sim.world" if name == "chains" else f"l2sim.{name}")
    return ROOMS[name]


def did_you_mean(word: str, known: Any) -> str:
    """A hint such as ``; did you mean 'random'?``, or the whole choice where nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    choice = ", ".join(sorted(known))
    return f"; known are: {choice}" if choice else ""


def snake_case(name: str) -> str:
    """``FirstComeFirstServed`` as ``first_come_first_served``, ``L1`` as ``l1``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Refers(NamedTuple):
    """Annotation for a field that names a member of a section of the scenario, or of one of several: ``prices|markets``."""

    section: str
    also: tuple[str, ...] = ()
    """Names that are known without being a member of it."""
    kind: str = ""
    """The kind that the member must be of, where not every kind will do."""
    offers: tuple[str, ...] = ()
    """Actions that the market must have."""
    has: str = ""
    """A part that the member must have, such as a settlement."""
    dotted: bool = False
    """Whether what follows a dot is the member's own affair, such as one of a metric's figures."""


ChainName = Annotated[str, Refers("chains")]
MarketName = Annotated[str, Refers("markets")]
PriceName = Annotated[str, Refers("prices")]
DataName = Annotated[str, Refers("data")]
AgentName = Annotated[str, Refers("agents")]
FigureName = Annotated[str, Refers("metrics", dotted=True)]


class InRoom(NamedTuple):
    """Annotation for a field whose part lives in a room on a higher floor, which is looked up by name when a value is read."""

    name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(lambda value: room(self.name).base.model_validate(value), handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(room(self.name).base.__pydantic_core_schema__)


def in_room(name: str) -> InRoom:
    """A field's annotation for a part of that room: ``Annotated[Part, in_room("agents")]``."""
    return InRoom(name)


class Part(BaseModel):
    """Frozen parameters with a kind; unknown keys are refused, and every field's docstring is its help text."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        polymorphic_serialization=True,
        ser_json_inf_nan="strings",
    )

    kind: ClassVar[str] = ""
    room: ClassVar[Room | None] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if "room" in cls.__dict__ and cls.room is not None:
            return
        if cls.room is not None and not cls.__name__.startswith("_"):
            cls.kind = snake_case(cls.__name__)
            cls.room.add(cls)

    def __init_subclass__(cls, room: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if room is not None:
            cls.room = ROOMS[room] = Room(room, cls.__module__, cls)

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if cls.room is None or isinstance(value, Part):
            return handler(value)
        if not isinstance(value, dict):
            short = cls._shorthand(value)
            if short is None:
                return handler(value)
            value = short
        if "kind" not in value:
            if cls is cls.room.base:
                raise PydanticCustomError(
                    "missing_kind",
                    "a kind is missing: write 'kind: …'{hint}",
                    {"hint": did_you_mean("", cls.room.kinds())},
                )
            return handler(value)
        fields = dict(value)
        found = cls.room.find(str(fields.pop("kind")))
        if found is cls:
            return handler(fields)
        if not issubclass(found, cls):
            raise PydanticCustomError(
                "wrong_kind",
                "kind '{found}' does not fit here, where '{wanted}' is due",
                {"found": found.kind, "wanted": cls.kind},
            )
        return found.model_validate(fields)

    @classmethod
    def _shorthand(cls, value: Any) -> dict[str, Any] | None:
        """What a bare value in place of a mapping stands for; a room may say, such as ``30ms`` for a constant."""
        return None

    @model_serializer(mode="wrap")
    def _with_kind(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        fields = handler(self)
        return {"kind": self.kind, **fields} if self.kind else fields

    def parts(self) -> "Iterator[tuple[str, Part]]":
        """The parts among this part's own fields, by dotted path."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            members = value.items() if isinstance(value, dict) else [(None, value)]
            for key, member in members:
                if isinstance(member, Part):
                    path = name if key is None else f"{name}.{key}"
                    yield path, member
                    for inner, part in member.parts():
                        yield f"{path}.{inner}", part
