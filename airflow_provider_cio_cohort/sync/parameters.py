"""
The parameters of a sync: type, bounds, default, description, and whether a template may set it, all in one
place.

The operators, the YAML file, the trigger form, the JSON Schema and the docs take them from here. What a
template renders is text; :meth:`ExportParameters.from_task` converts it first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from os import PathLike
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from airflow_provider_cio_cohort.engine.guards import Limits, Mode, OnGuard, OnNotRemovable
from airflow_provider_cio_cohort.engine.identifiers import Identifier, IdType
from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.sync.values import (
    AS_GIVEN_TEXT,
    AS_OPTIONAL,
    AS_TEXT,
    ApprovedPlan,
    CohortId,
    ConnId,
    Flag,
    FromTask,
    GivenExport,
    GivenIdentifier,
    GivenLimit,
    Most,
    Percent,
    Seconds,
    SegmentId,
    SnapshotPath,
    Source,
    Text,
    in_words,
    wrong_parameter,
)

#: The parameters of one identifier, which identifiers replaces.
ONE_IDENTIFIER = ("user_id_property", "id_type")
#: What to do about a wrong parameter.
CORRECT = "Correct it where the sync is defined, or in the form if the run was started by hand."


# ---- what a parameter is besides its type


@dataclass(frozen=True)
class Templated:
    """Marks a parameter that a template may set."""


@dataclass(frozen=True)
class InForm:
    """
    Marks a parameter that the trigger form sets for one run; the field's ``title`` is the form's label.

    :param section: the heading of the form that it is under, ``""`` for the first one, which is open.
    :param beside: the keys of the sync whose values the form shows beside it.
    :param needs: the keys of the sync of which it needs one to have an effect; none if it always has.
    :param modes: the modes of syncs in which it has an effect; none if it has one in each.
    """

    section: str = ""
    beside: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = ()

    @property
    def always(self) -> bool:
        """Whether it applies to every sync."""
        return not (self.needs or self.modes)

    @property
    def condition(self) -> str:
        """Which syncs it applies to, in the words of their keys."""
        modes = f"mode: {' or '.join(self.modes)}" if self.modes else ""
        return " and ".join(filter(None, (modes, " or ".join(self.needs))))

    def applies_to(self, sync: SyncParameters) -> bool:
        """
        Say whether it can have an effect in a run of a sync.

        :param sync: the sync's parameters.
        """
        is_given = not self.needs or any(getattr(sync, key) is not None for key in self.needs)
        return is_given and (not self.modes or sync.mode in self.modes)


TEMPLATED = Templated()


#: The modes in which a run may remove people.
_REMOVES: tuple[Mode, ...] = ("mirror", "tracked")


def _guard(*limits: str, modes: tuple[Mode, ...] = _REMOVES) -> InForm:
    """Mark a field that lets one run pass a guard."""
    return InForm("Let through once", beside=limits, needs=limits, modes=modes)


def _snapshot(*beside: str) -> InForm:
    """Mark a field that restores a snapshot."""
    return InForm("Go back", beside=beside, needs=("snapshot_path",))


# ---- the parameters


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


#: The default of an operator's argument that is required. Airflow itself would refuse a call without it, but
#: its message would name neither the DAG nor the task.
REQUIRED: Any = _Required()


class ExportParameters(BaseModel):
    """The parameters of every task that needs an export."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    cohort_id: Annotated[CohortId, AS_TEXT, TEMPLATED] = Field(
        description="The Amplitude cohort: the last part of its address, such as a1b2c3d. Write it in "
        "quotes if it has digits only.",
        examples=["a1b2c3d"],
    )
    amplitude_conn_id: Annotated[ConnId, AS_TEXT, TEMPLATED] = Field(
        default="amplitude_default", description="The Airflow connection to one Amplitude project."
    )
    poll_interval: Seconds = Field(default=10, description="Seconds between two checks of the export.")
    export_timeout: Seconds = Field(
        default=3600, description="Seconds that a try waits for Amplitude to finish the export."
    )
    export_reserve: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=10,
        description="Exports of the month to keep in reserve: when no more than these are left, a run "
        "fails before it requests one.",
    )
    deferrable: bool = Field(
        default=True, description="Wait for the export in the triggerer, without holding a worker."
    )

    @classmethod
    def templated(cls) -> tuple[str, ...]:
        """Return the names of the parameters that a template may set."""
        return _templated(cls)

    @classmethod
    def in_form(cls) -> dict[str, InForm]:
        """Return the parameters that the trigger form sets, in its order."""
        marks = ((name, mark) for name, field in cls.model_fields.items() for mark in field.metadata)
        return {name: mark for name, mark in marks if isinstance(mark, InForm)}

    @classmethod
    def described(cls) -> str:
        """Return a ``:param:`` line of a docstring for each parameter."""
        lines = []
        for name, field in cls.model_fields.items():
            templated = " (templated)" if TEMPLATED in field.metadata else ""
            lines.append(f":param {name}: {field.description}{templated}")
        return "\n    ".join(lines)

    @classmethod
    def check(
        cls, values: Mapping[str, Any], default_args: Mapping[str, Any] | None = None, where: str = ""
    ) -> None:
        """
        Refuse values that are wrong when the DAG is parsed, whatever the templates render to.

        :param values: the task's parameters, by name.
        :param default_args: those of the DAG, which may mean other operators' parameters of the same name.
        :param where: the task, in words: a DAG file may have many.
        :raises ConfigurationError: if a value is wrong; names the first.
        """
        left_out = {name for name, each in values.items() if each is REQUIRED}
        constants = {name: each for name, each in _constants(cls, values).items() if name not in left_out}
        rendered = values.keys() - constants.keys() - left_out
        stand_ins = {name: _STAND_INS[name] for name in rendered & _STAND_INS.keys()}
        given = default_args or {}
        shared = [name for name, value in values.items() if name in given and given[name] is value]
        try:
            cls.from_task({**constants, **stand_ins}, (), shared)
        except ConfigurationError as error:
            message = f"{where}: {error}" if where else str(error)
            raise ConfigurationError(message) from None

    @classmethod
    def from_task(
        cls, values: Mapping[str, Any], templates: Collection[str], shared: Collection[str] = ()
    ) -> Self:
        """
        Return the parameters of a run.

        :param values: the task's parameters, by name, rendered.
        :param templates: the names of those that were templates.
        :param shared: the names of those that default_args set.
        :raises ConfigurationError: if a value is wrong; names the first.
        """
        try:
            return cls.model_validate(dict(values), context=FromTask(templates))
        except ValidationError as error:
            wrong = error.errors()[0]
            message, advice = in_words(wrong)
            name = wrong["loc"][0] if wrong["loc"] else None
            if name in shared:
                advice += f"default_args set it for all tasks: give this task a {name} of its own. "
        raise ConfigurationError(f"{message}\n{advice}{CORRECT}")


