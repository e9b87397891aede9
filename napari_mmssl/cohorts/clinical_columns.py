"""What the columns of a cohort's clinical table mean, for the tables that are known.

A table is known by its columns, not by its name: people rename files. Codes (``SEX`` 1 or 2) are read only in tables
whose coding is published; in any other table words alone count, and nothing is guessed.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: Key of a clinical value to its type; ``class`` is what a classification learns.
CLINICAL_KEYS: dict[str, type] = {
    "age_years": float,
    "sex": str,
    "survival_days": int,
    "survival_observed": bool,
    "class": str,
    "grade": str,
    "resection": str,
    "idh": str,
    "mgmt": str,
    "isup": int,
    "psa_ng_per_ml": float,
}

Read = Callable[[str], Mapping[str, Any]]
_ALIVE = re.compile(r"alive\D*(\d+)\s*days?", re.IGNORECASE)
_OLDEST = 130


@dataclass(frozen=True)
class KnownTable:
    """One published table.

    Parameters
    ----------
    name
        What it is, for people.
    ids
        Columns that name a case or person, most exact first; all names as :func:`plain` leaves them.
    needs
        Columns by which it is known.
    columns
        Column to what its cells mean.
    any_of
        Keys whose value of a person with several rows is that of the row with this value, if one has it: one
        significant lesion makes a significant case.
    """

    name: str
    ids: tuple[str, ...]
    needs: frozenset[str]
    columns: Mapping[str, Read]
    any_of: Mapping[str, Any]


def plain(column: str) -> str:
    """Return the name of a column without blanks, signs and case."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


def table_of(columns: set[str]) -> KnownTable | None:
    """Return the table that has these columns (:func:`plain`); ``None`` if none is known that has."""
    return next((table for table in _TABLES if table.needs <= columns), None)


def row_values(table: KnownTable, row: Mapping[str, str]) -> dict[str, Any]:
    """Return the clinical values of one row, whose columns are named as in the file."""
    values: dict[str, Any] = {}
    for name, cell in row.items():
        read = table.columns.get(plain(name))
        if read is not None and cell:
            values.update(read(cell))
    # A time without a word on whether somebody died then, or was last seen, is no survival.
    if ("survival_days" in values) != ("survival_observed" in values):
        values.pop("survival_days", None)
        values.pop("survival_observed", None)
    return values


def survival(text: str) -> dict[str, Any]:
    """Return ``survival_days`` and ``survival_observed`` of one cell; empty if it holds neither.

    ``"ALIVE (361 days later)"`` is a survival of at least 361 days: not observed.
    """
    alive = _ALIVE.search(text)
    if alive:
        return {"survival_days": int(alive.group(1)), "survival_observed": False}
    found = _days(text)
    return {**found, "survival_observed": True} if found else {}


