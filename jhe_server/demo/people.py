"""The demo study: twenty people who never lived and their stories, so that a first notebook has something to find.

Who they are and what happened to them is written down here; what their bodies did comes from `bodies`. Every family
name is the word for "example" in some language, so that nobody can take a record for a real person's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from .bodies import BLOOD_PRESSURE, GLUCOSE, HEART_RATE, STEPS, Physiology
from .bodies import data_points as body_data_points

SEED = 2026
DAYS = 14
STUDY = "CGM and blood pressure at home"

# Which of the clinic's data sources measures what; a ring counts steps although the clinic's list does not say so.
SOURCES = {GLUCOSE: 70002, BLOOD_PRESSURE: 70001, HEART_RATE: 70004, STEPS: 70004}
CODES = tuple(SOURCES)

STEADY = Physiology()
VARIABLE = Physiology(
    fasting=126, meal_rise=128, dawn_rise=24, drift=30, night_lows=0.12, systolic=137, diastolic=86, dip=0.08
)
NIGHT_LOWS = Physiology(fasting=104, meal_rise=78, drift=13, night_lows=0.6, resting=70, steps=9100)
HIGH = Physiology(fasting=168, meal_rise=88, dawn_rise=30, drift=17, systolic=146, diastolic=90, dip=0.05, steps=4300)


@dataclass(frozen=True)
class Participant:
    """One synthetic person of the demo study, and what the study's staff should be able to find out about them.

    `connected` is False for who was invited and never came; data ends after `stopped_after` days where the phone fell
    silent and after `withdrew_after` days where consent was taken back; the codes in `declined` were never shared.
    """

    email: str
    name_family: str
    name_given: str
    birth_date: date
    phone: str
    identifier: str
    zone: str
    body: Physiology
    connected: bool = True
    stopped_after: int | None = None
    withdrew_after: int | None = None
    declined: frozenset[str] = frozenset()

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes this person agreed to share when joining, in the study's order."""
        return tuple(code for code in CODES if self.connected and code not in self.declined)

    def days_of_data(self, days: int) -> int:
        """How many of `days` days were uploaded."""
        ends = [end for end in (self.stopped_after, self.withdrew_after) if end is not None]
        return min([days, *ends]) if self.connected else 0


# given name, family name, year of birth, time zone, body
_PEOPLE = (
    ("Amara", "Mfano", 1968, "America/Los_Angeles", STEADY),
    ("Björn", "Exempel", 1959, "America/Los_Angeles", VARIABLE),
    ("Chiara", "Esempio", 1985, "America/New_York", NIGHT_LOWS),
    ("Dilan", "Örnek", 1974, "Europe/Berlin", replace(VARIABLE, unit="mmol/L")),
    ("Emeka", "Àpẹẹrẹ", 1951, "America/Chicago", HIGH),
    ("Fatima", "Mithal", 1990, "America/Los_Angeles", replace(STEADY, fasting=99, steps=11200)),
    ("Goran", "Primjer", 1963, "America/Denver", replace(HIGH, gaps=1.5)),
    ("Hana", "Příklad", 1979, "America/Los_Angeles", STEADY),
    ("Iqbal", "Udaharan", 1956, "Asia/Kolkata", VARIABLE),
    ("Juana", "Ejemplo", 1982, "America/Los_Angeles", NIGHT_LOWS),
    ("Kaisa", "Esimerkki", 1971, "Europe/Helsinki", replace(STEADY, unit="mmol/L")),
    ("Luís", "Exemplo", 1966, "America/New_York", replace(VARIABLE, gaps=1.4)),
    ("Mele", "Laana", 1977, "Pacific/Honolulu", STEADY),
    ("Nam", "Mẫu", 1988, "America/Los_Angeles", replace(NIGHT_LOWS, fasting=98)),
    ("Oksana", "Pryklad", 1961, "America/Chicago", HIGH),
    ("Piotr", "Przykład", 1954, "America/Denver", replace(VARIABLE, dip=-0.05)),
    ("Quiana", "Example", 1993, "America/New_York", STEADY),
    ("Rei", "Tatoe", 1970, "Asia/Tokyo", replace(STEADY, fasting=114, dip=0.16)),
    ("Sione", "Fakatātā", 1965, "America/Los_Angeles", HIGH),
    ("Tesfaye", "Misale", 1986, "America/Los_Angeles", VARIABLE),
)

_STORIES: dict[str, dict[str, Any]] = {
    "Goran": {"stopped_after": 6},
    "Hana": {"declined": frozenset({HEART_RATE, STEPS})},
    "Luís": {"withdrew_after": 9},
    "Quiana": {"connected": False},
}

_ASCII = str.maketrans("àáāãäåçéèẹėíīñóòöōúùüřžłẫś", "aaaaaaceeeeiinoooouuurzlas")


def participants(seed: int = SEED) -> list[Participant]:
    """The twenty people of the demo study, always the same for one `seed`.

    >>> people = participants()
    >>> len(people), people[0].name_family, people[0].email
    (20, 'Mfano', 'amara.mfano@example.com')
    >>> [who.name_given for who in people if not who.connected]
    ['Quiana']
    """
    return [_participant(number, seed) for number in range(1, len(_PEOPLE) + 1)]


def _participant(number: int, seed: int) -> Participant:
    given, family, year, zone, body = _PEOPLE[number - 1]
    draw = Random(f"{seed}/{number}")  # noqa: S311 - repeatable by design, nothing here is secret
    return Participant(
        email=f"{given}.{family}@example.com".lower().translate(_ASCII),
        name_family=family,
        name_given=given,
        birth_date=date(year, 1, 1) + timedelta(days=draw.randrange(365)),
        phone=f"+1-202-555-{100 + number:04}",  # 555-0100 to 555-0199 are kept free for fiction
        identifier=f"DEMO-{number:03}",
        zone=zone,
        body=_personal(body, draw),
        **_STORIES.get(given, {}),
    )


def _personal(body: Physiology, draw: Random) -> Physiology:
    """`body` with a person's own levels, so that two who share a pattern do not share a curve."""
    return replace(
        body,
        fasting=body.fasting * draw.uniform(0.95, 1.06),
        meal_rise=body.meal_rise * draw.uniform(0.85, 1.15),
        systolic=body.systolic + draw.gauss(0, 4),
        diastolic=body.diastolic + draw.gauss(0, 3),
        resting=body.resting + draw.gauss(0, 4),
        steps=body.steps * draw.uniform(0.8, 1.2),
        late=draw.gauss(0, 0.8),
    )


def data_points(
    participant: Participant, *, start: date, days: int = DAYS, seed: int = SEED
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """What `participant` uploaded from local midnight of `start` on: (code, data source id, Open mHealth data point).

    >>> never = next(who for who in participants() if not who.connected)
    >>> list(data_points(never, start=date(2026, 3, 2)))
    []
    """
    uploaded, shared = participant.days_of_data(days), set(participant.codes)
    key = f"{seed}/{participant.email}"
    for code, payload in body_data_points(participant.body, participant.tz, start=start, days=uploaded, seed=key):
        if code in shared:
            yield code, SOURCES[code], payload