class SyncParameters(ExportParameters):
    """The parameters of a sync, in the YAML file and as an operator."""

    segment_name: Annotated[Text | None, AS_GIVEN_TEXT, TEMPLATED] = Field(
        default=None,
        description="The name of the Customer.io segment, which is created if it does not exist. Give "
        "exactly one of segment_name and segment_id.",
    )
    segment_id: Annotated[SegmentId, TEMPLATED] = Field(
        default=None,
        description="The number of the Customer.io segment, as in its address; for a name that several "
        "segments have.",
    )
    user_id_property: Annotated[Text, AS_TEXT, TEMPLATED] = Field(
        default="user_id",
        description="The Amplitude property that holds the Customer.io identifier: user_id, amplitude_id, "
        "or any user property. gp:user_id is the user property named user_id.",
    )
    id_type: IdType = Field(
        default="id", description="Which of Customer.io's identifiers the property holds."
    )
    identifiers: Annotated[Sequence[GivenIdentifier], Field(min_length=1, max_length=5)] | None = Field(
        default=None,
        description="Instead of user_id_property and id_type: several identifiers in order of preference, "
        "each with property and id_type. A person is matched by the first that exists in Customer.io.",
    )
    people_segment_id: Annotated[SegmentId, TEMPLATED] = Field(
        default=None,
        description="For syncs with several identifiers: the number of a data-driven segment that contains "
        "everybody in the workspace. Where a run would look up more than 2,000 people, it reads that segment "
        "instead if that is faster.",
    )
    mode: Mode = Field(
        default="mirror",
        description="mirror: the segment is made equal to the cohort. add_only: people are added, and "
        "nobody is removed. tracked: people are added, and only those whom the sync itself has added are "
        "removed; it needs snapshot_path.",
    )
    max_removal_percent: Percent | None = Field(
        default=50,
        description="Refuse to remove more than this percentage of the segment (with mode: tracked, of the "
        "members whom the sync has added) in a run; null turns it off. Up to 20 removals are never refused.",
    )
    max_removals: Most | None = Field(
        default=None,
        description="Refuse to remove more members than this in a run, whatever their share is.",
    )
    max_growth_percent: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] | None = Field(
        default=200,
        description="Refuse to add more people in a run, or in about a day, than this percentage of the "
        "segment before (with mode: tracked, of the members whom the sync has added); null turns it off. Up "
        "to 500 additions are never refused, nor the first fill of a segment that the sync has created.",
    )
    max_additions: Most | None = Field(
        default=None,
        description="Refuse to add more people than this in a run, whatever their share is; not at the first "
        "fill of a segment that the sync has created.",
    )
    max_shortfall_percent: Percent | None = Field(
        default=30,
        description="Refuse to remove anybody when the cohort falls short of the size that Amplitude "
        "reports, or of the last good sync, by more than this percentage; null turns it off.",
    )
    min_match_rate: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Refuse to write when a smaller share of the cohort, 0 to 1, exists in Customer.io.",
    )
    dry_run: Annotated[Flag, TEMPLATED, InForm()] = Field(
        default=False,
        title="Dry run",
        description="Compare and report, but write nothing. It uses an export, like any run.",
    )
    allow_large_removal: Annotated[Flag, TEMPLATED, _guard("max_removal_percent", "max_removals")] = Field(
        default=False,
        title="Allow a large removal",
        description="Let a run remove more than max_removal_percent of the segment, or than max_removals.",
    )
    allow_large_addition: Annotated[
        Flag, TEMPLATED, _guard("max_growth_percent", "max_additions", modes=())
    ] = Field(
        default=False,
        title="Allow a large addition",
        description="Let a run add more than max_growth_percent of the segment, or than max_additions.",
    )
    allow_empty_cohort: Annotated[Flag, TEMPLATED, _guard()] = Field(
        default=False,
        title="Allow an empty cohort",
        description="Let a run remove everybody when the cohort is empty.",
    )
    allow_short_cohort: Annotated[Flag, TEMPLATED, _guard("max_shortfall_percent")] = Field(
        default=False,
        title="Allow a short cohort",
        description="Let a run remove people for a cohort that falls short by more than "
        "max_shortfall_percent.",
    )
    allow_low_match: Annotated[Flag, TEMPLATED, _guard("min_match_rate", modes=())] = Field(
        default=False,
        title="Allow a low match",
        description="Let a run write although fewer identifiers than min_match_rate match people in "
        "Customer.io.",
    )
    allow_lost_tracking: Annotated[Flag, TEMPLATED, _guard(modes=("tracked",))] = Field(
        default=False,
        title="Allow lost tracking",
        description="With mode: tracked, let a run begin anew although it is unknown whom the sync has "
        "added: those people stay until somebody removes them by hand.",
    )
    allow_no_match: Annotated[Flag, TEMPLATED, _guard(modes=())] = Field(
        default=False,
        title="Allow no match",
        description="Let a run continue although no identifier of the cohort matches a person in "
        "Customer.io (usually a wrong user_id_property or id_type, or a wrong one in identifiers).",
    )
    adopt_segment: Annotated[Flag, TEMPLATED, _guard(modes=("mirror",))] = Field(
        default=False,
        title="Adopt the segment",
        description="Remove people also from a segment that no sync created for this cohort. Without it, "
        "such a run is refused.",
    )
    on_not_removable: OnNotRemovable = Field(
        default="warn",
        description="What a run does about people who should leave the segment and have no id, whom "
        "Customer.io's API does not remove. warn: it succeeds, and reports their number as not_removable. "
        "fail: it fails, after everything else is done.",
    )
    customer_io_conn_id: Annotated[ConnId, AS_TEXT, TEMPLATED] = Field(
        default="customer_io_default", description="The Airflow connection to one Customer.io workspace."
    )
    skip_unchanged: bool = Field(
        default=False,
        description="End a run without an export when Amplitude has not recomputed the cohort since the "
        "last good sync and the segment has as many members as then. Cannot be combined with targets, "
        "use_pools or on_guard: approve, which export first.",
    )
    snapshot_path: Annotated[SnapshotPath | None, AS_OPTIONAL, TEMPLATED] = Field(
        default=None,
        description="Where each good run stores the identifiers that it synced, such as "
        "s3://aws_default@bucket/cohorts, so that the segment can be restored later; with mode: tracked, "
        "those whom the sync has added. Identifiers are personal data.",
        examples=["s3://aws_default@bucket/cohorts"],
    )
    unmatched_path: Annotated[SnapshotPath | None, AS_OPTIONAL, TEMPLATED] = Field(
        default=None,
        description="Where each good run stores the identifiers that it did not match to a person, with the "
        "reasons. They are kept as long as snapshots. Identifiers are personal data.",
        examples=["s3://aws_default@bucket/cohorts"],
    )
    snapshot_keep_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] = Field(
        default=30,
        description="Days to keep a snapshot, or a file of unmatched identifiers; fractions are allowed.",
    )
    snapshot_keep_last: Annotated[int, Field(gt=0, le=100_000)] = Field(
        default=3,
        description="This many of the newest of each are kept, however old they are.",
    )

    @model_validator(mode="after")
    def _one_segment(self) -> Self:
        if self.segment_name is None and self.segment_id is None:
            raise wrong_parameter(
                "segment_name", "it is missing; give exactly one of segment_name and segment_id."
            )
        if self.segment_name is not None and self.segment_id is not None:
            raise wrong_parameter("segment_id", "segment_name is given too; give exactly one of the two.")
        return self

    @model_validator(mode="after")
    def _keeps_whom_it_adds(self) -> Self:
        if self.mode == "tracked" and self.snapshot_path is None:
            raise wrong_parameter(
                "mode",
                "tracked needs a snapshot_path: the sync keeps there whom it has added. Give one, or choose "
                "another mode.",
            )
        return self

    @model_validator(mode="after")
    def _two_connections(self) -> Self:
        if self.amplitude_conn_id == self.customer_io_conn_id:
            raise wrong_parameter(
                "customer_io_conn_id",
                "amplitude_conn_id names the same connection, and a connection is of one vendor only. Give "
                "each vendor a connection of its own.",
            )
        return self

    @model_validator(mode="after")
    def _one_mapping(self) -> Self:
        if self.identifiers is None:
            return self
        for name in ONE_IDENTIFIER:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise wrong_parameter(
                    name, f"identifiers is given too; give either that, or {' and '.join(ONE_IDENTIFIER)}."
                )
        if len(set(self.mapping)) < len(self.mapping):
            raise wrong_parameter("identifiers", "two of them are equal. Remove one.")
        return self

    @model_validator(mode="after")
    def _two_segments(self) -> Self:
        if self.people_segment_id is not None and self.people_segment_id == self.segment_id:
            raise wrong_parameter(
                "people_segment_id",
                "segment_id is the same segment, but no sync fills a data-driven one. Correct one of them.",
            )
        return self

    @property
    def mapping(self) -> tuple[Identifier, ...]:
        """The properties and the identifiers that they hold, in order of preference."""
        if self.identifiers is None:
            return (Identifier(self.user_id_property, self.id_type),)
        return tuple(Identifier(each["property"], each["id_type"]) for each in self.identifiers)

    @property
    def mapped(self) -> tuple[str, str]:
        """The properties and the kinds of identifiers, each as a text."""
        properties, id_types = zip(*self.mapping, strict=True)
        return ", ".join(properties), ", ".join(id_types)

    @property
    def compared_by(self) -> IdType:
        """By which identifier people are compared: with several, by the one that everybody has."""
        return self.mapping[0].id_type if len(self.mapping) == 1 else "cio_id"

    @property
    def named(self) -> tuple[str, str]:
        """How the segment was given, ``name`` or ``id``, and what it was given as."""
        if self.segment_id is None:
            return "name", str(self.segment_name)
        return "id", str(self.segment_id)

    @property
    def people(self) -> str:
        """What decides which people the sync adds: equal for syncs of the same people."""
        return "/".join((self.amplitude_conn_id, self.cohort_id, *self.mapped))


