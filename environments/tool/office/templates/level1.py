"""Level 1: one call does it."""

from wisen.environments.tool.office.checkers import EventAt, MailTo, TicketOpened
from wisen.environments.tool.office.state import State
from wisen.environments.tool.office.templates.base import (
    MESSAGES,
    SUBJECTS,
    TIMES,
    TITLES,
    Draw,
    Job,
    Template,
    said,
)


def mail_colleague(draw: Draw, state: State) -> Job:
    who, text = draw.choice(draw.house.staff), draw.choice(MESSAGES)
    return Job(
        draw.house,
        f'Tell {who.name} by mail: "{text}".',
        state,
        (MailTo(who.address, text),),
        {"to": who.address, "text": text},
    )


def open_ticket(draw: Draw, state: State) -> Job:
    subject, urgent = draw.choice(SUBJECTS), draw.random() < 0.5
    return Job(
        draw.house,
        f'Open a ticket "{subject}". {"It is urgent." if urgent else "It can wait."}',
        state,
        (TicketOpened(subject, urgent),),
        {"subject": subject, "urgent": urgent},
    )


def add_event(draw: Draw, state: State) -> Job:
    title, day, time = draw.choice(TITLES), draw.day(), draw.choice(TIMES)
    return Job(
        draw.house,
        f'Put "{title}" into the calendar on {said(day)} at {time}.',
        state,
        (EventAt(title, day, time),),
        {"title": title, "date": day, "time": time},
    )


LEVEL_1 = (
    Template("mail-colleague", 1, mail_colleague),
    Template("open-ticket", 1, open_ticket),
    Template("add-event", 1, add_event),
)
