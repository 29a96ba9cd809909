"""Rows and settings as typed values: one declaration gives the defaults, the checks and their one-line errors."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from discreteness.core.errors import InputError

KINDS = {  # of pydantic's errors -> the type that was expected, as YAML users know it
    "int_type": "integer",
    "float_type": "number",
    "string_type": "string",
    "bool_type": "boolean",
    "list_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}


class Row(BaseModel):
    """A mapping with a fixed set of typed keys, from a configuration or a table.

    With the validation context `{"parse": function}`, texts are tried as what `function` makes of them: Snakemake
    hands over values within the braces of `--config 'decode={steps: [1, 4], judge: null}'` as text.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _parse_texts(cls, values: Any, info: Any) -> Any:
        parse = (info.context or {}).get("parse")
        if parse is None or not isinstance(values, Mapping):
            return values
        fields = cls.model_fields
        return {key: _parsed(value, fields[key], parse) if key in fields else value for key, value in values.items()}

    @classmethod
    def read(cls, values: object, where: str, *place: str, parse: Callable[[str], object] | None = None) -> Self:
        """The row that `values` describe. place: keys under which it stands in the file `where`.

        Raises InputError `where: place.key: what is wrong`, one line, misspelt keys first.
        """
        try:
            return cls.model_validate(values, context={"parse": parse})
        except ValidationError as error:
            errors = error.errors(include_url=False)
        # misspelt keys first; of a union, what is wrong with the value rather than that it is not the union's word
        errors.sort(key=lambda one: (one["type"] != "extra_forbidden", one["type"] == "literal_error"))
        keys = ".".join(map(str, [*place, *_location(errors[0], values), *_key(errors[0])]))
        raise InputError(": ".join(filter(None, (where, keys, _explained(errors[0], cls, values)))))

    def given(self, *keys: str) -> dict[str, Any]:
        """Those of `keys` whose values are not the defaults, so that a default written out is no change."""
        return self.model_dump(include=set(keys), exclude_defaults=True)


def _parsed(value: object, field: Any, parse: Callable[[str], object]) -> object:
    """What a text, or a list of texts, is read as where the field wants no text; else the value itself."""

    def read(text: object) -> object:
        try:
            return parse(text) if isinstance(text, str) else text
        except ValueError:
            return text

    def fits(candidate: object) -> bool:
        try:
            adapter.validate_python(candidate, strict=True, context={"parse": parse})
        except ValidationError:
            return False
        return True

    attempt = [read(one) for one in value] if isinstance(value, list) else read(value)
    if attempt == value or isinstance(attempt, str):
        return value
    adapter = TypeAdapter(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation)
    return value if fits(value) and not fits(attempt) else attempt


def _location(error: Mapping, values: object) -> Iterator[str | int]:
    """The keys and list places of an error; pydantic puts the names of a union's alternatives among them."""
    place = error["loc"][:-1] if error["type"] in ("extra_forbidden", "missing") else error["loc"]
    for key in place:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            continue
        yield key


def _key(error: Mapping) -> list[str]:
    """The key that a check of several keys together refuses."""
    key = error.get("ctx", {}).get("key")
    return [] if key is None else [key]


def refusal(key: str | None, text: str) -> PydanticCustomError:
    """The error of a check of several keys: `key` is the one that is wrong, where it is one, `text` says why."""
    return PydanticCustomError("refused", "{text}", {"text": text, "key": key})


def _explained(error: Mapping, row: type[Row], values: object) -> str:
    """What is wrong, with the nearest valid key for one that does not exist."""
    value, context, kind = error["input"], error.get("ctx", {}), error["type"]
    if kind == "extra_forbidden":
        known = _row_at(row, list(_location(error, values))).model_fields
        nearest = get_close_matches(str(error["loc"][-1]), known, 1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else f" (expected {', '.join(known)})"
        return f"Additional properties are not allowed ({error['loc'][-1]!r} was unexpected){hint}"
    if kind == "missing":
        return f"{error['loc'][-1]!r} is a required property"
    shown = repr(value) if len(repr(value)) < 300 else repr(value)[:300] + " …"
    if kind in KINDS:
        return f"{shown} is not of type {KINDS[kind]!r}"
    text = {
        "greater_than_equal": "is less than the minimum of {ge}",
        "greater_than": "is less than or equal to the minimum of {gt}",
        "less_than_equal": "is greater than the maximum of {le}",
        "less_than": "is greater than or equal to the maximum of {lt}",
        "literal_error": "is not one of {expected}",
        "string_pattern_mismatch": "does not match {pattern!r}",
        "finite_number": "is not a finite number",
        "too_short": "has fewer than {min_length} " + ("characters" if isinstance(value, str) else "values"),
        "too_long": "has more than {max_length} values",
    }.get(kind)
    if text is None:
        return error["msg"].removeprefix("Value error, ")
    return f"{shown} {text.format(**context)}"


def _row_at(row: type[Row], keys: list[str | int]) -> type[Row]:
    """The typed mapping at a place within a row."""
    for key in keys:
        if isinstance(key, str) and key in row.model_fields:
            row = next(iter(rows_within(row.model_fields[key].annotation)), row)
    return row


def rows_within(annotation: Any) -> list[type[Row]]:
    """The typed mappings that a field's annotation names, also as items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, Row):
        return [annotation]
    return [row for part in getattr(annotation, "__args__", ()) for row in rows_within(part)]


def _unique(values: list) -> list:
    if len(set(values)) < len(values):
        raise PydanticCustomError("unique", "{values} has non-unique elements", {"values": repr(values)})
    return values


def one_of(names: Callable[[], tuple[str, ...]]) -> Any:
    """The type of a text that is one of names which are registered elsewhere."""

    def check(value: str) -> str:
        if value not in names():
            raise PydanticCustomError("one_of", "{text}", {"text": f"{value!r} is not one of {list(names())}"})
        return value

    return Annotated[str, AfterValidator(check), Field(json_schema_extra=lambda schema: schema.update(enum=[*names()]))]


T = TypeVar("T")
Unique = Annotated[list[T], AfterValidator(_unique), Field(json_schema_extra={"uniqueItems": True})]