class TaskParameters(SyncParameters):
    """The parameters of a sync as a task, with those that a run, its form and upstream tasks set."""

    limit: Annotated[GivenLimit, TEMPLATED, InForm()] = Field(
        default=None,
        title="At most so many additions",
        description="Add no more people than this, remove nobody, and report how many are left: a trial for "
        "a segment that a campaign uses. A retry adds the same people. Such a run does not count as a good "
        "sync.",
    )
    on_guard: OnGuard = Field(
        default="fail",
        description="What a run does when only guards of removals trip. fail: it fails, and writes nothing. "
        "add_only: it adds people, removes nobody, and then fails.",
    )
    source: Annotated[Source, TEMPLATED, _snapshot()] = Field(
        default="cohort",
        title="Source",
        description="cohort: sync the cohort as it is now. snapshot: restore the segment from a snapshot, "
        "if the sync keeps any (snapshot_path); Amplitude is not called and no export is used. In a "
        "backfill, also tick 'Override parameters on existing runs'.",
    )
    snapshot_at: Annotated[Text | None, AS_OPTIONAL, TEMPLATED, _snapshot("timezone")] = Field(
        default=None,
        title="Snapshot of",
        description="With source snapshot: a date (meaning the end of that day) or a time, such as "
        "2026-01-31 or 2026-01-31T06:00, in the timezone of the sync. The newest snapshot at or "
        "before that time is used. If empty, the time is the run's logical date.",
    )
    export: Annotated[GivenExport, TEMPLATED] = Field(
        default=None,
        description="What AmplitudeCohortExportOperator returned, or its JSON; the task then requests no "
        "export itself.",
    )
    approved_plan: Annotated[ApprovedPlan, TEMPLATED] = Field(
        default=None,
        description="The plan that a person approved, as ApproveChangeOperator returns it: the guards "
        "that it names do not trip for exactly this change to the same people. With strict: true in it, "
        "any other change is refused.",
    )
    other_writers: Sequence[Mapping[str, Any]] = Field(
        default=(),
        description="Other syncs that may fill the same segment under another name or by another "
        "connection: dicts with sync, customer_io_conn_id, segment_name or segment_id, mode and people; a "
        "run that finds that one of them fills its own segment is refused. build_dags sets it.",
    )

    @property
    def from_snapshot(self) -> bool:
        """Whether the segment is to be restored from a snapshot."""
        return self.source == "snapshot"

    @property
    def makes_equal(self) -> bool:
        """Whether a good run makes the segment equal to the cohort: no dry run, and no limited one."""
        return not self.dry_run and self.limit is None

    @property
    def limits(self) -> Limits:
        """What the guards allow."""
        names = Limits.__dataclass_fields__.keys() - {"approved"}
        return Limits(approved=self.approved_plan, **{name: getattr(self, name) for name in names})


