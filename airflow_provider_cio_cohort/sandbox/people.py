"""Generates fictional people and cohorts, the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from airflow_provider_cio_cohort.sandbox.amplitude import Project
from airflow_provider_cio_cohort.sandbox.customer_io import Workspace

GIVEN = """
    Ada Amélie Anaïs Bartosz Björk Chidi Chloë Dmitri Elif Fatima Giulia Hana Hiroshi İpek Jamal João
    Kwame Lakshmi Léa Linh Łucja Mateus Mei Nadia Nguyễn Noor Olga Óscar Paweł Priya Renée Rosa Sanjay
    Siobhán Søren Tomáš Ursula Valentina Wei Yūki Zoë Олена 美咲 李娜 Αθηνά יעל
""".split()  # noqa: SIM905
FAMILY = """
    Åkesson Andersen Bianchi Černý Costa Da_Silva Dubois Fernández García Hansen Haddad Ivanov Jansen
    Kaya Kowalski Kumar Lindqvist MacLeod Müller N'Diaye Nakamura Nowak O'Brien Okafor Papadopoulos
    Petrov Rossi Sato Schmidt Silva Singh Smith Søndergaard Tanaka Tran van_der_Berg Wang Yilmaz Zhang
    Øverby
""".split()  # noqa: SIM905
COMPANIES = (
    "Acme, Inc.",
    'The "Best" Shop',
    "Łódź Works",
    "Two\nLines Ltd",
    "Plain Co",
    "Ångström AB",
    "Café & Söhne",
)
DOMAINS = ("example.com", "example.org", "example.net", "mail.test", "shop.test")


@dataclass(frozen=True)
class Human:
    """
    A user of the product.

    :param user_id: Amplitude's ``user_id`` and Customer.io's ``id``; empty before the first login.
    :param email: the e-mail address as typed.
    :param devices: Amplitude ids; one for each device.
    :param company: a property with all characters that CSV has to quote.
    :param known: whether the user exists in Customer.io.
    """

    user_id: str
    email: str
    devices: tuple[str, ...]
    company: str
    known: bool

    def rows(self) -> list[dict[str, str]]:
        """Return a row for each device, as cohorts have them."""
        return [
            {
                "amplitude_id": device,
                "user_id": self.user_id,
                "customer_id": self.user_id,
                "email": self.email,
                "company": self.company,
            }
            for device in self.devices
        ]


def make_people(count: int, seed: int) -> list[Human]:
    """
    Return fictional people.

    :param seed: the same people for the same seed.
    """
    dice = random.Random(seed)  # noqa: S311
    people = []
    for number in range(count):
        given, family = dice.choice(GIVEN), dice.choice(FAMILY).replace("_", " ")
        name = "".join(
            c for c in f"{given}.{family}".lower() if c.isascii() and (c.isalnum() or c == ".")
        ).strip(".")
        tag = dice.choice(("", "", "", "+news", "+shop"))
        email = f"{name or 'someone'}{number}{tag}@{dice.choice(DOMAINS)}"
        devices = 1 + (dice.random() < 0.03)
        people.append(
            Human(
                user_id="" if dice.random() < 0.02 else f"cus_{seed:x}{number:06}",
                email="" if dice.random() < 0.04 else email.title() if dice.random() < 0.1 else email,
                devices=tuple(str(dice.randrange(10**11, 10**12)) for _ in range(devices)),
                company=dice.choice(COMPANIES),
                known=dice.random() < 0.92,
            )
        )
    return people


def populate(project: Project, workspace: Workspace, count: int, seed: int) -> None:
    """
    Fill both vendors with people, cohorts and segments.

    The property ``customer_id`` is Customer.io's ``id`` under a common name; here it is the same as
    ``user_id``.

    :param seed: the same data for the same seed.
    """
    people = make_people(count, seed)
    for human in people:
        if human.known and (human.user_id or human.email):
            workspace.add_person(human.user_id or None, human.email or None)
    dice = random.Random(seed + 1)  # noqa: S311
    for cohort_id, name, share in (
        ("pwr7k2m", "Power users", 0.85),
        ("trl4x9q", "Trial ending this week", 0.2),
        ("chn8w3z", "At risk of churn", 0.33),
        ("new5b1c", "New this month", 0.06),
    ):
        members = [human for human in people if dice.random() < share]
        project.add_cohort(id=cohort_id, name=name, rows=[row for human in members for row in human.rows()])
    project.add_cohort(id="old1a1a", name="Summer sale (archived)", rows=[], archived=True)
    project.add_cohort(id="grp9c4d", name="Large accounts", rows=[], group="Company")
    project.add_cohort(id="raw0e2f", name="Never computed", rows=[], computed=False)
    project.add_cohort(id="mty3d8k", name="Nobody yet", rows=[])
    some = [person for number, person in enumerate(workspace.people.values()) if number % 50 == 0]
    workspace.add_segment("Newsletter, hand-picked", "Made by hand.", members=some)
    reachable = [person for person in workspace.people.values() if person.email]
    workspace.add_segment("All with an e-mail address", "Customer.io computes it.", "dynamic", reachable)
    for _ in range(2):
        workspace.add_segment("Beta testers", "There are two of this name.")
