"""How each template is done, given what one believes of the organisation's ways: the oracle believes the truth.

A plan is a generator: it yields calls and is sent each call's answer. It knows the task's facts without having looked,
so it belongs to tests and benchmarks, and never to an agent.
"""

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wisen.core.records import ToolCall
from wisen.environments.tool.office.conventions import (
    VARIANTS,
    Conventions,
    priority_word,
    written_date,
    written_name,
    written_reference,
)
from wisen.environments.tool.office.templates import Job
from wisen.environments.tool.office.tools import FINISH


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    refused: bool = False


Plan = Generator[ToolCall, Reply, None]
Beliefs = Mapping[str, tuple[str, ...]]  # by convention: its variants, the likeliest first, those ruled out left out


def believing(ways: Conventions | None) -> dict[str, tuple[str, ...]]:
    """The beliefs of one who knows; where there are no conventions, any will do."""
    return {name: (variant,) for name, variant in asdict(ways).items()} if ways else dict(VARIANTS)


def plan_of(template: str, job: Job, beliefs: Beliefs) -> Plan:
    """The calls that do the job, as far as the beliefs are true; `finish` is the last."""
    yield from _PLANS[template](_Worker(job, beliefs), **job.facts)
    yield ToolCall(name=FINISH)


@dataclass(frozen=True, slots=True)
class _Worker:
    job: Job
    beliefs: Beliefs

    def best(self, convention: str) -> str:
        return self.beliefs[convention][0]

    def until_taken(self, convention: str, call: Callable[[str], ToolCall]) -> Generator[ToolCall, Reply, Reply]:
        """Make a call that depends on a convention, with the likeliest variant first, until one is not refused."""
        reply = Reply("", refused=True)
        for variant in self.beliefs[convention]:
            reply = yield call(variant)
            if not reply.refused:
                return reply
        return reply

    def reference(self, order: str) -> str:
        return written_reference(order, self.job.house.code, self.best("reference"))

    def event(self, title: str, date: str, time: str) -> Plan:
        yield from self.until_taken(
            "date_format", lambda form: _call("create_event", title=title, date=written_date(date, form), time=time)
        )

    def ticket(self, subject: str, urgent: bool) -> Plan:
        yield from self.until_taken(
            "priority",
            lambda form: _call("open_ticket", subject=subject, priority=priority_word(urgent, form)),
        )

    def paper(self, kind: str, date: str, text: str) -> Plan:
        name = written_name(kind, date, self.best("file_name"))
        reply = yield _call("create_file", name=name, text=text)
        yield _call("move_file", file=reply.text.removeprefix("Written: "), folder=self.best("folder"))

    def mail_customer(self, to: str, text: str) -> Plan:
        reply = yield _call("send_mail", to=to, text=text)
        copy = self.job.house.by_role(self.best("customer_copy")).address
        yield _call("forward_mail", mail=_id("M", reply), to=copy)

    def purchase(self, product: str, quantity: int, total: int) -> Plan:
        if total > int(self.best("limit")):
            for role in self.beliefs["approver"]:
                reply = yield _call("ask_approval", person=self.job.house.by_role(role).name, product=product)
                if "yes" in reply.text:
                    break
        yield _call("buy_product", product=product, quantity=quantity)

    def refund(self, order: str, address: str) -> Plan:
        for first in self.beliefs["refund_first"]:
            if first == "ticket":
                yield from self.ticket(f"order {order}", False)
            elif first == "hold":
                yield _call("hold_order", order=order)
            else:
                yield from self.mail_customer(address, f"order {order}")
            reply = yield _call("refund_order", order=order, reference=self.reference(order))
            if not reply.refused:
                return

    def close(self, ticket: str, reporter: str, text: str) -> Plan:
        for first in self.beliefs["close_first"]:
            if first == "comment":
                yield _call("comment_ticket", ticket=ticket, text=text)
            elif first == "assign":
                yield _call("assign_ticket", ticket=ticket, person=self.job.house.staff[0].name)
            elif reporter in self.job.house.addresses:
                yield _call("send_mail", to=reporter, text=text)
            else:
                yield from self.mail_customer(reporter, text)
            reply = yield _call("close_ticket", ticket=ticket)
            if not reply.refused:
                return

    def replacement(self, order: str) -> Plan:
        yield _call("send_replacement", order=order, reference=self.reference(order))


