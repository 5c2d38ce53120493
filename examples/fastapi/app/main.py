"""Converts lengths over HTTP."""

from enum import Enum

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Lengths")


class Unit(str, Enum):
    metre = "metre"
    fathom = "fathom"
    cable = "cable"
    mile = "mile"


METRES = {Unit.metre: 1.0, Unit.fathom: 1.8288, Unit.cable: 185.2, Unit.mile: 1852.0}


class Length(BaseModel):
    value: float
    unit: Unit


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/convert")
def convert(value: float, unit: Unit, to: Unit) -> Length:
    return Length(value=round(value * METRES[unit] / METRES[to], 4), unit=to)
