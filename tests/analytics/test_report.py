"""The adherence report: what it says, in which language, for whom, at what cost."""

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from accounts.models import User
from analytics import documents
from devices.planning import edit_plan
from tests.analytics.conftest import NOON, dosed
from tests.clients import Phone, Unit
from tests.make import Statements

pytestmark = pytest.mark.usefixtures("leap_day")


def asked(phone: Phone, query: str = "format=pdf", **headers: Any) -> Any:
    """Of the server itself: the answer is no JSON."""
    return phone.http.get(f"/v1/analytics/report?{query}", HTTP_AUTHORIZATION=f"Bearer {phone.token}", **headers)


def tables(page: str) -> dict[str, list[list[str]]]:
    """The rows of each table, by its label."""
    found = {}
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        (caption,) = re.findall(r'<table aria-label="(.*?)"', table)
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        found[caption] = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows[1:]]
    return found


def english(phone: Phone, query: str = "") -> dict[str, list[list[str]]]:
    answer = asked(phone, f"format=html&{query}", HTTP_ACCEPT_LANGUAGE="en")
    assert answer.status_code == 200
    return tables(answer.content.decode())


def pdf(answer: Any) -> PdfReader:
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    return PdfReader(io.BytesIO(answer.content))


def test_what_it_says(alice: Phone, month: Unit) -> None:
    found = english(alice)
    assert dict(found["The period in figures"]) == {
        "Expected doses": "29",
        "Taken as planned": "19",
        "Missed": "10",
        "Unconfirmed": "0",
        "Doses recorded in all": "19",
        "Days with a dose": "19",
        "Longest run of days with a dose": "15",
    }
    assert found["Doses by supplement"] == [["Omega-3", "29", "19", "10", "0", "65.5%"]]
    assert len(found["Doses in the order of the days"]) == 30
    assert found["Doses in the order of the days"][-1] == ["29 February 2028", "0", "0", "0", "0", "–"]
    assert found["Doses in the order of the days"][-6] == ["24 February 2028", "1", "0", "1", "0", "0.0%"]
    assert found["Doses by weekday"][1] == ["Tuesday", "4", "2", "2", "0", "50.0%"]
    assert found["Doses by time of day"] == [["12:00–13:00", "19"]]
    assert found["Days in a row on which doses were missed."] == [
        ["31 January 2028 – 8 February 2028", "Omega-3", "9", "9"],
        ["24 February 2028", "Omega-3", "1", "1"],
    ]
    assert found["What the dispensers were to give."] == [["31 January 2028 – 29 February 2028", "Fish oil", "1"]]


def test_unconfirmed_doses_are_listed_and_not_missed(alice: Phone, month: Unit) -> None:
    dosed(month, NOON - timedelta(minutes=1), outcome="unknown")
    found = english(alice)
    listed = found["Doses of which nobody can say whether they were taken."]
    assert listed == [["29 February 2028", "Omega-3", "1"]]
    assert "29 February 2028" not in str(found["Days in a row on which doses were missed."])


def test_days_of_a_pause_are_no_part_of_the_plan(alice: Phone, month: Unit) -> None:
    edit_plan(month.id, alice.user.pk, {"paused_until": NOON + timedelta(days=3)}, now=NOON)
    found = english(alice, "start_date=2028-02-27&end_date=2028-02-29")
    assert found["What the dispensers were to give."] == [["27 February 2028 – 28 February 2028", "Fish oil", "1"]]


def test_weeks_and_months_where_days_would_be_too_many(alice: Phone, month: Unit) -> None:
    weeks = english(alice, "start_date=2028-01-01")["Doses in the order of the days"]
    assert [row[0] for row in weeks[:2]] == ["1 January 2028 – 2 January 2028", "3 January 2028 – 9 January 2028"]
    months = english(alice, "start_date=2027-06-15")["Doses in the order of the days"]
    assert [months[0][0], months[-1][0]] == ["15 June 2027 – 30 June 2027", "1 February 2028 – 29 February 2028"]
    assert sum(int(row[2]) for row in weeks) == sum(int(row[2]) for row in months) == 19


@pytest.mark.parametrize("query", ["", "start_date=2028-03-01&end_date=2028-03-31"], ids=["now", "ahead"])
def test_without_data_it_says_so(alice: Phone, query: str) -> None:
    alice.dispenser()
    page = asked(alice, f"format=html&{query}", HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "<b>–</b>" in page
    assert "No dose that was expected in this period is decided yet." in page
    assert "%" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL)
    assert pdf(asked(alice, query)).pages