def _with_cohort(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, Mapping):
        return value
    given = {name: info.data[name] for name in ("cohort_id", "amplitude_conn_id") if name in info.data}
    return {**given, **value}


_SyncOfExport = Annotated[TaskParameters, BeforeValidator(_with_cohort)]


class SharedExportParameters(ExportParameters):
    """The parameters of a task that exports a cohort for other tasks."""

    properties: Annotated[Sequence[Text], TEMPLATED] = Field(
        default=("user_id",),
        min_length=1,
        description="The properties that the tasks map: each task's user_id_property, or those of its "
        "identifiers.",
    )
    syncs: Annotated[Sequence[_SyncOfExport], TEMPLATED] = Field(
        default=(),
        description="The tasks that use the export, each as a dict of its parameters; cohort_id and "
        "amplitude_conn_id may be left out. Before it requests an export, the task checks what they need "
        "(keys, segment, identifiers, storage of snapshots), and fails if none of them could run.",
    )
    source: Annotated[Source, TEMPLATED] = Field(
        default="cohort",
        description="cohort, or snapshot: the tasks restore a snapshot, so nothing is exported.",
    )
    hold_slot: bool = Field(
        default=False,
        description="For a task that requests an export: keep its slot for at least [cio_cohort] "
        "export_hold seconds, so that a pool of four slots also keeps to Amplitude's 60 exports in 10 "
        "minutes, and wait in the worker for up to wait_before_deferral seconds before deferring.",
    )


#: A placeholder for a template where a value is required before it is rendered.
_STAND_INS = {
    "cohort_id": "a1b2c3d",
    "segment_name": "Segment",
    "segment_id": 1,
    "snapshot_path": "file:///snapshots",
}


@cache
def _templated(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(name for name, field in model.model_fields.items() if TEMPLATED in field.metadata)


def is_template(value: Any) -> bool:
    """
    Say whether the task renders a value: a template, or another task's output.

    :param value: as it was given.
    """
    if isinstance(value, str):
        return "{{" in value or "{%" in value or "{#" in value
    if isinstance(value, Mapping):
        return any(map(is_template, value.values()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(is_template, value))
    # Airflow resolves objects (but no paths), renders those with templates of their own, and calls functions.
    is_resolved = hasattr(value, "resolve") and not isinstance(value, PathLike)
    return is_resolved or hasattr(value, "template_fields") or callable(value)


def _constants(model: type[ExportParameters], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are as they will be in a run: neither templates nor objects to be resolved."""
    templated = model.templated()
    return {name: each for name, each in values.items() if name not in templated or not is_template(each)}