def _mail_colleague(worker: _Worker, to: str, text: str) -> Plan:
    yield _call("send_mail", to=to, text=text)


def _open_ticket(worker: _Worker, subject: str, urgent: bool) -> Plan:
    yield from worker.ticket(subject, urgent)


def _add_event(worker: _Worker, title: str, date: str, time: str) -> Plan:
    yield from worker.event(title, date, time)


def _tell_customer(worker: _Worker, order: str, to: str, text: str) -> Plan:
    yield _call("find_order", order=order)
    yield from worker.mail_customer(to, text)


def _mail_price(worker: _Worker, to: str, product: str, text: str) -> Plan:
    yield _call("find_product", product=product)
    yield _call("send_mail", to=to, text=text)


def _file_paper(worker: _Worker, kind: str, date: str, text: str) -> Plan:
    yield from worker.paper(kind, date, text)


def _buy(worker: _Worker, product: str, quantity: int, total: int) -> Plan:
    yield _call("find_product", product=product)
    yield from worker.purchase(product, quantity, total)


def _close_ticket(worker: _Worker, ticket: str, reporter: str, text: str) -> Plan:
    yield _call("list_tickets")
    yield from worker.close(ticket, reporter, text)


def _refund(worker: _Worker, order: str, address: str) -> Plan:
    yield _call("find_order", order=order)
    yield from worker.refund(order, address)


def _replace(worker: _Worker, order: str, address: str, text: str) -> Plan:
    yield _call("find_order", order=order)
    yield from worker.replacement(order)
    yield from worker.mail_customer(address, text)


def _event_from_mail(worker: _Worker, mail: str, title: str, date: str, time: str) -> Plan:
    yield _call("list_mail")
    yield _call("read_mail", mail=mail)
    yield from worker.event(title, date, time)


def _file_from_mail(worker: _Worker, mail: str, kind: str, date: str, text: str) -> Plan:
    yield _call("list_mail")
    yield _call("read_mail", mail=mail)
    yield from worker.paper(kind, date, text)


def _refund_or_replace(worker: _Worker, order: str, address: str, product: str, stocked: bool) -> Plan:
    yield _call("find_order", order=order)
    yield _call("find_product", product=product)
    yield from worker.replacement(order) if stocked else worker.refund(order, address)


def _triage(worker: _Worker, mail: str, order: str, subject: str, urgent: bool) -> Plan:
    yield _call("list_mail")
    yield _call("read_mail", mail=mail)
    yield _call("find_order", order=order)
    yield from worker.ticket(subject, urgent)


def _restock(worker: _Worker, product: str, low: bool, quantity: int, total: int, **facts: Any) -> Plan:
    yield _call("find_product", product=product)
    if low:
        yield from worker.purchase(product, quantity, total)
        yield from worker.paper(facts["kind"], facts["date"], facts["paper"])
    else:
        yield _call("send_mail", to=facts["to"], text=facts["text"])


def _free_slot(worker: _Worker, title: str, date: str, time: str, taken: bool, event: str) -> Plan:
    yield _call("list_events")
    if taken:
        yield _call("cancel_event", event=event)
    yield from worker.event(title, date, time)


def _settle_ticket(worker: _Worker, order: str, address: str, reporter: str, ticket: str, stocked: bool) -> Plan:
    yield _call("list_tickets")
    yield _call("find_order", order=order)
    yield from worker.replacement(order) if stocked else worker.refund(order, address)
    yield from worker.close(ticket, reporter, f"order {order}")


def _call(tool: str, /, **arguments: Any) -> ToolCall:
    return ToolCall(name=tool, arguments=arguments)


def _id(prefix: str, reply: Reply) -> str:
    found = re.search(rf"{prefix}-\d+", reply.text)
    return found[0] if found else ""


_PLANS: dict[str, Callable[..., Plan]] = {
    "mail-colleague": _mail_colleague,
    "open-ticket": _open_ticket,
    "add-event": _add_event,
    "tell-customer": _tell_customer,
    "mail-price": _mail_price,
    "file-paper": _file_paper,
    "buy": _buy,
    "close-ticket": _close_ticket,
    "refund": _refund,
    "replace": _replace,
    "event-from-mail": _event_from_mail,
    "file-from-mail": _file_from_mail,
    "refund-or-replace": _refund_or_replace,
    "triage": _triage,
    "restock": _restock,
    "free-slot": _free_slot,
    "settle-ticket": _settle_ticket,
}