def test_one_dose_on_the_day_of_the_registration(alice: Phone) -> None:
    dosed(alice.dispenser(), NOON)
    found = english(alice, "start_date=2028-02-29&end_date=2028-02-29")
    assert found["Doses by supplement"] == [["Omega-3", "1", "1", "0", "0", "100.0%"]]
    assert found["Doses in the order of the days"] == [["29 February 2028", "1", "1", "0", "0", "100.0%"]]


def test_of_one_dispenser_alone(alice: Phone, bob: Phone, month: Unit) -> None:
    other = alice.dispenser(device_type="vitamin_d")
    dosed(other, NOON)
    assert english(alice, f"device_id={other.id}")["Doses by supplement"][0][0] == "Vitamin D"
    assert "Doses by supplement" not in english(bob, f"device_id={other.id}")


def test_one_statement_and_nothing_is_set_for_who_has_it(
    alice: Phone, month: Unit, statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.get("/profile")
    with statements(2):
        first = asked(alice)
    assert (first["Cache-Control"], first.status_code) == ("private, max-age=60", 200)
    assert first["Content-Disposition"] == 'inline; filename="adherence-2028-01-31-2028-02-29.pdf"'
    monkeypatch.setattr(documents, "pdf", None)
    again = asked(alice, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert asked(alice, "format=html", HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 200


def test_a_pdf_that_screen_readers_can_read(alice: Phone, month: Unit) -> None:
    User.objects.filter(pk=alice.user.pk).update(full_name="Çağrı Öztürk-İğdır")
    read = pdf(asked(alice))
    assert read.metadata
    assert read.metadata.title == "Doz Uyum Raporu"
    root: Any = read.trailer["/Root"]
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"]) == ("tr", True)
    assert b"pdfuaid" in root["/Metadata"].get_object().get_data()
    kinds = [str(each.get("/S")) for each in tags(root["/StructTreeRoot"])]
    assert kinds.count("/H1") >= 8
    assert {"/Table", "/THead", "/TH", "/TD", "/Figure"} <= set(kinds)
    figures = [each for each in tags(root["/StructTreeRoot"]) if each.get("/S") == "/Figure"]
    assert len(figures) == 3
    assert all(each["/Alt"] for each in figures)
    text = "".join(page.extract_text() for page in read.pages)
    assert "Çağrı Öztürk-İğdır" in text
    assert "Beklenen 29 dozun 19 tanesi alındı." in text
    assert f"Sayfa {len(read.pages)} / {len(read.pages)}" in text
    box = read.pages[0].mediabox
    assert (round(box.width), round(box.height)) == (595, 842)


def tags(above: Any) -> list[DictionaryObject]:
    found = above.get_object()
    below = found.get("/K", []) if isinstance(found, DictionaryObject) else found
    kids = below if isinstance(below, list) else [below]
    here = [found] if isinstance(found, DictionaryObject) and "/S" in found else []
    return here + [each for kid in kids if not isinstance(kid, int) for each in tags(kid)]


HOSTILE = "<script>alert(1)</script> #sys.version *b* $x$ `r` @ref \\ &amp;"


def test_a_name_is_never_markup(alice: Phone, month: Unit) -> None:
    User.objects.filter(pk=alice.user.pk).update(full_name=HOSTILE)
    page = asked(alice, "format=html")
    assert b"<script" not in page.content
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in page.content
    assert page["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'; frame")
    text = pdf(asked(alice)).pages[0].extract_text().replace("\n", " ")
    assert HOSTILE in text


@pytest.mark.parametrize("name", ["王小明", "👩‍⚕️ Ayşe", "محمد", "\u202eters", "x" * 100, ""])
def test_any_name_can_be_set(alice: Phone, name: str) -> None:
    User.objects.filter(pk=alice.user.pk).update(full_name=name)
    assert pdf(asked(alice)).pages


def test_a_process_sets_one_report_at_a_time(alice: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "WAIT_S", 0.01)
    with documents._printer:
        answer = asked(alice)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert int(answer["Retry-After"]) > 0
    assert asked(alice).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("format=docx", "format"),
        ("format=pdf&start_date=2027-01-01&end_date=2028-02-01", "start_date"),
        ("start_date=2028-02-30", "start_date"),
        ("device_id=7", "device_id"),
    ],
)
def test_what_cannot_be_reported(alice: Phone, query: str, field: str) -> None:
    answer = asked(alice, query)
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (422, [field])
