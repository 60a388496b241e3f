"""What every section of params.yaml is, and the numbers that stand in it."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, create_model

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(gt=0)]
Strength = Annotated[float, Field(ge=0)]
Temperature = Annotated[float, Field(ge=0.02)]  # below, e^(1/τ) leaves float32


class Section(BaseModel):
    """A section of params.yaml: strict types, unknown keys refused, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    random: ClassVar[bool] = True  # whether a model with these settings depends on its seed


def changes_of(kind: type[Section]) -> type[Section]:
    """Return the section that holds some of the keys of a section."""
    fields = {name: (field.rebuild_annotation(), None) for name, field in kind.model_fields.items()}
    return create_model(f"{kind.__name__}Changes", __base__=Section, **fields)