def number(text: str) -> float | None:
    """Return the finite number that ``text`` spells, or ``None``."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _days(text: str) -> dict[str, Any]:
    days = number(text)
    return {} if days is None or days < 0 else {"survival_days": round(days)}


def _age(text: str) -> dict[str, Any]:
    years = number(text.upper().removesuffix("Y"))
    # -9999 and 0 stand for unknown in more than one table.
    return {} if years is None or not 0 < years < _OLDEST else {"age_years": years}


def _sex(text: str) -> dict[str, Any]:
    word = {"m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F"}.get(text.strip().lower())
    return {"sex": word} if word else {}


def _coded(key: str, **meaning: Any) -> Read:
    """Read a cell that holds one of a few codes or words; anything else is unknown."""

    def read(text: str) -> dict[str, Any]:
        value = number(text)
        code = f"_{value:g}" if value is not None else plain(text)
        return {key: meaning[code]} if code in meaning else {}

    return read


def _class(text: str) -> dict[str, Any]:
    missing = plain(text) in ("", "na", "nan", "none", "unknown", "pending", "notavailable")
    return {} if missing else {"class": text}


def _measured(key: str, kind: type) -> Read:
    def read(text: str) -> dict[str, Any]:
        value = number(text)
        return {} if value is None or value < 0 else {key: kind(value)}

    return read


_grade = _coded("grade", hgg="HGG", lgg="LGG", _1="1", _2="2", _3="3", _4="4", i="1", ii="2", iii="3", iv="4")
_resection = _coded("resection", gtr="GTR", str="STR", biopsy="biopsy")
_idh = _coded("idh", wildtype="wildtype", mutated="mutated", mutant="mutated")
_mgmt = _coded("mgmt", methylated="methylated", unmethylated="unmethylated", positive="methylated",
               negative="unmethylated", _1="methylated", _0="unmethylated")  # fmt: skip


def _idh_variant(text: str) -> dict[str, Any]:
    """UCSF-PDGM names the variant (``mutated (NOS)``, ``IDH1 p.R132H``)."""
    word = text.lower()
    if "wild" in word:
        return {"idh": "wildtype"}
    return {"idh": "mutated"} if "mut" in word or "p.r" in word else {}


def _table(
    name: str, ids: str, columns: Mapping[str, Read], needs: str = "", any_of: Mapping[str, Any] | None = None
) -> KnownTable:
    return KnownTable(name, tuple(ids.split()), frozenset(needs.split()), columns, any_of or {})


_UPENN = {
    "ageatscanyears": _age,
    "gender": _sex,
    "survivalfromsurgerydaysupdated": _days,
    "survivalfromsurgerydays": _days,
    "survivalstatus": _coded("survival_observed", deceased=True, alive=False, censored=False),
    "idh1": _idh,
    "mgmt": _mgmt,
    "gtrover90percent": _coded("resection", y="GTR", n="STR"),
}
_UCSF = {
    "ageatmri": _age,
    "sex": _sex,
    "os": _days,
    "1dead0alive": _coded("survival_observed", _1=True, _0=False),
    "whocnsgrade": _grade,
    "finalpathologicdiagnosiswho2021": _class,
    "idh": _idh_variant,
    "mgmtstatus": _mgmt,
    "eor": _resection,
}
_ABIDE = {
    "ageatscan": _age,
    "sex": _coded("sex", _1="M", _2="F"),
    "dxgroup": _coded("class", _1="autism", _2="control"),
}
_ADHD = {
    "age": _age,
    "gender": _coded("sex", _1="M", _0="F"),
    "dx": _coded("class", _0="control", _1="ADHD", _2="ADHD", _3="ADHD"),
}
_PICAI = {
    "patientage": _age,
    "casecspca": _coded("class", yes="csPCa", no="no csPCa"),
    "caseisup": _measured("isup", int),
    "psa": _measured("psa_ng_per_ml", float),
}
_CLINSIG = {"clinsig": _coded("class", true="csPCa", false="no csPCa", _1="csPCa", _0="no csPCa")}
_OTHER: dict[str, Read] = {
    "age": _age,
    "ageyears": _age,
    "ageatscan": _age,
    "sex": _sex,
    "gender": _sex,
    "survival": survival,
    "survivaldays": survival,
    "grade": _grade,
    "resectionstatus": _resection,
    "extentofresection": _resection,
    "group": _class,
    "diagnosis": _class,
    "dx": _class,
    "class": _class,
}

#: From the most particular to the most general; the first whose columns are all there is meant.
_TABLES = (
    _table("UPENN-GBM's clinical table", "id", _UPENN, "id ageatscanyears"),
    _table("UCSF-PDGM's metadata", "id", _UCSF, "id 1dead0alive"),
    _table("a table of the LONI archive (ADNI)", "imagedataid subject", _OTHER, "imagedataid subject group"),
    _table("ABIDE's phenotypes", "subid", _ABIDE, "subid dxgroup"),
    _table("ADHD-200's phenotypes", "scandirid", _ADHD, "scandirid dx"),
    _table("PI-CAI's marksheet", "studyid patientid", _PICAI, "patientid studyid casecspca"),
    _table("ProstateX' findings", "proxid", _CLINSIG, "proxid clinsig", {"class": "csPCa"}),
    _table("IXI's table", "ixiid", {"age": _age, "sexid1m2f": _coded("sex", _1="M", _2="F")}, "ixiid age"),
    _table("BraTS 2021's MGMT labels", "brats21id", {"mgmtvalue": _mgmt}, "brats21id mgmtvalue"),
    _table("BIDS participants", "participantid", _OTHER, "participantid"),
    _table("a clinical table", "", _OTHER),
)
