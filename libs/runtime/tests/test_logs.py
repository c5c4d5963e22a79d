"""Log lines are JSON, tell where and what kind, and hold nothing of what was being handled."""

import io
import json
import logging
import warnings
from typing import Any

import psycopg
import pytest
import structlog
from pydantic import BaseModel, ValidationError

from libs.runtime import logs
from libs.runtime.errors import Malformed
from libs.runtime.logs import configure_logs, fault_text


@pytest.fixture
def out(own_logs: None) -> io.StringIO:
    stream = io.StringIO()
    configure_logs("orders", stream=stream)
    return stream


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_has_time_level_service_and_what_is_bound(out: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(correlation_id="c-1"):
        structlog.get_logger("x").info("order_placed", order="o-1")
    [line] = lines(out)
    assert line["timestamp"].endswith("Z")
    line.pop("timestamp")
    assert line == {
        "level": "info", "service": "orders", "event": "order_placed", "order": "o-1", "correlation_id": "c-1",
    }  # fmt: skip


def test_the_libraries_lines_go_the_same_way(out: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(correlation_id="c-1"):
        logging.getLogger("uvicorn.error").warning("It is %s.", "late")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning("This is old.", UserWarning, "file.py", 1)
    first, second = lines(out)
    assert (first["event"], first["logger"], first["correlation_id"]) == (
        "It is late.",
        "uvicorn.error",
        "c-1",
    )
    assert second["logger"] == "py.warnings"


def test_request_lines_of_clients_are_not_written(out: io.StringIO) -> None:
    logging.getLogger("httpx").info("GET https://api.test/?access_token=secret")
    logging.getLogger("uvicorn.access").info("GET /?q=secret")
    assert out.getvalue() == ""


def test_an_error_is_told_by_kind_and_place_but_not_by_a_text_that_may_quote(out: io.StringIO) -> None:
    try:
        try:
            int("buyer's phone")
        except ValueError as fault:
            raise Malformed("The phone is not a number.") from fault
    except Malformed:
        structlog.get_logger("x").exception("record_failed")
    [line] = lines(out)
    outer, inner = line["exception"]
    assert (outer["kind"], outer["text"]) == ("libs.runtime.errors.Malformed", "The phone is not a number.")
    assert (inner["kind"], inner["text"]) == ("ValueError", "")
    assert "test_logs.py" in inner["at"][0]
    assert "buyer" not in out.getvalue()


def test_debug_shows_the_texts(own_logs: None) -> None:
    stream = io.StringIO()
    configure_logs("orders", "debug", stream=stream)
    try:
        int("x")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert "invalid literal" in stream.getvalue()


def test_what_is_secret_by_name_is_redacted(out: io.StringIO) -> None:
    structlog.get_logger("x").info("called", token="t", headers={"a": "b"}, status=200)
    [line] = lines(out)
    assert (line["token"], line["headers"], line["status"]) == ("[redacted]", "[redacted]", 200)


def test_a_flood_is_counted_instead_of_written(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    monkeypatch.setattr(logs, "monotonic", lambda: seconds[0])
    flooding = logging.getLogger("aiokafka.conn")
    for number in range(4_000):
        flooding.error("Unable to connect %d", number)
    logging.getLogger("uvicorn.error").error("heard")
    seconds[0] = 101.0
    flooding.error("again")
    events = [line["event"] for line in lines(out)]
    assert events == [
        *(f"Unable to connect {number}" for number in range(10)),
        "heard",
        "3990 more lines were not written.",
        "again",
    ]


class Buyer(BaseModel):
    phone: int


def test_texts_of_validation_and_database_errors_name_places_only() -> None:
    with pytest.raises(ValidationError) as caught:
        Buyer.model_validate({"phone": "0812-secret"})
    assert fault_text(caught.value) == "phone: int_parsing"
    assert fault_text(psycopg.errors.UniqueViolation("Key (phone)=(0812) already exists.")) == "23505"
    assert fault_text(KeyError("0812")) == ""
